"""``absorb(world, fact, now) -> world``: remember a fact and judge what follows from it.

Reads and writes everything; each kind of fact has one function, in the module named for
where it comes from. After it, for the workloads it touched: readiness changes are noted,
an update is judged, and ``settled`` says whether the planner may pass it by.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from msgspec.structs import replace

from nodeorch.decide import changes
from nodeorch.decide.commands import commanded
from nodeorch.decide.edit import note, put_instance, say
from nodeorch.decide.fleet import members, mirrors
from nodeorch.decide.fleet.step import follow as follow_fleet
from nodeorch.decide.fleet.step import quiet_seen
from nodeorch.decide.fleet.step import remembered as remembered_fleet
from nodeorch.decide.jobs import clock_seen, follow
from nodeorch.decide.limits import drift, standing
from nodeorch.decide.observe import (
    died,
    hinted,
    limits_seen,
    listed,
    oom_seen,
    probe_seen,
)
from nodeorch.decide.pressure import pressure_seen
from nodeorch.decide.ready import awaited_hook, is_ready, own_workload, start_deadline
from nodeorch.decide.results import begin, done, engine_seen, failed
from nodeorch.decide.specs import specs_seen
from nodeorch.decide.update import judge
from nodeorch.model import facts
from nodeorch.model.facts import Fact
from nodeorch.model.world import Code, Instance, State, Why, WorkloadState, World


def absorb(world: World, fact: Fact, now: float) -> World:
    earlier, before = world, world.workloads
    world = changes.begun(_FACTS[type(fact)](world, fact, now), earlier, fact, now)
    for name, state in list(world.workloads.items()):
        if before.get(name) is not state or (state.record.previous is not None):
            world = _follow(world, before.get(name), name, now)
    world = follow_fleet(world, earlier, fact, now)
    return changes.judged(world, earlier, fact, now) if world.doing else world


def _follow(world: World, before: WorkloadState | None, name: str, now: float) -> World:
    state = world.workloads[name]
    for instance in state.instances.values():
        old = before.instances.get(instance.name) if before else None
        if old is not instance:
            world = _readiness(world, old, instance)
            world = _standing_drift(world, old, instance)
        world = _judge_liveness(world, world.workloads[name].instances[instance.name], now)
    world = judge(world, world.workloads[name], now)
    world = follow(world, before, name, now)
    state = world.workloads[name]
    if state.record.deleting and not state.instances:
        left = {k: v for k, v in world.workloads.items() if k != name}
        return say(replace(world, workloads=left), Code.REMOVED, "gone", name)
    settled = is_settled(world, state)
    if settled != state.settled:
        fresh = replace(state, settled=settled)
        world = replace(world, workloads={**world.workloads, name: fresh})
    return world


def is_settled(world: World, state: WorkloadState) -> bool:
    """Nothing to do, whatever the time: only a fact about the workload changes that."""
    own = state.record
    if state.workload.is_job:  # time alone can make a run of it
        return False
    if own.deleting or own.stopped or own.previous is not None or not own.image_id:
        return False
    wanted = set(state.slots)
    if len(state.instances) != len(wanted):
        return False
    if {i.record.slot for i in state.instances.values()} != wanted:
        return False
    resources = own.target.workload.resources
    return all(
        _instance_settled(world, state, i) and not (i.limits and drift(resources, i.limits))
        for i in state.instances.values()
    )


def _instance_settled(world: World, state: WorkloadState, instance: Instance) -> bool:
    own = instance.record
    return (
        own.template == state.record.target.template
        and own.operator_seq >= state.record.operator_seq
        and not own.removing
        and instance.state is State.RUNNING
        and instance.died_at is None
        and not instance.stale
        and instance.look_at is None
        and instance.doom is None
        and instance.liveness_failed is None
        and awaited_hook(state, instance) is None
        and instance.name not in world.busy
    )


def _readiness(world: World, old: Instance | None, instance: Instance) -> World:
    name = instance.record.workload
    state = world.workloads[name]
    was, now = old is not None and is_ready(state, old), is_ready(state, instance)
    if was == now:
        return world
    if now:
        world = put_instance(world, replace(instance, was_ready=True))
        return say(world, Code.READY, "is ready", name, instance.name)
    if instance.running and instance.died_at is None:
        cause = ": its readiness probe fails" if instance.readiness is False else ""
        words = f"is not ready any more{cause}"
        return say(world, Code.NOT_READY, words, name, instance.name)
    return world


def _standing_drift(world: World, old: Instance | None, instance: Instance) -> World:
    """Say once a run which limits are not as declared and cannot be healed live."""
    if instance.limits is None or (old is not None and old.limits is not None):
        return world
    state = world.workloads[instance.record.workload]
    if instance.record.template != state.record.target.template:
        return world
    words = "; ".join(standing(state.workload.resources, instance.limits))
    return say(world, Code.DRIFT, words, state.workload.name, instance.name) if words else world


def _judge_liveness(world: World, instance: Instance, now: float) -> World:
    """Liveness kills only what was ready once, or had its time to become so."""
    if instance.liveness_failed is None or instance.doom is not None or not instance.running:
        return world
    workload = own_workload(world.workloads[instance.record.workload], instance)
    probes = workload.probes
    if probes.liveness is None:
        return world
    gated = probes.readiness is not None or probes.startup is not None
    known_good = instance.liveness_passed or (instance.was_ready and gated)
    since = instance.running_since or now
    if not known_good and now - since < start_deadline(workload):
        return world
    why = Why(code=Code.PROBE_FAILED, words=instance.liveness_failed)
    return put_instance(world, replace(instance, doom=why))


def _loaded(world: World, fact: facts.Loaded, now: float) -> World:
    # A wait for an image ends with the daemon: its time may be of an earlier boot's clock.
    states: dict[str, WorkloadState] = {
        name: WorkloadState(record=replace(record, image_failures=0, image_next_try=None))
        for name, record in fact.desired.items()
    }
    for own in fact.instances.values():
        state = states.get(own.workload)
        if state is None:
            continue
        instance = Instance(record=own, state=State.EXITED if own.pruned else State.UNKNOWN)
        states[own.workload] = replace(state, instances={**state.instances, own.name: instance})
    world = replace(world, workloads=states, serial=fact.serial, rebuilding=fact.rebuilt)
    world = remembered_fleet(world, fact, now)
    world = changes.remembered(world, fact.changes, fact.wall, now)
    if fact.rebuilt:
        words = (
            "the database, or a part of it, was lost or is of a newer nodeorch; "
            "state is rebuilt from the specs and the engine"
        )
        world = note(world, Why(code=Code.STATE_REBUILT, words=words))
    return world


def _ticked(world: World, fact: facts.Tick, now: float) -> World:
    """Look again at what waits for a time."""
    workloads = {n: s if s.settled else replace(s) for n, s in world.workloads.items()}
    return replace(world, workloads=workloads)


def _store_seen(world: World, fact: facts.StoreSeen, now: float) -> World:
    trouble = "" if fact.working else fact.words
    code = Code.STORE_WORKS if fact.working else Code.STORE_FAILED
    words = "the database takes writes again" if fact.working else fact.words
    return say(replace(world, store_trouble=trouble), code, words)


def _noted(world: World, fact: facts.Noted, now: float) -> World:
    return replace(world, notes=(*world.notes, fact.note))


_FACTS: dict[type, Callable[[World, Any, float], World]] = {
    facts.Tick: _ticked,
    facts.ClockSeen: clock_seen,
    facts.Loaded: _loaded,
    facts.SpecsSeen: specs_seen,
    facts.Listed: listed,
    facts.Hint: hinted,
    facts.Died: died,
    facts.OomSeen: oom_seen,
    facts.LimitsSeen: limits_seen,
    facts.ProbeSeen: probe_seen,
    facts.EngineSeen: engine_seen,
    facts.PressureSeen: pressure_seen,
    facts.MembersSeen: members.members_seen,
    facts.LinkSeen: members.link_seen,
    facts.OpinionSeen: members.opinion_seen,
    facts.ReportSeen: members.report_seen,
    facts.ViewSeen: mirrors.view_seen,
    facts.NameTaken: members.name_taken,
    facts.QuietSeen: quiet_seen,
    facts.HostRemoved: mirrors.host_removed,
    facts.StoreSeen: _store_seen,
    facts.Command: commanded,
    facts.Noted: _noted,
    facts.Done: done,
    facts.Failed: failed,
}

__all__ = ["absorb", "begin", "is_settled"]
