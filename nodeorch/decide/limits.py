"""The kernel's limits against the declared ones.

Reads ``Instance.limits`` (what the kernel said) and ``Workload.resources``. Promises: no
update is asked for what the kernel already holds.
"""

from __future__ import annotations

from nodeorch.decide.size import size
from nodeorch.model.workload import Resources
from nodeorch.model.world import Limits

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
