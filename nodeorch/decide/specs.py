"""Accepting, keeping and deleting what the spec files declare.

Reads the workloads already desired. Promises: a file that is broken or cannot be read
changes nothing that runs; a pass that would delete more than max(3, 30 %) of the
workloads, or all of them, deletes none until it is confirmed.
"""

from __future__ import annotations

from msgspec.structs import replace

from nodeorch.decide.edit import note, put, say
from nodeorch.decide.fleet.graves import next_term, taken
from nodeorch.decide.jobs import declared_again, superseded
from nodeorch.decide.template import diff, digest, summary, version
from nodeorch.model.facts import SpecsSeen
from nodeorch.model.workload import Pull, Workload
from nodeorch.model.world import (
    Brake,
    Code,
    DesiredRecord,
    Version,
    Why,
    WorkloadState,
    World,
)

BRAKE_COUNT = 3
BRAKE_SHARE = 0.3


def specs_seen(world: World, fact: SpecsSeen, now: float) -> World:
    for name in fact.applied:
        world = say(world, Code.OPERATOR, f"apply, by {fact.by}", name)
    world = _rejections(world, fact)
    for name in fact.taken:
        if name in fact.workloads:  # what is refused here is still its former home's
            world = taken(world, name, now)
    for name, workload in fact.workloads.items():
        world = _declare(world, workload, now, forced=name in fact.forced)
    return _deletions(world, fact)


def confirm(world: World, by: str) -> World:
    if world.brake is None:
        return world
    names, world = world.brake.names, replace(world, brake=None)
    words = f"{by} confirmed the deletion of {', '.join(names)}"
    world = say(world, Code.DELETION_CONFIRMED, words)
    for name in names:
        world = delete(world, name, words)
    return world


def delete(world: World, name: str, words: str) -> World:
    state = world.workloads.get(name)
    if state is None or state.record.deleting:
        return world
    world = put(world, replace(state, record=replace(state.record, deleting=True)))
    return say(world, Code.DELETED, words, name)


def aim(state: WorkloadState, target: Version, now: float) -> WorkloadState:
    """Turn a workload to another version, keeping the last good one to come back to.

    A pending backoff is cancelled: new words deserve a new try.
    """
    old = state.record
    good = old.previous or replace(old.target, image_id=old.image_id, image_digest=old.image_digest)
    keep_image = (
        target.workload.main.image == old.target.workload.main.image
        and target.workload.main.pull is not Pull.ALWAYS
    )
    fresh = replace(
        old,
        target=target,
        previous=good if _is_rollout(state, good, target) else None,
        image_id=old.image_id if keep_image else "",
        image_digest=old.image_digest if keep_image else "",
        image_failures=0,
        image_next_try=None,
        image_error=None,
        job=superseded(old),
    )
    instances = {}
    for name, instance in state.instances.items():
        own = replace(instance.record, failures=0, next_try=None)
        if own.template == target.template:
            own = replace(own, generation=target.generation)
        forgiven = replace(
            instance, record=own, retry_at=None, limits_retry_at=None, limits_error=None
        )
        if target.workload.probes != old.target.workload.probes:
            forgiven = replace(forgiven, liveness_failed=None)
        instances[name] = forgiven
    return replace(
        state,
        record=fresh,
        instances=instances,
        create_error=None,
        create_next_try=None,
        create_failures=0,
    )


def _is_rollout(state: WorkloadState, good: Version, target: Version) -> bool:
    """Whether instances of the one give way to instances of the other. A job's runs do not."""
    jobs = good.workload.is_job or target.workload.is_job
    there = bool(state.instances) or state.record.slots == ()  # or on another host
    return there and good.template != target.template and not jobs


def _declare_new(world: World, workload: Workload, now: float, *, forced: bool) -> World:
    target, name = version(workload, 1), workload.name
    term = next_term(world, name)
    record = DesiredRecord(
        target=target, declared=target.digest, latest=1, forced=forced, term=term
    )
    world = put(world, WorkloadState(record=record))
    if world.rebuilding:  # it may run already, under a generation that nobody remembers
        engine = replace(world.engine, listed_at=None, list_due=now)
        world = replace(world, engine=engine)
    return say(world, Code.SPEC_ACCEPTED, "declared: generation 1", name)


def _declare(world: World, workload: Workload, now: float, *, forced: bool) -> World:
    name, declared = workload.name, digest(workload)
    state = world.workloads.get(name)
    if state is None:
        return _declare_new(world, workload, now, forced=forced)
    if state.record.home:
        state = _own(world, state)
        world = put(world, state)
    old = state.record
    if old.deleting:
        job = declared_again(old.job)
        record = replace(old, deleting=False, stopped=False, scale=None, job=job)
        state = replace(state, record=record)
        world = say(put(world, state), Code.SPEC_ACCEPTED, "declared again", name)
        old = state.record
    if declared == old.declared and not (forced and declared != old.target.digest):
        if forced:  # what was refused is tried again now
            instances = {
                name: replace(i, limits_retry_at=None) for name, i in state.instances.items()
            }
            record = replace(old, forced=True)
            world = put(world, replace(state, record=record, instances=instances))
        return world
    changes = diff(old.target.workload, workload)
    if declared == old.target.digest:  # back to what already is the target
        target, latest = old.target, old.latest
    else:
        latest = old.latest + 1
        target = version(workload, latest)
    state = aim(state, target, now) if target is not old.target else state
    record = replace(
        state.record,
        declared=declared,
        latest=latest,
        failed=None,
        failed_generation=None,
        scale=None,
        forced=forced,
    )
    world = put(world, replace(state, record=record))
    words = f"generation {target.generation}: {summary(changes) or 'as it already runs'}"
    return note(world, Why(code=Code.SPEC_ACCEPTED, words=words), name, generation=latest)


def _own(world: World, state: WorkloadState) -> WorkloadState:
    """What was held for another host is declared here from now on; what runs runs on."""
    term = next_term(world, state.workload.name)
    return replace(
        state,
        record=replace(state.record, home="", term=term, slots=None, held_wall=0.0, held_boot=""),
    )


def _rejections(world: World, fact: SpecsSeen) -> World:
    for stem, words in fact.rejected.items():
        if world.rejected.get(stem) != words:
            kept = " (its last good version stays)" if stem in world.workloads else ""
            world = say(world, Code.SPEC_REJECTED, words + kept, stem)
    if fact.unreadable and world.rejected.get("") != fact.unreadable:
        world = say(world, Code.SPEC_REJECTED, fact.unreadable)
    rejected = fact.rejected | ({"": fact.unreadable} if fact.unreadable else {})
    return replace(world, rejected=rejected)


def _deletions(world: World, fact: SpecsSeen) -> World:
    for name in fact.deleted:
        if name not in fact.workloads:
            world = delete(world, name, f"its file was deleted by {fact.by or 'an operator'}")
    if fact.unreadable:
        return world
    kept = fact.workloads.keys() | fact.rejected.keys()
    alive = [n for n, s in world.workloads.items() if not (s.record.deleting or s.record.home)]
    missing = tuple(sorted(n for n in alive if n not in kept))
    if not missing:
        return replace(world, brake=None)
    most = max(BRAKE_COUNT, int(BRAKE_SHARE * len(alive)))
    if world.brake is not None or not kept or len(missing) > most:
        cause = (
            "no spec file is left" if not kept else f"{len(missing)} spec files are gone at once"
        )
        words = (
            f"cannot delete {', '.join(missing[:5])}{' …' if len(missing) > 5 else ''}: {cause}; "
            "nothing is deleted until `nodeorch confirm`, or put the files back"
        )
        if world.brake is None or world.brake.names != missing:
            world = say(world, Code.DELETION_HELD, words)
        return replace(world, brake=Brake(names=missing, words=words))
    for name in missing:
        world = delete(world, name, "its file is gone")
    return replace(world, brake=None)
