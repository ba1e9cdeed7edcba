"""When a new generation is good, when it has failed, and the way back.

Reads a workload that has a previous version, and its instances. Promises: a slot's
instance of the previous generation is kept until its new one is good; a new generation
that ends twice, is refused, or is not ready in time gives way to the previous one; an
image that cannot be pulled never does (the old instances simply run on).
"""

from __future__ import annotations

from msgspec.structs import replace

from nodeorch.decide.edit import note, put
from nodeorch.decide.ready import current, is_good, start_deadline
from nodeorch.decide.restart import stays_down
from nodeorch.model.world import Code, Instance, Version, Why, WorkloadState, World

PATIENCE = 2
"""Ends of a new instance before it was ready, or refusals, that condemn its generation."""


def judge(world: World, state: WorkloadState, now: float) -> World:
    previous = state.record.previous
    if previous is None or state.record.deleting or state.record.stopped:
        return world
    if state.record.slots == ():
        return _judge_elsewhere(world, state)
    verdict = failure(state, now)
    if verdict is not None:
        return _go_back(world, state, verdict)
    fresh = current(state)
    good = [i for i in fresh if is_good(state, i, now)]
    if len(good) < len(state.slots) or len(state.instances) > len(fresh):
        return world
    return _arrived(world, state, previous)


def _judge_elsewhere(world: World, state: WorkloadState) -> World:
    """The same of what other hosts run for this one, by what they report."""
    record, name, arrived = state.record, state.workload.name, False
    for host in world.fleet.hosts.values():
        running = host.report.running.get(name) if host.report and host.told else None
        if running is None or not running.slots or host.lost:
            continue
        if running.failed == record.target.digest:
            cause = running.trouble.partition(" failed: ")[2].rpartition("; back to ")[0]
            return _go_back(world, state, f"on {host.name}: {cause or running.trouble}")
        if running.digest != record.target.digest or set(running.ready) < set(running.slots):
            return world
        arrived = True
    return _arrived(world, state, record.previous) if arrived and record.previous else world


def _arrived(world: World, state: WorkloadState, previous: Version) -> World:
    record = replace(state.record, previous=None)
    words = f"generation {record.target.generation} is ready, generation {previous.generation} gone"
    world = put(world, replace(state, record=record))
    return note(world, Why(code=Code.UPDATED, words=words), state.workload.name)


def failure(state: WorkloadState, now: float) -> str | None:
    """Why the new generation has failed; None while it may still succeed."""
    if state.create_failures >= PATIENCE and state.create_error:
        return f"cannot create its container: {state.create_error}"
    for instance in current(state):
        words = _instance_failure(instance, state, now)
        if words is not None:
            return f"{instance.name} {words}"
    return None


def _instance_failure(instance: Instance, state: WorkloadState, now: float) -> str | None:
    own, workload = instance.record, state.workload
    end = own.last_exit.why.words if own.last_exit else ""
    if instance.was_ready:
        return None
    if own.failures >= PATIENCE:
        return f"did not stay up: {instance.stuck or end}"
    if not instance.running and own.last_exit is not None and own.failures:
        forbidden = stays_down(state, instance)
        if forbidden is not None and forbidden.code is not Code.COMPLETED:
            return f"ended before it was ready: {end}"
    since = instance.watched_since
    deadline = start_deadline(workload)
    if since is not None and now - since >= deadline and not is_good(state, instance, now):
        hint = f": {instance.doom.words}" if instance.doom else ""
        return f"was not ready {deadline:g} s after its start{hint}"
    return None


def _go_back(world: World, state: WorkloadState, verdict: str) -> World:
    record = state.record
    assert record.previous is not None
    bad, good = record.target.generation, record.previous.generation
    words = f"generation {bad} failed: {verdict}; back to generation {good}"
    why = Why(code=Code.UPDATE_FAILED, words=words)
    fresh = replace(
        record,
        target=record.previous,
        previous=None,
        failed=why,
        failed_generation=bad,
        image_id=record.previous.image_id,
        image_digest=record.previous.image_digest,
        image_failures=0,
        image_next_try=None,
        image_error=None,
    )
    instances = {
        name: replace(i, record=replace(i.record, failures=0, next_try=None), retry_at=None)
        if i.record.template == fresh.target.template
        else i
        for name, i in state.instances.items()
    }
    world = put(
        world,
        replace(
            state,
            record=fresh,
            instances=instances,
            create_error=None,
            create_next_try=None,
            create_failures=0,
        ),
    )
    return note(world, why, state.workload.name)
