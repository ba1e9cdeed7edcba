"""Starts a throw-away container: no rule tells all the hosts that a runtime refuses.

Its file system is one folder with one program of some 130 bytes that ends at once, so that no
image is needed and nothing is pulled.
"""

from __future__ import annotations

import contextlib
import http.client
import os
import secrets
import shutil
import struct
import tempfile
import time
from typing import Any

from nodeorch.doctor.libpod import Libpod, Refused

LIMITS = [{"type": name, "soft": 1024, "hard": 1024} for name in ("nofile", "nproc")]
"""As nodeorch does: both named, none above what every host allows."""
TRIALS: dict[str, dict[str, Any]] = {
    "ours": {"r_limits": LIMITS, "netns": {"nsmode": "none"}},
    "plain": {"netns": {"nsmode": "none"}},
    "network": {"r_limits": LIMITS, "netns": {"nsmode": "bridge"}},
}
"""Trial → what it adds to the container. "plain" is what ``podman run`` would do."""
QUICK = ("ours", "plain")
PATIENCE = 5.0
"""Seconds for each call, and for the container to end."""
PAUSE = 0.02
EXITS = {
    # xor edi, edi; mov eax, 60; syscall
    "x86_64": (62, bytes.fromhex("31ffb83c0000000f05")),
    # mov x0, 0; mov x8, 93; svc 0
    "aarch64": (183, bytes.fromhex("000080d2a80b80d2010000d4")),
}
"""Machine → its number in ELF, and the instructions of exit(0)."""
BASE = 0x400000
HEADERS = 120


def program(machine: str) -> bytes | None:
    """A static ELF executable (elf(5)) with one segment; None for a machine not known."""
    if machine not in EXITS:
        return None
    number, code = EXITS[machine]
    ident = struct.pack("<4s5B7x", b"\x7fELF", 2, 1, 1, 0, 0)
    header = struct.pack(
        "<HHIQQQIHHHHHH", 2, number, 1, BASE + HEADERS, 64, 0, 0, 64, 56, 1, 0, 0, 0
    )
    size = HEADERS + len(code)
    segment = struct.pack("<IIQQQQQQ", 1, 5, 0, BASE, BASE, size, size, 0x1000)
    return ident + header + segment + code


def run(socket: str, names: tuple[str, ...], folders: tuple[str, ...]) -> dict[str, str]:
    """Trial → why it failed, or empty. Nothing is left of it. Raises OSError: not tried."""
    elf = program(os.uname().machine)
    if elf is None:
        raise OSError(f"no trial program for {os.uname().machine}")
    root = tempfile.mkdtemp(prefix="nodeorch-doctor-", dir=_runnable(folders))
    try:
        os.chmod(root, 0o755)
        with open(f"{root}/end", "wb") as file:
            file.write(elf)
            os.fchmod(file.fileno(), 0o755)
        return {name: _try(socket, root, TRIALS[name]) for name in names}
    finally:
        shutil.rmtree(root, ignore_errors=True)


def _runnable(folders: tuple[str, ...]) -> str:
    for folder in folders:
        with contextlib.suppress(OSError):
            if not os.statvfs(folder).f_flag & os.ST_NOEXEC and os.access(folder, os.W_OK):
                return folder
    raise OSError(f"none of {', '.join(folders)} can hold a program")


def _end(podman: Libpod, name: str) -> str:
    """Asked again and again: Podman 4.3's own wait hangs when it misses a quick end."""
    until = time.monotonic() + PATIENCE
    while True:
        state = podman.call("GET", f"containers/{name}/json")["State"]
        if state["Status"] in ("exited", "stopped"):
            code = state["ExitCode"]
            return f"it ended with code {code}" if code else ""
        if time.monotonic() > until:
            return f"it does not end; Podman calls it {state['Status']}"
        time.sleep(PAUSE)


def _try(socket: str, root: str, more: dict[str, Any]) -> str:
    name = f"nodeorch-doctor-{secrets.token_hex(6)}"
    spec = {
        "name": name,
        "rootfs": root,
        "command": ["/end"],
        "restart_policy": "no",
        "selinux_opts": ["disable"],
        "log_configuration": {"driver": "none"},
        "sdnotifyMode": "ignore",
    }
    podman = Libpod(socket, PATIENCE)
    try:
        podman.call("POST", "containers/create", spec | more)
        podman.call("POST", f"containers/{name}/start")
        return _end(podman, name)
    except Refused as error:
        return str(error)[:400]
    except (OSError, http.client.HTTPException, ValueError) as error:
        return f"no answer: {error or type(error).__name__}"
    finally:
        podman.close()
        with contextlib.suppress(Refused, OSError, http.client.HTTPException, ValueError):
            podman.call("DELETE", f"containers/{name}", force="true", timeout="0")
        podman.close()
