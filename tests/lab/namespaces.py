"""Namespaces for the test process: what it and its children mount or bind stays theirs.

The mount namespace has a /run and a /dev/shm of its own, because Podman keeps its
table of locks in /dev/shm whatever its --root is: two Podmans sharing it free each
other's locks. The network namespace makes bridges, ports and firewall rules private.
"""

from __future__ import annotations

import ctypes
import os
import subprocess
from pathlib import Path

CLONE_NEWNS = 0x00020000
CLONE_NEWNET = 0x40000000
MS_REC = 0x4000
MS_PRIVATE = 1 << 18

_libc = ctypes.CDLL(None, use_errno=True)


def _check(result: int, what: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"cannot {what}: {os.strerror(number)}; the tests need root")


def _mount(source: str, target: str, kind: str | None, flags: int) -> None:
    _check(
        _libc.mount(source.encode(), target.encode(), kind and kind.encode(), flags, None),
        f"mount {target}",
    )


def enter() -> None:
    """Move this thread, and all that it starts from now on, into namespaces of its own."""
    _check(_libc.unshare(CLONE_NEWNS | CLONE_NEWNET), "make namespaces")
    _mount("none", "/", None, MS_REC | MS_PRIVATE)
    for path in ("/run", "/dev/shm"):
        _mount("tmpfs", path, "tmpfs", 0)
    for path in ("/run/lock", "/run/netns"):
        Path(path).mkdir(exist_ok=True)
    Path("/dev/shm").chmod(0o1777)
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)


def join_network(path: str) -> None:
    """Join the network namespace bound at ``path``."""
    with open(path, "rb") as file:
        _check(_libc.setns(file.fileno(), CLONE_NEWNET), f"join {path}")
