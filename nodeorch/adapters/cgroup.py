"""ports.Cgroups: limits, use and OOM kills from the kernel's files, cgroup v2 and v1.

A container's cgroup is found through /proc/PID/cgroup, whose path has to carry the
container's id: a pid that was used again cannot mislead. The path is remembered, so
that OOM kills can still be counted when the first process is already dead.
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from collections.abc import Set as AbstractSet

from msgspec.structs import replace

from nodeorch.model.view import HostStats, Pressure
from nodeorch.model.world import Limits
from nodeorch.ports import Usage

log = logging.getLogger(__name__)

UNLIMITED_V1 = 1 << 62
"""v1 shows "no limit" as the largest multiple of a page below 2^63."""
REMEMBERED = 4096
"""Containers whose paths are kept; the oldest go first."""
CHUNK = 8192

IO_V1 = {
    "blkio.throttle.read_bps_device": "read_bytes",
    "blkio.throttle.write_bps_device": "write_bytes",
    "blkio.throttle.read_iops_device": "read_ops",
    "blkio.throttle.write_iops_device": "write_ops",
}
IO_V2 = {"rbps": "read_bytes", "wbps": "write_bytes", "riops": "read_ops", "wiops": "write_ops"}
ULIMITS = {
    "Max cpu time": "cpu",
    "Max file size": "fsize",
    "Max data size": "data",
    "Max stack size": "stack",
    "Max core file size": "core",
    "Max resident set": "rss",
    "Max processes": "nproc",
    "Max open files": "nofile",
    "Max locked memory": "memlock",
    "Max file locks": "locks",
    "Max pending signals": "sigpending",
    "Max msgqueue size": "msgqueue",
    "Max nice priority": "nice",
    "Max realtime priority": "rtprio",
    "Max realtime timeout": "rttime",
}
"""Names in /proc/PID/limits, as proc(5) has them → as setrlimit(2) and specs do."""
NAME_WIDTH = 26
PRESSURES = ("cpu", "memory", "io")
"""Files of PSI, Documentation/accounting/psi.rst: NAME.pressure of a v2 cgroup, and
/proc/pressure/NAME of the host."""
USUAL = ("libpod_parent/libpod-{}", "machine.slice/libpod-{}.scope")
"""Where Podman puts a container, by its cgroup manager: cgroupfs, systemd (podman-run(1))."""

Place = Mapping[str, str]
"""Controller → directory of the container; on v2 the only controller is ""."""


def _read(path: str) -> str | None:
    """A whole small file; None when it is not there (any more)."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        return os.read(handle, CHUNK).decode("ascii", "replace")
    except OSError:
        return None
    finally:
        os.close(handle)


def _number(text: str | None) -> int | None:
    """ "max", v1's huge numbers and -1 are no limit."""
    try:
        value = int(text or "")
    except ValueError:
        return None
    return value if 0 <= value < UNLIMITED_V1 else None


def _field(text: str | None, name: str) -> int | None:
    """The value in a file of "name value" lines."""
    for line in (text or "").splitlines():
        key, _, value = line.partition(" ")
        if key == name:
            return _number(value)
    return None


def _kib(text: str, name: str) -> int | None:
    """Bytes, of a line "name     123 kB"."""
    value = next((line.split()[1] for line in text.splitlines() if line.startswith(name + " ")), "")
    return int(value) * 1024 if value.isdigit() else None


def _psi(text: str | None, field: str) -> float | None:
    """Of the line "some avg10=0.12 avg60=0.05 avg300=0.01 total=123456" (percent; microseconds)."""
    for line in (text or "").splitlines():
        if line.startswith("some "):
            value = dict(pair.split("=", 1) for pair in line.split() if "=" in pair).get(field, "")
            return float(value) if value.replace(".", "", 1).isdigit() else None
    return None


def _shorten(path: str, container_id: str) -> str | None:
    """The path down to the component that names the container: limits are set there.

    Some runtimes put the processes one level deeper (crun: ``libpod-ID.scope/container``).
    A zombie whose cgroup is gone has a mark behind its path (cgroups(7)).
    """
    head, found, tail = path.removesuffix(" (deleted)").partition(container_id)
    return head + found + tail.partition("/")[0] if found else None


def weight_of_shares(shares: int) -> int:
    """cgroup v2 cpu.weight of v1 cpu.shares: runc 1.1's ConvertCPUSharesToCgroupV2Value.

    Rounded to the nearest, so that a weight which was turned into shares comes back.
    """
    return round(1 + (shares - 2) * 9999 / 262142)


def weight_of_blkio(weight: int) -> int:
    """cgroup v2 io.weight of an OCI block I/O weight (runc's ConvertBlkIOToIOWeightValue)."""
    return round(1 + (weight - 10) * 9999 / 990)


class CgroupReader:
    """One reader for both layouts; ``root`` is where cgroups are mounted."""

    def __init__(
        self,
        root: str = "/sys/fs/cgroup",
        proc: str = "/proc",
        now: Callable[[], float] = lambda: time.clock_gettime(time.CLOCK_BOOTTIME),
    ) -> None:
        self._proc = proc
        self._now = now
        self.v2 = os.path.exists(f"{root}/cgroup.controllers")
        self._mounts = {"": root} if self.v2 else _controllers(root)
        self._places: dict[str, Place] = {}

    def limits(self, pid: int, container_id: str) -> Limits | None:
        place = self._place(pid, container_id)
        if place is None:
            return None
        limits = _limits_v2(place[""]) if self.v2 else _limits_v1(place)
        if not all(map(os.path.isdir, place.values())):
            return None  # it went while we read: files that are gone are no "no limit"
        return replace(limits, ulimits=_ulimits(_read(f"{self._proc}/{pid}/limits")))

    def usage(self, pid: int, container_id: str) -> Usage | None:
        """Memory without the page cache that the kernel would give up first."""
        place = self._place(pid, container_id)
        if place is None:
            return None
        if self.v2:
            where = place[""]
            memory = _working_set(where, "memory.current", "inactive_file")
            cpu = _field(_read(f"{where}/cpu.stat"), "usage_usec")
            seconds = None if cpu is None else cpu / 1e6
        else:
            where = place.get("memory", "")
            memory = _working_set(where, "memory.usage_in_bytes", "total_inactive_file")
            cpu = _number(_read(f"{place.get('cpuacct', '')}/cpuacct.usage"))
            seconds = None if cpu is None else cpu / 1e9
        kills, stalled = self._oom(place), self._stalled(place)
        return Usage(memory, seconds, kills, at=self._now(), stalled=stalled)

    def host(self) -> HostStats:
        """The whole machine, for display."""
        meminfo = (_read(f"{self._proc}/meminfo") or "").replace(":", "")
        waits = {n: _psi(_read(f"{self._proc}/pressure/{n}"), "avg10") for n in PRESSURES}
        return HostStats(
            cpus=os.cpu_count() or 1,
            memory_total=_kib(meminfo, "MemTotal"),
            memory_available=_kib(meminfo, "MemAvailable"),
            pressure=Pressure(**waits),
        )

    def oom_kills(self, container_id: str) -> int | None:
        """None: its cgroup is gone, or is where we never saw it and Podman does not put it."""
        counts = [self._oom(place) for place in self._where(container_id)]
        return next((kills for kills in counts if kills is not None), None)

    def kill(self, container_id: str) -> int:
        killed = 0
        for pid in self._processes(container_id):
            try:
                handle = os.pidfd_open(pid)
            except OSError:
                continue
            try:
                if self.belongs(pid, container_id):  # from here on it cannot become another's
                    signal.pidfd_send_signal(handle, signal.SIGKILL)
                    killed += 1
            except OSError as error:
                log.warning("cannot kill process %d of %s: %s", pid, container_id[:12], error)
            finally:
                os.close(handle)
        return killed

    def sweep(self, left: AbstractSet[str]) -> None:
        for container_id in [key for key in self._places if key not in left]:
            place = self._places.pop(container_id)
            key, path = next(iter(place.items()), ("", ""))
            inside = path.removeprefix(self._mounts.get(key, path))
            for mount in self._mounts.values() if inside else ():
                for folder, _, _ in os.walk(mount + inside, topdown=False):
                    with contextlib.suppress(OSError):  # one that is in use stays
                        os.rmdir(folder)

    def _processes(self, container_id: str) -> Iterator[int]:
        """Also of the cgroups below: some runtimes make one."""
        for place in self._where(container_id):
            for folder, _, _ in os.walk(place.get("" if self.v2 else "pids", "")):
                for word in (_read(f"{folder}/cgroup.procs") or "").split():
                    yield int(word)

    def _where(self, container_id: str) -> list[Place]:
        """Where its cgroup is; where Podman puts one, if its first process died unseen."""
        if (known := self._places.get(container_id)) is not None:
            return [known]
        names = [usual.format(container_id) for usual in USUAL]
        return [{key: f"{mount}/{name}" for key, mount in self._mounts.items()} for name in names]

    def belongs(self, pid: int, container_id: str) -> bool:
        """Is this process in that container's cgroup?"""
        return container_id in (_read(f"{self._proc}/{pid}/cgroup") or "")

    def _oom(self, place: Place) -> int | None:
        if self.v2:
            return _field(_read(f"{place['']}/memory.events"), "oom_kill")
        return _field(_read(f"{place.get('memory', '')}/memory.oom_control"), "oom_kill")

    def _stalled(self, place: Place) -> dict[str, float]:
        if not self.v2:
            return {}
        totals = {n: _psi(_read(f"{place['']}/{n}.pressure"), "total") for n in PRESSURES}
        return {name: total / 1e6 for name, total in totals.items() if total is not None}

    def _place(self, pid: int, container_id: str) -> Place | None:
        text = _read(f"{self._proc}/{pid}/cgroup")
        if text is None or container_id not in text:
            return None
        known = self._places.get(container_id)
        if known is None:
            known = self._places[container_id] = self._resolve(text, container_id)
            if len(self._places) > REMEMBERED:
                del self._places[next(iter(self._places))]
        return known

    def _resolve(self, text: str, container_id: str) -> Place:
        """Lines are "number:controller,controller:path"; v2's is "0::path"."""
        place: dict[str, str] = {}
        for line in text.splitlines():
            _, _, rest = line.partition(":")
            controllers, _, path = rest.partition(":")
            short = _shorten(path, container_id)
            for controller in controllers.split(","):
                if short is not None and controller in self._mounts:
                    place[controller] = self._mounts[controller] + short
        return place


def _controllers(root: str) -> dict[str, str]:
    """v1: each controller's mount, also where several share one ("cpu,cpuacct")."""
    found: dict[str, str] = {}
    try:
        names = os.listdir(root)
    except OSError:
        return found
    for name in names:
        found |= dict.fromkeys(name.split(","), f"{root}/{name}")
    return found


def _working_set(where: str, current: str, cache: str) -> int | None:
    used = _number(_read(f"{where}/{current}"))
    if used is None:
        return None
    return max(used - (_field(_read(f"{where}/memory.stat"), cache) or 0), 0)


def _limits_v2(where: str) -> Limits:
    quota, _, period = (_read(f"{where}/cpu.max") or "max").partition(" ")
    return Limits(
        memory=_number(_read(f"{where}/memory.max")),
        memory_high=_number(_read(f"{where}/memory.high")),
        swap=_number(_read(f"{where}/memory.swap.max")),
        cpu=_cpus(quota, period),
        cpu_weight=_number(_read(f"{where}/cpu.weight")),
        cpuset=(_read(f"{where}/cpuset.cpus") or "").strip() or None,
        pids=_number(_read(f"{where}/pids.max")),
        io_weight=_io_weight_v2(where),
        io=_io_v2(_read(f"{where}/io.max")),
    )


def _io_weight_v2(where: str) -> int | None:
    """io.weight under io.cost; under BFQ its own file, on OCI's scale."""
    if (text := _read(f"{where}/io.weight")) is not None:
        return _default_weight(text)
    bfq = _default_weight(_read(f"{where}/io.bfq.weight"))
    return None if bfq is None else weight_of_blkio(bfq)


def _default_weight(text: str | None) -> int | None:
    """ "default 100", or on old kernels just "100"."""
    first = (text or "").partition("\n")[0]
    return _number(first.removeprefix("default "))


def _cpus(quota: str | None, period: str | None) -> float | None:
    allowed, each = _number(quota), _number(period)
    return allowed / each if allowed and each else None


def _limits_v1(place: Place) -> Limits:
    memory, cpu = place.get("memory", ""), place.get("cpu", "")
    limit = _number(_read(f"{memory}/memory.limit_in_bytes"))
    both = _number(_read(f"{memory}/memory.memsw.limit_in_bytes"))
    shares = _number(_read(f"{cpu}/cpu.shares"))
    return Limits(
        memory=limit,
        memory_high=_number(_read(f"{memory}/memory.soft_limit_in_bytes")),
        swap=None if limit is None or both is None else max(both - limit, 0),
        cpu=_cpus(_read(f"{cpu}/cpu.cfs_quota_us"), _read(f"{cpu}/cpu.cfs_period_us")),
        cpu_weight=None if shares is None else weight_of_shares(shares),
        cpuset=(_read(f"{place.get('cpuset', '')}/cpuset.cpus") or "").strip() or None,
        pids=_number(_read(f"{place.get('pids', '')}/pids.max")),
        io_weight=_io_weight_v1(place.get("blkio", "")),
        io=_io_v1(place.get("blkio", "")),
    )


def _io_weight_v1(where: str) -> int | None:
    text = _read(f"{where}/blkio.bfq.weight") or _read(f"{where}/blkio.weight")
    weight = _default_weight(text)
    return None if weight is None else weight_of_blkio(weight)


def _ulimits(text: str | None) -> dict[str, tuple[int, int]]:
    found: dict[str, tuple[int, int]] = {}
    for line in (text or "").splitlines():
        name = ULIMITS.get(line[:NAME_WIDTH].strip())
        values = line[NAME_WIDTH:].split()
        if name is not None and len(values) >= 2:
            soft, hard = (-1 if v == "unlimited" else int(v) for v in values[:2])
            found[name] = (soft, hard)
    return found


def _io_v2(text: str | None) -> dict[str, dict[str, int]]:
    """Lines are "8:0 rbps=1048576 wbps=max riops=max wiops=max"."""
    found: dict[str, dict[str, int]] = {}
    for line in (text or "").splitlines():
        device, *pairs = line.split()
        for key, _, value in (pair.partition("=") for pair in pairs):
            if key in IO_V2 and value.isdigit():
                found.setdefault(_device(device), {})[IO_V2[key]] = int(value)
    return found


def _io_v1(where: str) -> dict[str, dict[str, int]]:
    """A file a field, lines are "8:0 1048576"."""
    found: dict[str, dict[str, int]] = {}
    for file, field in IO_V1.items():
        for line in (_read(f"{where}/{file}") or "").splitlines():
            device, _, value = line.partition(" ")
            if value.isdigit():
                found.setdefault(_device(device), {})[field] = int(value)
    return found


def _device(number: str) -> str:
    """The name of a block device: "8:0" is /dev/sda; the number itself where sysfs is silent."""
    link = f"/sys/dev/block/{number}"
    return "/dev/" + os.path.basename(os.path.realpath(link)) if os.path.exists(link) else number
