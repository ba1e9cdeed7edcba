"""Pressure stall information of the whole host: /proc/pressure (kernel docs, accounting/psi)."""

from __future__ import annotations

import asyncio

from nodeorch.model.facts import PressureSeen
from nodeorch.ports import Inbox

EVERY = 2.0
"""Seconds between two looks; the kernel renews its averages as often."""


def full(path: str) -> float | None:
    """Percent of the last ten seconds in which no task could go on; None: not told here.

    Lines are "full avg10=0.12 avg60=0.34 avg300=0.56 total=789".
    """
    try:
        with open(path, encoding="ascii", errors="replace") as file:
            lines = file.read(4096).splitlines()
    except OSError:  # also "not supported", of a kernel that was booted with psi=0
        return None
    for line in lines:
        kind, _, rest = line.partition(" avg10=")
        if kind == "full":
            try:
                return float(rest.partition(" ")[0])
            except ValueError:
                return None
    return None


class PressureWatch:
    """Reports facts.PressureSeen, at once and then every EVERY seconds."""

    def __init__(self, inbox: Inbox, root: str = "/proc/pressure") -> None:
        self._inbox = inbox
        self._root = root
        self._look()

    def _look(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(EVERY, self._look)
        memory, io = full(f"{self._root}/memory"), full(f"{self._root}/io")
        self._inbox(PressureSeen(memory=memory, io=io))

    def close(self) -> None:
        self._timer.cancel()
