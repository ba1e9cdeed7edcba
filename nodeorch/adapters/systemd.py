"""Words to systemd over NOTIFY_SOCKET; without one (no systemd) nothing happens."""

from __future__ import annotations

import os
from typing import Any


class Systemd:
    """sd_notify(3). Never blocks and never raises: supervision does not hang on systemd."""

    def __init__(self) -> None:
        self.watchdog_interval: float | None = None
        """Seconds between two calls of :meth:`alive`: half of the unit's WatchdogSec.
        None: systemd expects none."""
        self._notifier: Any = None
        if not os.environ.get("NOTIFY_SOCKET"):
            return
        from sdnotify import SystemdNotifier

        self._notifier = SystemdNotifier()
        if self._notifier.socket is not None:
            self._notifier.socket.setblocking(False)
        self.watchdog_interval = _watchdog_interval()

    def ready(self, status: str) -> None:
        self._send(f"READY=1\n{_status(status)}")

    def status(self, text: str) -> None:
        self._send(_status(text))

    def stopping(self) -> None:
        self._send("STOPPING=1")

    def alive(self) -> None:
        """Feed the watchdog; to be called from the loop's own progress."""
        self._send("WATCHDOG=1")

    def _send(self, text: str) -> None:
        if self._notifier is not None:
            self._notifier.notify(text)


def _status(text: str) -> str:
    # sdnotify sends Latin-1 and drops a message that is not, without a word.
    return "STATUS=" + " ".join(text.encode("ascii", "replace").decode().split())


def _watchdog_interval() -> float | None:
    owner = os.environ.get("WATCHDOG_PID")
    usec = os.environ.get("WATCHDOG_USEC", "")
    if (owner and owner != str(os.getpid())) or not usec.isdecimal() or int(usec) == 0:
        return None
    return int(usec) / 1e6 / 2
