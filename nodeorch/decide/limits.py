"""The kernel's limits against the declared ones, and room on the node.

Reads ``Instance.limits`` (what the kernel said) and ``Workload.resources``. Promises: no
update is asked for what the kernel already holds; the sum of memory requests of what may
run never exceeds the node's by a decision taken here.
"""

from __future__ import annotations

from nodeorch.decide.ready import own_workload
from nodeorch.decide.restart import NOT_ITS_FAULT, forbids_restart
from nodeorch.decide.size import size
from nodeorch.model.workload import Resources
from nodeorch.model.world import Code, Instance, Limits, Why, WorkloadState, World

UPDATING = "update the limits of"
"""The verb of a live change under way."""
PAGE = 4096
CPU_GRAIN = 0.005
"""The engine rounds cpus to a quota of microseconds in a period."""
WEIGHT_GRAIN = 0.02
"""cgroup v1 shares and v2 weights do not map one to one."""


def drift(resources: Resources, limits: Limits) -> list[str]:
    """Words for each limit that the kernel holds differently from what is declared."""
    found = []
    if resources.memory is not None and not _same_bytes(resources.memory, limits.memory):
        found.append(_differs("memory", resources.memory, limits.memory))
    if not _same_cpu(resources.cpu, limits.cpu):
        found.append(_differs("cpu", resources.cpu, limits.cpu))
    if limits.pids != resources.pids:
        found.append(_differs("pids", resources.pids, limits.pids))
    if resources.cpuset is not None and _cpus(resources.cpuset) != _cpus(limits.cpuset or ""):
        found.append(_differs("cpuset", resources.cpuset, limits.cpuset))
    if not _same_weight(resources.cpu_weight, limits.cpu_weight):
        found.append(_differs("cpu_weight", resources.cpu_weight, limits.cpu_weight))
    high, held = resources.memory_high, limits.memory_high
    if high is not None and held is not None and not _same_bytes(high, held):
        found.append(_differs("memory_high", high, held))
    if resources.memory is not None and limits.swap is not None:
        swap = resources.swap or 0
        if not _same_bytes(swap, limits.swap):
            found.append(_differs("swap", swap, limits.swap))
    return found


def standing(resources: Resources, limits: Limits) -> list[str]:
    """Words for differences that no live change can heal: only another container can."""
    found = []
    if not _same_weight(resources.io_weight, limits.io_weight, grain=10.0):
        found.append(_differs("io_weight", resources.io_weight, limits.io_weight))
    for device in resources.io:
        held = limits.io.get(device.path, {})
        for field in ("read_bytes", "write_bytes", "read_ops", "write_ops"):
            wanted = getattr(device, field)
            if wanted and held.get(field) != wanted:
                found.append(_differs(f"io {device.path} {field}", wanted, held.get(field)))
    for name, declared in resources.ulimits.items():
        real = limits.ulimits.get(name)
        if real is not None and real != (declared.soft, declared.hard):
            words = (
                f"ulimit {name} is {real[0]}:{real[1]}, declared {declared.soft}:{declared.hard}"
            )
            found.append(words + " (a host's hard limit bounds it)")
    return found


def request(state: WorkloadState) -> int:
    """Bytes of memory that one instance of the target asks of the node."""
    return state.workload.resources.memory or 0


def own_request(state: WorkloadState, instance: Instance) -> int:
    """Bytes of memory that an instance asks by its own generation.

    One that held less when it ended asks for that again: a raise has to wait for room.
    """
    ask = own_workload(state, instance).resources.memory or 0
    return ask if instance.left is None or instance.limits else min(ask, instance.left)


def promised(world: World, state: WorkloadState, slot: int) -> tuple[int, int]:
    """Bytes of memory of a slot: of what runs in it, and what is promised to it.

    Promised is at least what runs. What ended of itself and will be started again keeps
    its promise, and so does a slot whose old instance made way for the new one.
    """
    runs = kept = 0
    for instance in state.instances.values():
        if instance.record.slot != slot:
            continue
        if instance.running or instance.record.up:
            runs += _held(world, state, instance)
        elif not state.record.stopped and _will_return(state, instance):
            end = instance.record.last_exit
            made_way = end is not None and end.why.code is Code.UPDATE
            kept = max(kept, request(state) if made_way else own_request(state, instance))
    return runs, max(runs, kept)


def requested(world: World) -> int:
    """Bytes of memory promised on the node."""
    return sum(
        promised(world, state, slot)[1]
        for state in world.workloads.values()
        for slot in {i.record.slot for i in state.instances.values()}
    )


def need(
    world: World, state: WorkloadState, slot: int, ask: int, *, starting: int = 0, room: bool = True
) -> int:
    """Bytes that an instance asking ``ask`` needs beyond what its slot is promised.

    ``starting``: what this turn has begun to start in the slot; ``room``: beside those that
    run now, not in their place.
    """
    runs, total = promised(world, state, slot)
    runs += starting
    return max(0, ask + (runs if room else 0) - max(total, runs))


def no_room(world: World, need: int, reserved: int) -> Why | None:
    """Why ``need`` more bytes cannot be promised, given those already reserved."""
    free = world.node.memory - reserved
    if need <= free:
        return None
    words = f"insufficient memory (need {size(need)}, {size(max(free, 0))} free)"
    return Why(code=Code.NO_ROOM, words=words)


def _held(world: World, state: WorkloadState, instance: Instance) -> int:
    """Bytes of memory that a running instance holds; a raise that may have happened counts."""
    ask = own_request(state, instance)
    held = instance.limits.memory if instance.limits else None
    if held is None:
        return ask
    raised = instance.stale or world.busy.get(instance.name) == UPDATING
    return max(held, ask) if raised else held


def _will_return(state: WorkloadState, instance: Instance) -> bool:
    end = instance.record.last_exit
    if end is None or instance.record.removing:
        return False
    if end.why.code is Code.UPDATE:  # it made way: its place is the new one's
        return True
    if end.why.code in NOT_ITS_FAULT:
        return False
    return forbids_restart(own_workload(state, instance).restart.policy, instance) is None


def _same_bytes(wanted: int, found: int | None) -> bool:
    return found is not None and abs(wanted - found) < PAGE


def _same_cpu(wanted: float | None, found: float | None) -> bool:
    if wanted is None or found is None:
        return wanted is found
    return abs(wanted - found) <= CPU_GRAIN + wanted * 0.001


def _same_weight(wanted: int | None, found: int | None, grain: float = 1.0) -> bool:
    if wanted is None or found is None:  # not declared, or not readable on this host
        return True
    return abs(wanted - found) <= max(grain, wanted * WEIGHT_GRAIN)


def _cpus(text: str) -> frozenset[int]:
    cpus: set[int] = set()
    for part in filter(None, text.split(",")):
        first, _, last = part.partition("-")
        cpus.update(range(int(first), int(last or first) + 1))
    return frozenset(cpus)


def _differs(field: str, wanted: object, found: object) -> str:
    if isinstance(wanted, int) and field in ("memory", "memory_high", "swap"):
        shown = size(found) if isinstance(found, int) else "no limit"
        return f"{field} is {shown}, declared {size(wanted)}"
    none = "no limit"
    return (
        f"{field} is {none if found is None else found}, "
        f"declared {none if wanted is None else wanted}"
    )
