"""Cleans up after a lab when its standard input ends: at the session's end, or its death.

Usage: python -m tests.lab.janitor DIR PODMAN-COMMAND-AS-JSON. Runs in the lab's
namespaces; touches only what that Podman lists, by exact ids.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

PATIENCE = 20.0
"""Seconds for the last processes of Podman to end."""


def _podman(command: list[str], *args: str) -> list[str]:
    try:
        done = subprocess.run(
            [*command, *args], capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL
        )
    except subprocess.TimeoutExpired:
        return []
    return done.stdout.split()


def _end_service(place: Path) -> None:
    """Kill what still serves our socket: found by its exact command line."""
    wanted = f"unix://{place}/podman.sock".encode()
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        with contextlib.suppress(OSError):
            if wanted in (entry / "cmdline").read_bytes().split(b"\0"):
                os.kill(int(entry.name), signal.SIGKILL)


def _remove_cgroups(ids: list[str]) -> None:
    # One on v2, one for each controller on v1. Not deeper: groups of others come and go there.
    root = Path("/sys/fs/cgroup")
    for parent in (root / "libpod_parent", *root.glob("*/libpod_parent")):
        for container in ids:
            for name in (f"libpod-{container}", f"libpod-conmon-{container}"):
                with contextlib.suppress(OSError):
                    (parent / name).rmdir()


def _unmount_under(place: Path) -> None:
    mounts = [line.split()[1] for line in Path("/proc/self/mounts").read_text().splitlines()]
    for target in reversed([m for m in mounts if m.startswith(f"{place}/")]):
        subprocess.run(["umount", "-l", target], capture_output=True)


def clean(place: Path, command: list[str]) -> None:
    _end_service(place)
    if "--url" not in command:
        ids = _podman(command, "ps", "-aq", "--no-trunc", "--external")
        _podman(command, "rm", "-f", "-a", "-t0", "-v")
        _podman(command, "network", "prune", "-f")
        _remove_cgroups(ids)
    _remove(place)


def _remove(place: Path) -> None:
    """Conmon calls Podman some seconds after a container's end, and that mounts the store anew."""
    end = time.monotonic() + PATIENCE
    while True:
        _unmount_under(place)
        try:
            shutil.rmtree(place)
            return
        except FileNotFoundError:
            if not place.exists():
                return
        except OSError:
            if time.monotonic() > end:
                raise
        time.sleep(0.1)


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    sys.stdin.read()
    clean(Path(sys.argv[1]), json.loads(sys.argv[2]))
