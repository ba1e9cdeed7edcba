"""What the kernel says of a process: its memory and its processor time."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import psutil

from tests.lab.wait import wait_for

CALM_SHARE, CALM_SECONDS = 0.1, 3
MIB = 1 << 20


def memory(pid: int) -> tuple[float, float]:
    """(proportional, resident) set size in MiB.

    Pages that several processes share, such as those of libcrypto, are divided among them
    in the first, and count fully in the second.
    """
    sizes = psutil.Process(pid).memory_full_info()
    return sizes.pss / MIB, sizes.rss / MIB


def cpu_seconds(pid: int) -> float:
    """User and system time of all threads so far."""
    times = psutil.Process(pid).cpu_times()
    return times.user + times.system


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
    times = psutil.cpu_times()
    return times.user + times.nice + times.system + times.irq + times.softirq + times.steal


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
