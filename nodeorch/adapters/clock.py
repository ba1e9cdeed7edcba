"""The clocks: one that nobody can step, for decisions, and the wall's, for people."""

from __future__ import annotations

import time


class SystemClock:
    """ports.Clock on CLOCK_BOOTTIME, which goes on while the host sleeps."""

    def now(self) -> float:
        return time.clock_gettime(time.CLOCK_BOOTTIME)

    def wall(self) -> float:
        return time.time()
