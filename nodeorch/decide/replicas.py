"""Which instances a workload shall have: creating, replacing, retiring, slot by slot.

Reads a workload's target and previous version and its instances. Promises: an instance of
the previous generation is retired only when the new one of its slot is good, and stopped
before that only when both cannot run at once (a shared host port or volume, no room) and
the new one can start that moment; one slot at a time is replaced; never do two
generations hold one port or volume.
"""

from __future__ import annotations

from nodeorch.decide.create import create
from nodeorch.decide.ready import is_good, is_ready, own_workload, start_deadline
from nodeorch.decide.room import own_request
from nodeorch.decide.runs import plan_runs
from nodeorch.decide.turn import Turn
from nodeorch.decide.upkeep import keep_up, retire, start_blocked, take_down
from nodeorch.model.workload import Workload
from nodeorch.model.world import Code, Instance, Why, WorkloadState

DELETED = Why(code=Code.DELETED, words="its workload was deleted")
SURPLUS = Why(code=Code.SURPLUS, words="more instances than replicas")
STOPPED = Why(code=Code.OPERATOR, words="stopped by an operator")
LONG = (Code.DEPENDENCY, Code.NO_ROOM)
"""What can hold a new instance back for a long time."""
ABANDONED = Why(code=Code.UPDATED, words="its generation was given up")


def plan_workload(turn: Turn, state: WorkloadState) -> None:
    if turn.world.shutdown:
        _plan_shutdown(turn, state)
        return
    instances = sorted(state.instances.values(), key=lambda i: i.record.slot)
    if state.record.deleting:
        for instance in instances:
            retire(turn, state, instance, DELETED)
        return
    if state.record.stopped:
        turn.hold(state.workload.name, "", STOPPED)
    if state.workload.is_job:
        plan_runs(turn, state)
        return
    if state.record.stopped:
        for instance in instances:
            take_down(turn, state, instance, STOPPED)
        return
    if _undecided(turn, state):
        return
    surplus = _surplus(turn, state)
    slots: dict[int, list[Instance]] = {slot: [] for slot in state.slots}
    for instance in instances:
        if instance.record.slot in slots and not instance.record.removing:
            slots[instance.record.slot].append(instance)
        else:
            beyond = instance.record.slot >= state.replicas
            retire(turn, state, instance, SURPLUS if beyond else surplus)
    free = True  # to replace the next slot
    for slot, held in slots.items():
        free = _plan_slot(turn, state, slot, held, free) and free


def _undecided(turn: Turn, state: WorkloadState) -> bool:
    """Another host may run it: nothing starts here, nothing is given up, until that is known."""
    seat = turn.world.fleet.seats.get(state.workload.name)
    if seat is None or not seat.wait:
        return False
    turn.hold(state.workload.name, "", seat.why)
    return True


def _surplus(turn: Turn, state: WorkloadState) -> Why:
    """Why an instance that no slot wants is given up."""
    seat = turn.world.fleet.seats.get(state.workload.name)
    return seat.why if seat is not None and state.record.slots is not None else SURPLUS


def _plan_shutdown(turn: Turn, state: WorkloadState) -> None:
    """Dependents first: a workload stops when none that waits for it still runs."""
    name = state.workload.name
    for other in turn.world.workloads.values():
        waited_for = any(i.running and not i.stuck for i in other.instances.values())
        if name in other.workload.conditions and waited_for:
            words = f"is stopped after {other.workload.name}, which needs it"
            turn.hold(name, "", Why(code=Code.SHUTDOWN, words=words))
            return
    why = Why(code=Code.SHUTDOWN, words="the host shuts down")
    for instance in state.instances.values():
        take_down(turn, state, instance, why)


def _plan_slot(
    turn: Turn, state: WorkloadState, slot: int, held: list[Instance], free: bool
) -> bool:
    """Decide for one slot; whether the next one may be replaced too."""
    template = state.record.target.template
    new = next((i for i in held if i.record.template == template), None)
    others = [i for i in held if i is not new]
    old = _old(turn, state, others)
    leaving = [i for i in others if i is not old and (i.running or i.record.up)]
    if leaving:
        return _await_leaving(turn, state, leaving[0], (new, old))
    if old is None:
        if new is None:
            create(turn, state, slot)
        else:
            keep_up(turn, state, new)
        return new is not None and is_ready(state, new)
    if new is None:
        keep_up(turn, state, old)
        if free:
            create(turn, state, slot, old)
        return False
    if is_good(state, new, turn.now):
        words = f"generation {new.record.generation} has taken its place"
        retire(turn, state, old, Why(code=Code.UPDATED, words=words))
        keep_up(turn, state, new)
    elif new.running:
        _await_good(turn, state, new, old)
    else:
        _begin_new(turn, state, new, old)
    return False


def _await_leaving(
    turn: Turn, state: WorkloadState, leaving: Instance, others: tuple[Instance | None, ...]
) -> bool:
    """What runs beside one whose generation was given up runs on; nothing starts before it ends.

    It may hold what they need: its own version is not remembered any more.
    """
    for instance in others:
        if instance is not None and instance.running:
            keep_up(turn, state, instance)
        elif instance is not None:
            words = f"starts when {leaving.name}, whose generation was given up, has ended"
            turn.hold(state.workload.name, instance.name, Why(code=Code.UPDATE, words=words))
    return False


def _old(turn: Turn, state: WorkloadState, others: list[Instance]) -> Instance | None:
    """The one instance beside the new one that is worth keeping; the rest is retired.

    That is the last good generation's, or, on the way back from a failed one, whatever
    still serves.
    """
    previous = state.record.previous
    keep: Instance | None = None
    for instance in others:
        of_previous = previous is not None and instance.record.template == previous.template
        if of_previous or (previous is None and is_ready(state, instance)):
            keep = keep or instance
    for instance in others:
        if instance is not keep:
            retire(turn, state, instance, ABANDONED)
    return keep


def _await_good(turn: Turn, state: WorkloadState, new: Instance, old: Instance) -> None:
    since = new.watched_since if new.watched_since is not None else turn.now
    deadline = since + start_deadline(state.workload)
    words = f"waits for generation {new.record.generation} to be ready"
    why = Why(code=Code.UPDATE, words=words)
    turn.hold(state.workload.name, new.name, why, deadline if deadline > turn.now else None)
    settle = since + state.workload.update.settle
    if settle > turn.now:
        turn.wake(settle)
    keep_up(turn, state, new)
    if shared_between(state.workload, own_workload(state, old)) is None:
        keep_up(turn, state, old)


def _begin_new(turn: Turn, state: WorkloadState, new: Instance, old: Instance) -> None:
    """The new instance is to start; the old one is stopped first where both cannot run."""
    shared = shared_between(state.workload, own_workload(state, old))
    slot, ask = new.record.slot, own_request(state, new)
    blocked = start_blocked(turn, state, new)
    why = blocked.why if blocked else None
    why = why or turn.room.refuses(state, slot, ask, instead=True)
    if shared is not None and old.record.up and not old.running:
        keep_up(turn, state, old)  # it may run: its start has no answer yet
        words = f"starts when it is known whether {old.name} runs: {shared}"
        turn.hold(state.workload.name, new.name, Why(code=Code.LOOK, words=words))
        return
    if not old.running:
        keep_up(turn, state, new)
        # The old one comes back where it harms nothing, or the new one may take a long time.
        if shared is None or (why is not None and why.code in LONG):
            keep_up(turn, state, old)
        return
    full = turn.room.refuses(state, slot, ask)
    if why is not None or (shared is None and full is None):
        keep_up(turn, state, new)  # looks at it, or says what it waits for, or starts it
        keep_up(turn, state, old)
        return
    obstacle = shared or (full.words if full else "")
    words = f"makes way for generation {new.record.generation}: {obstacle}"
    take_down(turn, state, old, Why(code=Code.UPDATE, words=words))


def shared_between(one: Workload, other: Workload) -> str | None:
    """What two versions of a workload cannot both hold."""
    ports = {p.host for p in one.ports if p.host} & {p.host for p in other.ports if p.host}
    if ports:
        return f"both need host port {min(ports)}"
    names = {v.name for v in one.volumes if v.name} & {v.name for v in other.volumes if v.name}
    if names:
        return f"both need volume {min(names)}"
    if "host" in one.main.networks and "host" in other.main.networks:
        return "both are on the host's network"
    return None
