"""Podman's teardown of an ended container, held up on purpose.

Conmon starts a process for it when a container has ended ("podman container cleanup ID");
it tears down the network some tens of milliseconds later, or more on a busy host.
"""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Iterator


@contextlib.contextmanager
def late_teardown(container_id: str) -> Iterator[threading.Event]:
    """Freeze the process that tears the container down, until the block ends.

    The event is set when it is frozen.
    """
    frozen, over = threading.Event(), threading.Event()
    found: list[int] = []

    def watch() -> None:
        while not over.is_set() and not found:
            found.extend(pid for pid in _pids() if _tears_down(pid, container_id))
            for pid in found:
                os.kill(pid, signal.SIGSTOP)
                frozen.set()

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield frozen
    finally:
        over.set()
        watcher.join()
        for pid in found:
            os.kill(pid, signal.SIGCONT)


def _pids() -> list[int]:
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]


def _tears_down(pid: int, container_id: str) -> bool:
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            words = file.read().split(b"\0")
    except OSError:
        return False
    return b"cleanup" in words and container_id.encode() in words and b"conmon" not in words[0]
