"""Room on the node: who may have how much of its memory.

Reads every instance's memory limit, and what its workload declares. Promises: the sum of
what may run never exceeds the node's memory by a decision taken here; what ended and will
come back finds its place again, as long as it fits beside what runs; two that wait for
each other's place cannot be: a promise that can be kept is checked against what runs alone.
"""

from __future__ import annotations

from nodeorch.decide.limits import UPDATING
from nodeorch.decide.ready import own_workload
from nodeorch.decide.restart import NOT_ITS_FAULT, stays_down
from nodeorch.decide.size import size
from nodeorch.model.world import Code, Instance, Why, WorkloadState, World


def request(state: WorkloadState) -> int:
    """Bytes of memory that one instance of the target asks of the node."""
    return state.workload.resources.memory or 0


def own_request(state: WorkloadState, instance: Instance) -> int:
    """Bytes of memory that an instance asks by its own generation.

    One that held less when it ended asks for that again: a raise has to wait for room.
    """
    ask = own_workload(state, instance).resources.memory or 0
    return ask if instance.left is None or instance.limits else min(ask, instance.left)


def requested(world: World) -> int:
    """Bytes of memory that run or are promised on the node."""
    return Room(world).reserved


class Room:
    """The node's memory as one turn of planning hands it out."""

    def __init__(self, world: World) -> None:
        self._memory = world.node.memory
        self._slots: dict[tuple[str, int], tuple[int, int]] = {}
        """(workload, slot) → bytes that run in it, bytes kept for it."""
        for name, state in world.workloads.items():
            for instance in state.instances.values():
                key = (name, instance.record.slot)
                runs, kept = self._slots.get(key, (0, 0))
                if instance.running or instance.record.up:
                    runs += _held(world, state, instance)
                else:
                    kept = max(kept, _kept(state, instance))
                self._slots[key] = (runs, kept)
        self._runs = self.reserved = sum(runs for runs, _ in self._slots.values())
        for key, (runs, kept) in self._slots.items():
            if self._runs - runs + kept > self._memory:
                self._slots[key] = (runs, 0)  # it cannot be kept: nobody waits for it
            else:
                self.reserved += max(0, kept - runs)

    def refuses(
        self, state: WorkloadState, slot: int, ask: int, *, instead: bool = False
    ) -> Why | None:
        """Why one more instance of the slot cannot run; ``instead``: of those that run now."""
        runs = self._slots.get((state.workload.name, slot), (0, 0))[0]
        need = self._need(state, slot, ask, instead=instead)
        if need:
            return self.lacks(need)
        free = self._memory - self._runs + (runs if instead else 0)
        return None if ask <= free else _no_room(ask, free)

    def lacks(self, need: int) -> Why | None:
        """Why ``need`` more bytes cannot be promised."""
        free = self._memory - self.reserved
        return None if need <= free else _no_room(need, free)

    def start(self, state: WorkloadState, slot: int, ask: int) -> None:
        """An instance of the slot starts in this turn."""
        self.reserved += self._need(state, slot, ask)
        self._runs += ask
        key = (state.workload.name, slot)
        runs, kept = self._slots.get(key, (0, 0))
        self._slots[key] = (runs + ask, kept)

    def reserve(self, state: WorkloadState, slot: int, ask: int) -> None:
        """An instance of the slot is created in this turn; the room is for its start."""
        self.reserved += self._need(state, slot, ask, instead=True)

    def claim(self, state: WorkloadState, slot: int, ask: int) -> None:
        """An instance of the slot is on its way: what comes after it finds the room taken.

        Where there is no room it claims none: it will wait, others need not.
        """
        if self.refuses(state, slot, ask, instead=True) is None:
            self.reserve(state, slot, ask)

    def grow(self, more: int) -> None:
        """A running instance is given ``more`` bytes in this turn."""
        self.reserved += more
        self._runs += more

    def _need(self, state: WorkloadState, slot: int, ask: int, *, instead: bool = False) -> int:
        """Bytes asked beyond what the slot has or is promised."""
        runs, kept = self._slots.get((state.workload.name, slot), (0, 0))
        return max(0, ask + (0 if instead else runs) - max(runs, kept))


def _held(world: World, state: WorkloadState, instance: Instance) -> int:
    """Bytes of memory that a running instance holds; a raise that may have happened counts."""
    held = instance.limits.memory if instance.limits else None
    if held is not None and not instance.stale and world.busy.get(instance.name) != UPDATING:
        return held
    ask = own_request(state, instance)
    return ask if held is None else max(held, ask)


def _kept(state: WorkloadState, instance: Instance) -> int:
    """Bytes of memory promised to one that ended and will start again, or to its successor."""
    end = instance.record.last_exit
    if end is None or instance.record.removing or state.record.stopped:
        return 0
    if not instance.record.started_once:  # after a boot all begin anew, and may wait for others
        return 0
    if end.why.code is Code.UPDATE:  # it made way: its place is the new one's
        return request(state)
    if end.why.code in NOT_ITS_FAULT and end.why.code is not Code.OPERATOR:
        return 0
    if stays_down(state, instance) is not None:
        return 0
    return own_request(state, instance)


def _no_room(need: int, free: int) -> Why:
    words = f"insufficient memory (need {size(need)}, {size(max(free, 0))} free)"
    return Why(code=Code.NO_ROOM, words=words)
