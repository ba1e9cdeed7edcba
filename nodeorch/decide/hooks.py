"""The hook after each start, what its end means, and what is told of the one before a stop.

Reads an instance and the hooks of its version. Promises: the hook of a run is under way at
most once, and runs again only where its answer was lost; a hook has a key of its own, so it
holds up neither a stop nor another workload's; an engine that cannot run it fails nobody.
"""

from __future__ import annotations

from msgspec.structs import replace

from nodeorch.decide.edit import find, note, put_instance, record, say
from nodeorch.decide.ready import awaited_hook
from nodeorch.decide.turn import Turn
from nodeorch.model.actions import RunHook
from nodeorch.model.facts import Done, Failed
from nodeorch.model.workload import OnFailure
from nodeorch.model.world import Code, Instance, State, Why, WorkloadState, World

AT_ONCE = 4
"""Hooks of one workload: an exec costs the engine 80 ms and two processes."""
RETRY = 5.0
"""Seconds until a hook that the engine could not run is tried again."""


def plan_hook(turn: Turn, state: WorkloadState, instance: Instance) -> None:
    hook = awaited_hook(state, instance)
    if hook is None or instance.state is not State.RUNNING:
        return
    name, own = instance.name, instance.record
    later = instance.hook_retry_at
    if later is not None and later > turn.now:
        turn.hold(own.workload, name, Why(code=Code.HOOK, words=instance.hook_error), later)
        return
    key = f"{name}#hook{instance.pid}"
    if turn.busy(key):
        return
    if turn.hooks(own.workload) >= AT_ONCE:
        words = f"its post-start hook waits: {AT_ONCE} of this workload run at a time"
        turn.hold(own.workload, name, Why(code=Code.HOOK, words=words))
        return
    turn.act(
        RunHook(
            key=key,
            why=Why(code=Code.HOOK, words="post-start: it has started"),
            workload=own.workload,
            instance=name,
            container_id=own.container_id,
            pid=instance.pid,
            address=instance.address or "",
            hook=hook,
        )
    )


def hook_done(world: World, action: RunHook, fact: Done) -> World:
    instance = _still(world, action)
    if instance is None or fact.hook is None:
        return world
    if fact.hook.passed:
        world = put_instance(world, _passed(instance))
        words = f"post-start hook passed: {fact.hook.words}"
        return say(world, Code.HOOK, words, action.workload, action.instance)
    why = Why(code=Code.HOOK_FAILED, words=f"post-start hook failed: {fact.hook.words}")
    if action.hook.on_failure is OnFailure.IGNORE:
        world = put_instance(world, _passed(instance))
        why = replace(why, words=f"{why.words} (ignored)")
    else:
        world = put_instance(world, replace(instance, doom=instance.doom or why))
    return note(world, why, action.workload, action.instance)


def hook_failed(world: World, action: RunHook, fact: Failed, now: float) -> World:
    """The engine could not run it: that is not the hook's failure. Look, and try again."""
    instance = _still(world, action)
    if instance is None:
        return world
    words = f"cannot run its post-start hook: {fact.words}; it is tried again"
    if instance.hook_error != words:
        world = say(world, Code.FAILED, words, action.workload, action.instance)
    later = replace(instance, stale=True, hook_retry_at=now + RETRY, hook_error=words)
    return put_instance(world, later)


def pre_stop_done(world: World, fact: Done) -> World:
    if fact.hook is None:
        return world
    action = fact.action
    if fact.hook.passed:
        words = f"pre-stop hook passed: {fact.hook.words}"
        return say(world, Code.HOOK, words, action.workload, action.key)
    words = f"pre-stop hook failed: {fact.hook.words}; it was stopped all the same"
    return say(world, Code.HOOK_FAILED, words, action.workload, action.key)


def _passed(instance: Instance) -> Instance:
    return replace(record(instance, hook_due=False), hook_retry_at=None, hook_error="")


def _still(world: World, action: RunHook) -> Instance | None:
    """The instance, if it is still in the run that the hook was for, and waits for it."""
    instance = find(world, action.instance)
    if instance is None or not instance.running or instance.died_at is not None:
        return None
    own = instance.record
    if own.container_id != action.container_id or instance.pid != action.pid:
        return None
    return instance if own.hook_due else None
