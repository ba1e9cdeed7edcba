"""Which instances a workload shall have: creating, replacing, retiring, slot by slot.

Reads a workload's target and previous version and its instances. Promises: an instance of
the previous generation is retired only when the new one of its slot is good; where both
cannot run at once (a shared host port or volume, no room), the old one is stopped first
but kept; one slot at a time is replaced.
"""

from __future__ import annotations

from nodeorch.decide.edit import instance_name
from nodeorch.decide.limits import no_room, request
from nodeorch.decide.ready import is_good, is_ready, start_deadline
from nodeorch.decide.turn import Turn
from nodeorch.decide.upkeep import keep_up, retire, take_down
from nodeorch.model.actions import CreateContainer, EnsureImage
from nodeorch.model.workload import Workload
from nodeorch.model.world import Code, Instance, Why, WorkloadState

DELETED = Why(code=Code.DELETED, words="its workload was deleted")
SURPLUS = Why(code=Code.SURPLUS, words="more instances than replicas")
STOPPED = Why(code=Code.OPERATOR, words="stopped by an operator")


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
        for instance in instances:
            take_down(turn, state, instance, STOPPED)
        return
    slots: dict[int, list[Instance]] = {slot: [] for slot in range(state.replicas)}
    for instance in instances:
        if instance.record.slot in slots and not instance.record.removing:
            slots[instance.record.slot].append(instance)
        else:
            retire(turn, state, instance, SURPLUS)
    free = True  # to replace the next slot
    for slot, held in slots.items():
        free = _plan_slot(turn, state, slot, held, free) and free


def _plan_shutdown(turn: Turn, state: WorkloadState) -> None:
    """Dependents first: a workload stops when none that waits for it still runs."""
    name = state.workload.name
    for other in turn.world.workloads.values():
        if name in other.workload.conditions and any(i.running for i in other.instances.values()):
            words = f"is stopped after {other.workload.name}, which needs it"
            turn.hold(name, "", Why(code=Code.SHUTDOWN, words=words))
            return
    why = Why(code=Code.SHUTDOWN, words="the host shuts down")
    for instance in state.instances.values():
        take_down(turn, state, instance, why)


def _plan_slot(
    turn: Turn, state: WorkloadState, slot: int, held: list[Instance], free: bool
) -> bool:
    """Decide for one slot; False while it is being replaced."""
    template = state.record.target.template
    new = next((i for i in held if i.record.template == template), None)
    old = [i for i in held if i is not new]
    if new is None:
        if old and not free:
            for instance in old:
                keep_up(turn, state, instance)
            return True
        _create(turn, state, slot, old)
        for instance in old:
            keep_up(turn, state, instance)
        return not old
    if not old:
        keep_up(turn, state, new)
        return is_ready(new, state.workload)
    if is_good(new, state.workload, turn.now):
        generation = new.record.generation
        why = Why(code=Code.UPDATED, words=f"generation {generation} has taken its place")
        for instance in old:
            retire(turn, state, instance, why)
        keep_up(turn, state, new)
    elif new.running:
        _await_good(turn, state, new, old)
    else:
        _give_way(turn, state, new, old)
    return False


def _await_good(turn: Turn, state: WorkloadState, new: Instance, old: list[Instance]) -> None:
    since = new.running_since if new.running_since is not None else turn.now
    deadline = since + start_deadline(state.workload)
    words = f"waits for generation {new.record.generation} to be ready"
    why = Why(code=Code.UPDATE, words=words)
    turn.hold(state.workload.name, new.name, why, deadline if deadline > turn.now else None)
    settle = since + state.workload.update.settle
    if settle > turn.now:
        turn.wake(settle)
    keep_up(turn, state, new)
    for instance in old:
        if instance.running:
            keep_up(turn, state, instance)


def _give_way(turn: Turn, state: WorkloadState, new: Instance, old: list[Instance]) -> None:
    """The new instance is to start; stop the old one first where both cannot run."""
    running = [i for i in old if i.running]
    obstacle = _obstacle(turn, state, new) if running else None
    if obstacle is None:
        turn.reserved += request(state) if running else 0
        keep_up(turn, state, new)
        for instance in old:
            if instance.running:
                keep_up(turn, state, instance)
        return
    why = Why(
        code=Code.UPDATE, words=f"makes way for generation {new.record.generation}: {obstacle}"
    )
    for instance in running:
        take_down(turn, state, instance, why)


def _obstacle(turn: Turn, state: WorkloadState, new: Instance) -> str | None:
    """Why the old and the new instance of a slot cannot run at once."""
    record = state.record
    other = record.previous.workload if record.previous else record.target.workload
    shared = shared_between(record.target.workload, other)
    if shared:
        return shared
    if record.failed is not None:
        return "its generation failed"
    full = no_room(turn.world, request(state), turn.reserved)
    return f"no room for both: {full.words}" if full else None


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


def _create(turn: Turn, state: WorkloadState, slot: int, old: list[Instance]) -> None:
    record, workload = state.record, state.workload
    name = instance_name(workload.name, slot, record.target.generation)
    if any(i.name == name for i in old) or turn.busy(name):
        return
    if state.create_next_try is not None and state.create_next_try > turn.now:
        why = Why(code=Code.BACKOFF, words=f"cannot create {name}: {state.create_error}")
        turn.hold(workload.name, name, why, state.create_next_try)
        return
    if not record.image_id:
        _image(turn, state)
        return
    if not old:  # else it takes the old one's place, or waits to start until there is room
        need = request(state)
        full = no_room(turn.world, need, turn.reserved)
        if full is not None:
            turn.hold(workload.name, name, full)
            return
        turn.reserved += need
    words = f"slot {slot} has no instance of generation {record.target.generation}"
    turn.act(
        CreateContainer(
            key=name,
            why=Why(code=Code.UPDATE if old else Code.MISSING, words=words),
            workload=workload.name,
            spec=workload,
            slot=slot,
            generation=record.target.generation,
            template=record.target.template,
            serial=turn.next_serial(),
            image_id=record.image_id,
        )
    )


def _image(turn: Turn, state: WorkloadState) -> None:
    record, main = state.record, state.workload.main
    key = f"{main.name}#image"
    if record.image_next_try is not None and record.image_next_try > turn.now:
        words = f"cannot get image {main.image}: {record.image_error}"
        why = Why(code=Code.IMAGE_FAILED, words=words)
        turn.hold(main.name, "", why, record.image_next_try)
        return
    why = Why(code=Code.IMAGE, words=f"image {main.image} is needed (pull: {main.pull.value})")
    turn.act(EnsureImage(key=key, why=why, workload=main.name, image=main.image, policy=main.pull))
