"""Looks at the kernel, the clock, systemd and disks. Changes nothing."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import time
import zoneinfo
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from nodeorch.doctor.facts import Disk

TIMEX = 208
"""Bytes of struct timex, adjtimex(2), on 64 bits; its field status is at offset 40."""
STATUS_AT = 40
STA_UNSYNC = 0x40
INSTALLERS = {
    "apt-get": "apt-get install -y",
    "dnf": "dnf install -y",
    "zypper": "zypper install -y",
    "pacman": "pacman -S --noconfirm",
    "apk": "apk add",
}
UNIT_FOLDERS = (
    "/etc/systemd/system",
    "/run/systemd/system",
    "/usr/local/lib/systemd/system",
    "/usr/lib/systemd/system",
    "/lib/systemd/system",
)
CMDLINES = ("/boot/firmware/cmdline.txt", "/boot/cmdline.txt")


def text(path: str) -> str | None:
    """A small file; None when it cannot be read."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read(1 << 20)
    except OSError:
        return None


def number(path: str) -> int | None:
    try:
        return int(text(path) or "")
    except ValueError:
        return None


def which(names: Iterable[str], more: Iterable[str] = ()) -> dict[str, str]:
    """Name → path, of those that are there. Roots' folders count, also for others."""
    path = os.environ.get("PATH", "").split(":")
    folders = dict.fromkeys([*path, "/usr/local/sbin", "/usr/sbin", "/sbin", *more])
    found = {}
    for name in names:
        for folder in folders:
            if folder and os.access(os.path.join(folder, name), os.X_OK):
                found[name] = os.path.join(folder, name)
                break
    return found


def kernel() -> dict[str, Any]:
    loads = (text("/proc/loadavg") or "").split()
    return {
        "kernel": os.uname().release,
        "pidfd": _pidfd(),
        "psi": text("/proc/pressure/memory") is not None,
        "inotify_left": _inotify_left(),
        "inotify_instances": number("/proc/sys/fs/inotify/max_user_instances"),
        "pid_max": number("/proc/sys/kernel/pid_max"),
        "tasks": int(loads[3].partition("/")[2]) if len(loads) > 3 else None,
        "boot": _boot(),
        "installer": next(
            (words for name, words in INSTALLERS.items() if which([name])), "apt-get install -y"
        ),
    }


def _boot() -> str:
    if found := next((path for path in CMDLINES if os.path.exists(path)), None):
        return found
    if which(["grubby"]):
        return "grubby"
    return "grub" if which(["update-grub"]) else ""


def _pidfd() -> bool | None:
    try:
        os.close(os.pidfd_open(os.getpid()))
    except OSError as error:
        return None if error.errno == errno.EMFILE else False
    return True


def _inotify_left() -> bool | None:
    """One is made and closed: there is no other way to know."""
    libc = ctypes.CDLL(None, use_errno=True)
    handle = libc.inotify_init1(os.O_CLOEXEC)
    if handle < 0:
        return False if ctypes.get_errno() == errno.EMFILE else None
    os.close(handle)
    return True


# -- control groups


def cgroups(root: str = "/sys/fs/cgroup", mounts: str = "/proc/self/mounts") -> dict[str, Any]:
    lines = [line.split() for line in (text(mounts) or "").splitlines()]
    found = [words for words in lines if len(words) > 3 and words[2] in ("cgroup", "cgroup2")]
    own = (text("/proc/meminfo") or "").partition("SwapTotal:")[2].split()
    seen: dict[str, Any] = {"swap": bool(own) and own[0] != "0"}
    if (offered := text(f"{root}/cgroup.controllers")) is not None:
        given = (text(f"{root}/cgroup.subtree_control") or "").split()
        # Only a group that is not the kernel's own root has a type, and may hold no processes.
        nested = os.path.exists(f"{root}/cgroup.type")
        full = nested and bool((text(f"{root}/cgroup.procs") or "").strip())
        return seen | {
            "cgroup": "v2",
            "controllers": frozenset(offered.split()),
            "undelegated": frozenset(offered.split()) - frozenset(given) if full else frozenset(),
            "cgroup_read_only": any(w[1] == root and "ro" in w[3].split(",") for w in found),
            "swap_accounting": _swap_v2(root),
        }
    if not found:
        return seen | {"cgroup": "none"}
    v1 = [words for words in found if words[2] == "cgroup"]
    names = {name for words in v1 for name in words[3].split(",")}
    return seen | {
        "cgroup": "hybrid" if len(v1) < len(found) else "v1",
        "controllers": frozenset(names),
        "cgroup_read_only": any("ro" in w[3].split(",") for w in v1 if "memory" in w[3]),
        "swap_accounting": os.path.exists(f"{root}/memory/memory.memsw.limit_in_bytes"),
    }


def _swap_v2(root: str) -> bool | None:
    """The root has no such file; any group below that has a memory controller does."""
    try:
        below = [entry.path for entry in os.scandir(root) if entry.is_dir()]
    except OSError:
        return None
    have = [path for path in below if os.path.exists(f"{path}/memory.current")]
    if not have:
        return None
    return any(os.path.exists(f"{path}/memory.swap.max") for path in have)


# -- time


def clock(state: str) -> dict[str, Any]:
    now = time.time()
    youngest = None
    with contextlib.suppress(OSError):
        youngest = max((entry.stat().st_mtime for entry in os.scandir(state)), default=None)
    zones = any(os.path.exists(f"{path}/UTC") for path in zoneinfo.TZPATH)
    return {
        "synchronised": _synchronised(),
        "year": datetime.fromtimestamp(now, UTC).year,
        "ahead": None if youngest is None else youngest - now,
        "zones": zones,
    }


def _synchronised() -> bool | None:
    """adjtimex(2) that only looks (modes is 0)."""
    if ctypes.sizeof(ctypes.c_long) != 8:
        return None
    buffer = ctypes.create_string_buffer(TIMEX)
    if ctypes.CDLL(None).adjtimex(buffer) < 0:
        return None
    status = ctypes.c_int.from_buffer(buffer, STATUS_AT).value
    return not status & STA_UNSYNC


# -- systemd


def systemd() -> dict[str, Any]:
    runs = os.path.isdir("/run/systemd/system")
    return {
        "systemd": runs,
        "journald": os.path.exists("/run/systemd/journal/socket"),
        "unit": any(os.path.exists(f"{f}/nodeorchd.service") for f in UNIT_FOLDERS),
        "unit_enabled": enabled("nodeorchd.service"),
        "updater_enabled": runs and enabled("podman-auto-update.timer"),
        "serf_enabled": runs and enabled("serf.service"),
    }


def enabled(unit: str) -> bool:
    """A link in the folder of some target, as systemctl enable makes it; and not masked."""
    folder = UNIT_FOLDERS[0]
    if os.path.realpath(f"{folder}/{unit}") == "/dev/null":
        return False
    try:
        targets = [e.path for e in os.scandir(folder) if e.name.endswith((".wants", ".requires"))]
    except OSError:
        return False
    return any(os.path.lexists(f"{target}/{unit}") for target in targets)


# -- disks


def disk(what: str, path: str) -> Disk | None:
    """Of the nearest folder that exists: it is there that the missing one will be made."""
    while not os.path.exists(path) and path not in ("", "/"):
        path = os.path.dirname(path)
    try:
        seen = os.statvfs(path)
    except OSError:
        return None
    return Disk(
        what,
        path,
        seen.f_bavail * seen.f_frsize,
        seen.f_blocks * seen.f_frsize,
        seen.f_favail,
        seen.f_files,
        bool(seen.f_flag & os.ST_RDONLY),
    )


def disks(places: Iterable[tuple[str, str]]) -> tuple[Disk, ...]:
    """One for each file system, named for the first place on it."""
    found: dict[int, Disk] = {}
    for what, path in places:
        if (seen := disk(what, path)) is not None:
            found.setdefault(os.stat(seen.path).st_dev, seen)
    return tuple(found.values())
