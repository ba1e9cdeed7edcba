"""Resources as the OCI runtime wants them, and process limits; pure.

Weights are 1 to 10000 as in cgroup v2. Where v1 or OCI want other scales, the
linear formulas of runc 1.1 (libcontainer/cgroups, ConvertCPUSharesToCgroupV2Value
and ConvertBlkIOToIOWeightValue) are used backwards; on v2 the weight goes in as it
is, since newer runtimes convert differently.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nodeorch.model.workload import Resources, Ulimit

PERIOD = 100_000
"""Microseconds of a cpu quota's period: the kernel's default."""
MIN_QUOTA = 1_000
UNLIMITED = -1
DEFAULT_WEIGHT = 100
DEFAULT_SHARES = 1024
DEFAULT_ULIMITS = {"nofile": 1 << 20, "nproc": 1 << 22}
"""Podman's own, as root; lowered to what this host allows."""


def shares(weight: int) -> int:
    """cgroup v1 cpu.shares for a v2 cpu.weight."""
    return 2 + (weight - 1) * 262142 // 9999


def blkio_weight(weight: int) -> int:
    """OCI's block I/O weight (10 to 1000) for a v2 io.weight."""
    return 10 + (weight - 1) * 990 // 9999


def _memory(resources: Resources, v2: bool, swap_known: bool) -> dict[str, int]:
    wanted: dict[str, int] = {}
    if resources.memory is not None:
        wanted["limit"] = resources.memory
        if swap_known:
            wanted["swap"] = resources.memory + (resources.swap or 0)
    if not v2 and resources.memory_high is not None:
        wanted["reservation"] = resources.memory_high
    return wanted


def _cpu(resources: Resources, v2: bool) -> dict[str, Any]:
    wanted: dict[str, Any] = {}
    if resources.cpu is not None:
        wanted["period"] = PERIOD
        wanted["quota"] = max(round(resources.cpu * PERIOD), MIN_QUOTA)
    if resources.cpu_weight is not None and not v2:
        wanted["shares"] = shares(resources.cpu_weight)
    if resources.cpuset is not None:
        wanted["cpus"] = resources.cpuset
    return wanted


def unified(resources: Resources) -> dict[str, str]:
    """What goes to cgroup v2 files as it is."""
    wanted: dict[str, str] = {}
    if resources.memory_high is not None:
        wanted["memory.high"] = str(resources.memory_high)
    if resources.cpu_weight is not None:
        wanted["cpu.weight"] = str(resources.cpu_weight)
    return wanted


def at_creation(resources: Resources, *, v2: bool, swap_known: bool = True) -> dict[str, Any]:
    """OCI LinuxResources of a new container: what is None is left out."""
    wanted: dict[str, Any] = {
        "memory": _memory(resources, v2, swap_known),
        "cpu": _cpu(resources, v2),
        "pids": {"limit": resources.pids},
    }
    if resources.io_weight is not None:
        wanted["blockIO"] = {"weight": blkio_weight(resources.io_weight)}
    return {key: value for key, value in wanted.items() if value}


def live(resources: Resources, *, v2: bool, swap_known: bool = True) -> dict[str, Any]:
    """OCI LinuxResources of a change: what is None is taken back to unlimited or default.

    A cpuset, and the weight of block I/O, stay when they are None: there is no
    value that means "as before". Limits of devices cannot be changed live.
    """
    wanted = at_creation(resources, v2=v2, swap_known=swap_known)
    memory = wanted.setdefault("memory", {})
    cpu = wanted.setdefault("cpu", {})
    if resources.memory is None:
        memory["limit"] = UNLIMITED
        if swap_known:
            memory["swap"] = UNLIMITED
    if resources.cpu is None:
        cpu["quota"] = UNLIMITED
        cpu["period"] = PERIOD
    if v2:
        wanted["unified"] = {
            "memory.high": "max",
            "cpu.weight": str(DEFAULT_WEIGHT),
            **unified(resources),
        }
    else:
        memory.setdefault("reservation", UNLIMITED)
        cpu.setdefault("shares", DEFAULT_SHARES)
    return wanted


def devices(resources: Resources) -> dict[str, dict[str, dict[str, int]]]:
    """Limits of block devices, as SpecGenerator names them."""
    wanted: dict[str, dict[str, dict[str, int]]] = {}
    for device in resources.io:
        for key, rate in (
            ("throttleReadBpsDevice", device.read_bytes),
            ("throttleWriteBpsDevice", device.write_bytes),
            ("throttleReadIOPSDevice", device.read_ops),
            ("throttleWriteIOPSDevice", device.write_ops),
        ):
            if rate:
                wanted.setdefault(key, {})[device.path] = {"rate": rate}
    return wanted


def ulimits(wanted: Mapping[str, Ulimit], hard: Mapping[str, int]) -> list[dict[str, Any]]:
    """Process limits, none above ``hard``, this host's own hard limits by name.

    nofile and nproc are always named: Podman's defaults for them fail where it may
    not raise limits.
    """
    named = {name: Ulimit(soft=value, hard=value) for name, value in DEFAULT_ULIMITS.items()}
    named |= {name.lower(): limit for name, limit in wanted.items()}
    return [
        {
            "type": name,
            "soft": min(limit.soft, limit.hard, hard.get(name, limit.hard)),
            "hard": min(limit.hard, hard.get(name, limit.hard)),
        }
        for name, limit in sorted(named.items())
    ]
