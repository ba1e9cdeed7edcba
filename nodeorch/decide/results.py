"""Actions begun, done and failed.

Reads the action and the instance it was for. Promises: what an action is about to do is
in the world (and so on disk) before it is done; a failure is remembered with its words
and is not tried again at once; an engine that does not answer is nobody's failure but its own.
"""

from __future__ import annotations

from msgspec.structs import replace

from nodeorch.decide.edit import (
    drop_instance,
    find,
    note,
    put,
    put_instance,
    record,
    say,
)
from nodeorch.decide.hooks import hook_done, hook_failed, pre_stop_done
from nodeorch.decide.limits import UPDATING, drift
from nodeorch.decide.observe import count_oom, oom_seen, seen
from nodeorch.decide.ready import own_workload
from nodeorch.decide.restart import delay, stays_down
from nodeorch.model.actions import (
    Action,
    CreateContainer,
    EnsureImage,
    InspectContainer,
    ListContainers,
    RemoveContainer,
    RunHook,
    StartContainer,
    StopContainer,
    UpdateLimits,
)
from nodeorch.model.facts import Done, EngineSeen, Failed, OomSeen
from nodeorch.model.world import (
    Code,
    Exit,
    Instance,
    InstanceRecord,
    State,
    Why,
    WorkloadState,
    World,
)

VERBS: dict[type, str] = {
    CreateContainer: "create",
    StartContainer: "start",
    StopContainer: "stop",
    RemoveContainer: "remove",
    UpdateLimits: UPDATING,
    RunHook: "run the post-start hook of",
    EnsureImage: "pull the image of",
    InspectContainer: "inspect",
    ListContainers: "list",
}
SHORT: dict[type, str] = {
    UpdateLimits: "set limits",
    EnsureImage: "get image",
    RunHook: "run hook",
}
QUIET = (InspectContainer, ListContainers)
RETRY = 5.0
"""Seconds until a refused stop, removal, update or inspection is tried again."""
STUCK_RETRY = 30.0
LIMITS_RETRY = 600.0


def verb(action: Action) -> str:
    return VERBS.get(type(action), "unpause")


def begin(world: World, action: Action, now: float) -> World:
    """Write down that an action is under way, before it is."""
    world = replace(world, busy={**world.busy, action.key: verb(action)})
    if isinstance(action, CreateContainer):
        own = InstanceRecord(
            name=action.key,
            workload=action.workload,
            slot=action.slot,
            generation=action.generation,
            template=action.template,
            serial=action.serial,
            boot_id=world.node.boot_id,
            operator_seq=world.workloads[action.workload].record.operator_seq,
            image_digest=world.workloads[action.workload].record.image_digest,
        )
        world = replace(world, serial=max(world.serial, action.serial))
        world = put_instance(world, Instance(record=own, touched=now))
    instance = find(world, action.key)
    if instance is not None:
        world = put_instance(world, _begun(world, instance, action, now))
    elif action.workload:
        world = put(world, world.workloads[action.workload])
    if isinstance(action, QUIET):
        return world
    words = f"{SHORT.get(type(action), verb(action))}: {action.why.words}"
    said = Why(code=action.why.code, words=words)
    if action.why.code is Code.RESTART:
        said = action.why
    who = action.instance if isinstance(action, RunHook) else action.key
    return note(world, said, action.workload, who, verb=verb(action))


def _begun(world: World, instance: Instance, action: Action, now: float) -> Instance:
    instance = replace(instance, touched=now)
    if isinstance(action, RemoveContainer):
        return record(instance, removing=True)
    if isinstance(action, StopContainer):
        doomed = replace(instance, doom=instance.doom or action.why)
        return record(doomed, stopping=doomed.doom)
    if isinstance(action, StartContainer):
        seq = world.workloads[action.workload].record.operator_seq
        runs = instance.record.runs + 1
        hook = own_workload(world.workloads[action.workload], instance).hooks.post_start
        return record(
            instance,
            runs=runs,
            up=True,
            next_try=None,
            operator_seq=seq,
            hook_due=hook is not None,
        )
    return instance


def done(world: World, fact: Done, now: float) -> World:
    action = fact.action
    world = _free(world, action.key)
    if isinstance(action, EnsureImage):
        return _image_done(world, fact)
    if isinstance(action, RunHook):
        return hook_done(world, action, fact)
    if isinstance(action, StopContainer):
        world = pre_stop_done(world, fact)
    instance = find(world, action.key)
    if instance is None:
        return world
    instance = replace(instance, touched=now)
    if not isinstance(action, InspectContainer):  # a look mends nothing
        instance = replace(instance, stuck=None, retry_at=None)
    if isinstance(action, RemoveContainer):
        return drop_instance(world, instance)
    if isinstance(action, UpdateLimits):
        return _updated(world, instance, fact, now)
    if isinstance(action, CreateContainer) and fact.container is not None:
        state = world.workloads[action.workload]
        world = put(
            world,
            replace(state, create_error=None, create_next_try=None, create_failures=0),
        )
    if fact.limits is not None:
        instance = replace(instance, limits=fact.limits)
    if not fact.signalled and world.workloads[action.workload].workload.is_job:
        # A run ended by itself while it was to be stopped: it has succeeded, or failed.
        instance = record(replace(instance, doom=None), stopping=None)
    world = put_instance(world, replace(instance, stale=False))
    if fact.container is None:
        return world
    died = fact.container.state is State.EXITED and (instance.running or instance.record.up)
    if died:  # its end is not accounted for yet
        instance, _ = count_oom(instance, fact.oom_kills, now)
    world = seen(world, replace(instance, stale=False), fact.container, now)
    if fact.container.state is State.RUNNING and fact.oom_kills:
        world = oom_seen(world, OomSeen(action.key, fact.container.id, fact.oom_kills), now)
    after = find(world, action.key)
    if fact.limits is not None and after is not None and after.running:
        world = put_instance(world, replace(after, limits=fact.limits))
    return world


def failed(world: World, fact: Failed, now: float) -> World:
    action, kind = fact.action, fact.kind
    world = _free(world, action.key)
    if kind == "unreachable":
        return _unreachable(world, fact, now)
    if isinstance(action, ListContainers):
        return _list_failed(world, fact, now)
    if isinstance(action, RunHook):
        return hook_failed(world, action, fact, now)
    if not isinstance(action, InspectContainer):
        words = f"cannot {verb(action)} {action.key.partition('#')[0]}: {fact.words}"
        code = Code.IMAGE_FAILED if isinstance(action, EnsureImage) else Code.FAILED
        world = say(world, code, words, action.workload, action.key)
    if isinstance(action, EnsureImage):
        return _image_failed(world, fact, now)
    if isinstance(action, CreateContainer):
        return _create_failed(world, fact, now)
    instance = find(world, action.key)
    if instance is None:
        return world
    instance = replace(instance, touched=now)
    if kind == "not_found":
        words = "its container was removed outside nodeorch"
        world = say(world, Code.REMOVED_OUTSIDE, words, action.workload, action.key)
        return _removed_outside(world, instance)
    if kind == "timeout":  # it may still happen, or have happened: look
        late = replace(instance, stale=True, stuck=fact.words, retry_at=now + RETRY)
        return put_instance(world, late)
    if isinstance(action, StartContainer):
        return _start_failed(world, instance, fact, now)
    if isinstance(action, UpdateLimits):
        return put_instance(world, _refused_limits(instance, fact.words, now))
    wait = STUCK_RETRY if isinstance(action, StopContainer) else RETRY
    return put_instance(world, replace(instance, stuck=fact.words, retry_at=now + wait))


def _removed_outside(world: World, instance: Instance) -> World:
    """What had ended for good stays so: a job does not run twice because of a clean-up."""
    own = instance.record
    over = not (own.up or own.removing or instance.running)
    if not over or stays_down(world.workloads[own.workload], instance) is None:
        return drop_instance(world, instance)
    kept = replace(instance, state=State.EXITED, stale=False, look_at=None, stuck=None)
    return put_instance(world, record(kept, pruned=True))


def engine_seen(world: World, fact: EngineSeen, now: float) -> World:
    if world.engine.answering == fact.answering:
        return world
    engine = replace(
        world.engine, answering=fact.answering, since=now, words=fact.words, list_due=now
    )
    code = Code.ENGINE_UP if fact.answering else Code.ENGINE_DOWN
    return say(replace(world, engine=engine), code, fact.words)


def _unreachable(world: World, fact: Failed, now: float) -> World:
    """Nothing is known of the act: look, when the engine answers again."""
    instance = find(world, fact.action.key)
    if instance is not None:
        looked = isinstance(fact.action, InspectContainer) and instance.died_at is not None
        stale = bool(instance.record.container_id) and not looked
        world = put_instance(world, replace(instance, stale=stale))
    words = f"the engine does not answer: {fact.words}; nothing is assumed dead meanwhile"
    return engine_seen(world, EngineSeen(answering=False, words=words), now)


def _list_failed(world: World, fact: Failed, now: float) -> World:
    words = f"cannot list containers: {fact.words}"
    if world.engine.list_error != words:
        world = say(world, Code.FAILED, words)
    engine = replace(world.engine, list_due=now + RETRY, list_error=words)
    return replace(world, engine=engine)


def _free(world: World, key: str) -> World:
    world = replace(world, busy={k: v for k, v in world.busy.items() if k != key})
    state = world.workloads.get(key.partition(".")[0].partition("#")[0])
    return put(world, state) if state is not None else world


def _image_done(world: World, fact: Done) -> World:
    state = world.workloads.get(fact.action.workload)
    if state is None:
        return world
    assert isinstance(fact.action, EnsureImage)
    if fact.action.image != state.workload.main.image:
        return world  # the spec changed meanwhile
    fresh = replace(
        state.record,
        image_id=fact.image_id,
        image_digest=fact.image_digest,
        image_failures=0,
        image_next_try=None,
        image_error=None,
    )
    return put(world, replace(state, record=fresh))


def _image_failed(world: World, fact: Failed, now: float) -> World:
    state = world.workloads.get(fact.action.workload)
    if state is None:
        return world
    failures = state.record.image_failures + 1
    wait = _patience(state, fact.action.key, failures)
    fresh = replace(
        state.record,
        image_failures=failures,
        image_next_try=now + wait,
        image_error=fact.words,
    )
    return put(world, replace(state, record=fresh))


def _create_failed(world: World, fact: Failed, now: float) -> World:
    state = world.workloads.get(fact.action.workload)
    if state is None:
        return world
    # A disk that takes no intent says nothing about the container: it condemns no generation.
    failures = state.create_failures + (fact.kind != "store")
    fresh = replace(
        state,
        create_failures=failures,
        create_error=fact.words,
        create_next_try=now + _patience(state, fact.action.key, failures),
    )
    if fact.kind == "no_image":
        fresh = replace(fresh, record=replace(fresh.record, image_id=""))
    instance = fresh.instances.get(fact.action.key)
    world = put(world, fresh)
    if fact.kind in ("name_in_use", "timeout"):  # perhaps it is there: the listing tells
        engine = replace(world.engine, list_due=now)
        return replace(world, engine=engine)
    return drop_instance(world, instance) if instance is not None else world


def _start_failed(world: World, instance: Instance, fact: Failed, now: float) -> World:
    own = instance.record
    workload = world.workloads[own.workload].workload
    failures = own.failures + 1
    wait = max(delay(workload, own.name, failures), workload.restart.backoff.initial)
    why = Why(code=Code.FAILED, words=f"cannot start: {fact.words}")
    fresh = record(
        instance,
        up=False,
        runs=max(0, own.runs - 1),
        failures=failures,
        next_try=now + wait,
        last_exit=Exit(why=why, at=now),
    )
    return put_instance(world, replace(fresh, state=State.EXITED, stale=True))


def _refused_limits(instance: Instance, words: str, now: float) -> Instance:
    """The same refusal again is looked at less often."""
    wait = LIMITS_RETRY if instance.limits_error == words else STUCK_RETRY
    return replace(instance, limits_error=words, limits_retry_at=now + wait)


def _updated(world: World, instance: Instance, fact: Done, now: float) -> World:
    action = fact.action
    assert isinstance(action, UpdateLimits)
    if fact.limits is None:
        return put_instance(world, replace(instance, limits=None))
    left = drift(action.resources, fact.limits)
    fresh = replace(instance, limits=fact.limits)
    if not left:
        words = "the kernel holds the declared limits"
        world = put_instance(world, replace(fresh, limits_error=None))
        return say(world, Code.LIMITS, words, action.workload, action.key)
    words = "the kernel did not take it: " + "; ".join(left)
    world = say(world, Code.DRIFT, words, action.workload, action.key)
    return put_instance(world, _refused_limits(fresh, words, now))


def _patience(state: WorkloadState, key: str, failures: int) -> float:
    backoff = state.workload.restart.backoff
    return max(delay(state.workload, key, failures + 1), backoff.initial)
