"""What the kernel says of a process: its memory and its processor time."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

from tests.lab.wait import wait_for

CALM_SHARE, CALM_SECONDS = 0.1, 3
TICKS = os.sysconf("SC_CLK_TCK")


def memory(pid: int) -> tuple[float, float]:
    """(proportional, resident) set size in MiB.

    Pages that several processes share, such as those of libcrypto, are divided among them
    in the first, and count fully in the second.
    """
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]
    sizes = {
        name: int(rest.split()[0]) / 1024 for name, _, rest in (x.partition(":") for x in lines)
    }
    return sizes["Pss"], sizes["Rss"]


def cpu_seconds(pid: int) -> float:
    """User and system time of all threads so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def cpu_share(pids: list[int], seconds: float) -> list[float]:
    """Share of one core that each process uses from now on for ``seconds``."""
    before, begun = [cpu_seconds(pid) for pid in pids], time.monotonic()
    time.sleep(seconds)
    passed = time.monotonic() - begun
    return [(cpu_seconds(pid) - was) / passed for pid, was in zip(pids, before, strict=True)]


def calm(patience: float = 120.0) -> None:
    """Wait until the machine has little else to do, or until ``patience`` seconds are over."""
    end = time.monotonic() + patience
    quiet = 0
    while quiet < CALM_SECONDS and time.monotonic() < end:
        before = _busy_seconds()
        time.sleep(1)
        quiet = quiet + 1 if _busy_seconds() - before < CALM_SHARE * (os.cpu_count() or 1) else 0


def _busy_seconds() -> float:
    """Processor time of all, so far."""
    fields = Path("/proc/stat").read_text().splitlines()[0].split()[1:]
    user, nice, system, _, _, *interrupts = (int(field) for field in fields[:7])
    return (user + nice + system + sum(interrupts)) / TICKS


def cgroup(pid: int) -> Path:
    """The folder of a process, in v1's pids hierarchy where there is one, else in v2's."""
    root = Path("/sys/fs/cgroup")
    for line in Path(f"/proc/{pid}/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers == "pids":
            return root / "pids" / path.lstrip("/")
    return root / path.lstrip("/")


def first_process(folder: Path) -> int:
    """The oldest process of a container's cgroup; 0 while there is none."""
    try:
        return int((folder / "cgroup.procs").read_text().partition("\n")[0] or 0)
    except OSError:
        return 0


def kill(folder: Path) -> float:
    """SIGKILL to the first process of a container's cgroup; the moment before it."""
    pid = wait_for(lambda: first_process(folder), 30, "it runs")
    begun = time.monotonic()
    os.kill(pid, signal.SIGKILL)
    return begun
