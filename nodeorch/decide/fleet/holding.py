"""Laying a seat over the workloads: what another host declares is held here as if a file said it.

Reads a claim, its seat and the workload's state. Promises: a state of another home exists only
while the seat, or an instance that is still there, needs it; a version that its home does not
give is never made up; every-host and fleet-wide updates reach one host after the other.
"""

from __future__ import annotations

from msgspec.structs import replace

from nodeorch.decide.edit import put, say
from nodeorch.decide.fleet.copies import elsewhere, here
from nodeorch.decide.fleet.graves import buried, heir_is_silent
from nodeorch.decide.specs import aim, delete
from nodeorch.decide.template import version
from nodeorch.model.fleet import Claim, Declared, Fleet, Seat, Standing
from nodeorch.model.placing import Scope
from nodeorch.model.world import (
    Code,
    DesiredRecord,
    Version,
    Why,
    WorkloadState,
    World,
)


def hold(world: World, name: str, claim: Claim, seat: Seat, now: float) -> World:
    state = world.workloads.get(name)
    if seat.wait:
        return world
    if claim.home == world.fleet.me and not claim.orphan:
        return _hold_own(world, name, claim, seat)
    if state is not None and not state.record.home:
        return world  # one of our own has that name
    if state is None:
        return _take(world, name, claim, seat, now) if seat.slots else world
    if state.record.deleting:
        return world
    if not seat.slots and not state.instances:
        return _drop(world, name)
    world = _obey(world, state, claim, now)
    return _seat_foreign(world, name, seat, now)


def release(world: World, name: str, why: Why) -> World:
    """A copy is ended, and the workload is forgotten here."""
    state = world.workloads[name]
    if not state.instances:
        return _drop(world, name)
    return delete(world, name, why.words)


def still_needed(world: World, state: WorkloadState) -> bool:
    """It shall not move any more, and runs here until its home runs it; or it has a new home, of
    which nothing is known yet."""
    if heir_is_silent(world, state.record.home, state.workload.name):
        return True
    fleet, name, home = world.fleet, state.workload.name, state.record.home
    view, host = fleet.views.get(home), fleet.hosts.get(home)
    declared = view.declared.get(name) if view else None
    if declared is None or host is None or not declared.replicas:
        return False
    if here(world, state) is None or buried(fleet.record.graves, home, name, declared.term):
        return False
    running = host.report.running.get(name) if host.report and host.told else None
    return running is None or len(running.ready) < declared.replicas


def still_serves(world: World, state: WorkloadState) -> bool:
    """Another host is its home now; it runs here until all of it is ready elsewhere."""
    fleet, name = world.fleet, state.workload.name
    if here(world, state) is None:
        return False
    if heir_is_silent(world, fleet.me, name):
        return True
    claim = fleet.claims.get(name)
    if claim is None:
        return False
    ready: set[int] = set()
    for copy in elsewhere(fleet.hosts.values(), name, claim).values():
        ready |= copy.ready
    return not ready.issuperset(range(claim.declared.replicas))


def still_elsewhere(world: World, name: str) -> bool:
    """Another host runs what its home, which is this one, has taken back."""
    for host in world.fleet.hosts.values():
        running = host.report.running.get(name) if host.report and not host.lost else None
        if running is not None and running.home == world.fleet.me and running.slots:
            return True
    return False


def seated(world: World, name: str, slots: tuple[int, ...] | None) -> World:
    state = world.workloads[name]
    if state.record.slots == slots:
        return world
    return put(world, replace(state, record=replace(state.record, slots=slots)))


def _hold_own(world: World, name: str, claim: Claim, seat: Seat) -> World:
    state = world.workloads.get(name)
    if state is None or state.record.home:
        return world
    everything = len(seat.slots) == claim.declared.replicas
    slots = None if everything and _all_or_none(claim) else seat.slots
    before, boot = state.record.slots, world.node.boot_id
    if slots == before and (not slots or state.record.held_boot == boot):
        return world
    # Decided in this boot, though its slots may have other numbers than what runs.
    record = replace(state.record, slots=slots, held_boot=boot if seat.slots else "")
    world = put(world, replace(state, record=record))
    if slots == () and before != ():
        return say(world, Code.ELSEWHERE, seat.why.words, name)
    if before == ():
        return say(world, Code.PLACED, seat.why.words, name)
    return world


def _all_or_none(claim: Claim) -> bool:
    return claim.declared.workload.main.scope is not Scope.FLEET


def _take(world: World, name: str, claim: Claim, seat: Seat, now: float) -> World:
    declared = claim.declared
    record = DesiredRecord(
        target=_version(declared),
        declared=declared.digest,
        latest=declared.generation,
        stopped=declared.stopped,
        scale=declared.scale,
        operator_seq=declared.operator_seq,
        home=claim.home,
        term=declared.term,
        slots=seat.slots,
        held_wall=(world.wall_ahead or 0.0) + now,
        held_boot=world.node.boot_id,
    )
    world = put(world, WorkloadState(record=record))
    if seat.why.code is Code.TAKEN_OVER:
        takeovers = world.fleet.takeovers + 1
        world = replace(world, fleet=replace(world.fleet, takeovers=takeovers))
    return say(world, seat.why.code, seat.why.words, name)


def _seat_foreign(world: World, name: str, seat: Seat, now: float) -> World:
    state = world.workloads[name]
    own, boot = state.record, world.node.boot_id
    if own.slots == seat.slots and (own.held_boot == boot or not seat.slots):
        return world
    began = own.held_wall if own.slots else (world.wall_ahead or 0.0) + now
    record = replace(own, slots=seat.slots, held_boot=boot, held_wall=began)
    return say(put(world, replace(state, record=record)), seat.why.code, seat.why.words, name)


def _obey(world: World, state: WorkloadState, claim: Claim, now: float) -> World:
    """What the home wants of it: its version, and what an operator said there."""
    own, declared, name = state.record, claim.declared, state.workload.name
    if declared.digest != own.declared and _may_update(world.fleet, name, claim):
        target = _version_here(state, declared)
        fresh = aim(state, target, now)
        latest = max(own.latest, target.generation)
        record = replace(
            fresh.record,
            declared=declared.digest,
            latest=latest,
            failed=None,
            failed_generation=None,
        )
        words = f"{claim.home} declares generation {declared.generation}"
        state = replace(fresh, record=record)
        world = say(put(world, state), Code.SPEC_ACCEPTED, words, name)
    own = state.record
    obedient = replace(
        own,
        home=claim.home,
        term=declared.term,
        stopped=declared.stopped,
        scale=declared.scale,
        operator_seq=max(own.operator_seq, declared.operator_seq),
    )
    return world if obedient == own else put(world, replace(state, record=obedient))


def _may_update(fleet: Fleet, name: str, claim: Claim) -> bool:
    """One host after the other, the home first, then by name; one that fails holds up the rest."""
    if claim.declared.workload.main.scope is Scope.HOST:
        return True
    for host in fleet.hosts.values():
        running = host.report.running.get(name) if host.report else None
        if running is None or host.standing is not Standing.UP or not running.slots:
            continue
        if (host.name != claim.home, host.name) > (True, fleet.me):
            continue
        if running.digest != claim.declared.digest or set(running.ready) < set(running.slots):
            return False
    return True


def _version(declared: Declared) -> Version:
    return version(declared.workload, declared.generation)


def _version_here(state: WorkloadState, declared: Declared) -> Version:
    """The home counts anew when it has lost its database: no number is given out twice here."""
    target = _version(declared)
    numbers = {i.record.generation: i.record.template for i in state.instances.values()}
    if numbers.get(target.generation, target.template) == target.template:
        return target
    return replace(target, generation=state.record.latest + 1)


def _drop(world: World, name: str) -> World:
    left = {n: s for n, s in world.workloads.items() if n != name}
    return replace(world, workloads=left)
