"""The kernel, the clock and systemd: facts → findings. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator

from nodeorch.doctor.facts import Facts
from nodeorch.doctor.finding import Finding, Severity

PIDFD_SINCE = (5, 3)
NEEDED_V2 = {"memory": True, "pids": True, "cpu": True, "cpuset": False, "io": False}
NEEDED_V1 = {"memory": True, "pids": True, "cpu": True, "cpuset": False, "blkio": False}
"""Controller → without it nothing is kept in bounds; the others are for few workloads."""
INSTANCES = 64
FIRST_YEAR = 2024
"""This program was not written before."""
STEP = 60.0
"""Seconds by which a clock may differ without a word."""
PIDS_FULL = 0.8


def kernel(facts: Facts) -> Iterator[Finding]:
    found = re.match(r"(\d+)\.(\d+)", facts.kernel)
    if found and (int(found[1]), int(found[2])) < PIDFD_SINCE:
        yield Finding("kernel-too-old", f"the kernel is {facts.kernel}")
    elif facts.pidfd is False:
        yield Finding("pidfd-refused", "pidfd_open(2) is refused")


def cgroups(facts: Facts) -> Iterator[Finding]:
    if facts.cgroup == "none":
        yield Finding("cgroup-missing", "no cgroup file system is mounted on /sys/fs/cgroup")
        return
    if facts.cgroup_read_only:
        yield Finding("cgroup-read-only", "/sys/fs/cgroup is mounted read-only")
    if facts.cgroup in ("hybrid", "v1"):
        words = {
            "hybrid": "the controllers are those of cgroup v1, beside an empty v2 (hybrid)",
            "v1": "the control groups are of version 1",
        }
        yield Finding("cgroup-v1", words[facts.cgroup])


def controllers(facts: Facts) -> Iterator[Finding]:
    if facts.controllers is None or facts.cgroup in (None, "none"):
        return
    needed = NEEDED_V2 if facts.cgroup == "v2" else NEEDED_V1
    for name, vital in needed.items():
        if name in facts.controllers:
            continue
        yield Finding(
            "controller-missing",
            f"the kernel offers no cgroup controller {name}",
            {"argument": f"cgroup_enable={name}"},
            None if vital else Severity.WARNING,
        )
    if facts.undelegated:
        names = " ".join(sorted(facts.undelegated))
        yield Finding("cgroup-undelegated", f"not given to groups below: {names}")


def swap(facts: Facts) -> Iterator[Finding]:
    if facts.swap and facts.swap_accounting is False:
        yield Finding("swap-unaccounted", "there is swap, and no limit for it")


def psi(facts: Facts) -> Iterator[Finding]:
    if facts.psi is False:
        yield Finding("psi-missing", "/proc/pressure/memory is not there or cannot be read")


def inotify(facts: Facts) -> Iterator[Finding]:
    if facts.inotify_left is False:
        yield Finding("inotify-exhausted", f"{facts.user} cannot watch one more directory")
    elif facts.inotify_instances is not None and facts.inotify_instances < INSTANCES:
        count = facts.inotify_instances
        yield Finding("inotify-low", f"a user may have only {count} inotify instances")


def pids(facts: Facts) -> Iterator[Finding]:
    if facts.pid_max is None:
        return
    promised = sum(w.pids for w in (facts.workloads or {}).values())
    if facts.tasks is not None and facts.tasks > facts.pid_max * PIDS_FULL:
        yield Finding("pids-low", f"{facts.tasks} of {facts.pid_max} process numbers are in use")
    elif promised > facts.pid_max:
        yield Finding(
            "pids-low",
            f"workloads may have {promised} processes, the kernel has {facts.pid_max} numbers",
        )


def clock(facts: Facts) -> Iterator[Finding]:
    if facts.year is not None and facts.year < FIRST_YEAR:
        yield Finding("clock-wrong", f"the clock says that it is {facts.year}")
        return
    if facts.ahead is not None and facts.ahead > STEP:
        yield Finding(
            "clock-went-back",
            f"{facts.state} holds a file that is {facts.ahead:.0f} s younger than now",
        )
    if facts.synchronised is False:
        yield Finding("clock-unsynchronised", "the kernel says that its clock is not synchronised")


def zones(facts: Facts) -> Iterator[Finding]:
    if facts.zones is False:
        yield Finding("zones-missing", "there is no time zone database")


def systemd(facts: Facts) -> Iterator[Finding]:
    if facts.systemd is False:
        yield Finding("no-systemd", "systemd does not run here", {"config": facts.config})
    elif facts.systemd and facts.unit is False:
        yield Finding("unit-missing", "there is no nodeorchd.service")
    elif facts.systemd and facts.unit_enabled is False:
        yield Finding("unit-disabled", "nodeorchd.service is not enabled")
