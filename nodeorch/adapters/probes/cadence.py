"""When a probe is tried next. Pure: times come in, times go out.

Two phases. *Quick*: a startup or readiness probe that has not passed yet is tried at once,
then after 200 ms, doubling up to the interval, so that readiness is seen soon. Such tries
would use up the failure threshold in a moment, so a failed one counts only when another
whole interval has gone by since the phase began: the budget stays failures x interval in
time, whatever the number of tries. Tries are also placed on these whole intervals.

*Steady*: everything else is tried once per interval, at a phase that is a hash of the
probe's name: a thousand probes that began together do not stay together. The moments lie
on a grid of an eighth of the interval, at most half a second, which all probes share: to
wake up costs as much as a probe (bench/probes.py), so a few go together.
"""

from __future__ import annotations

import math
from hashlib import blake2b

from msgspec import Struct

FIRST_GAP = 0.2
GRID = 0.5
_SLACK = 1e-6


class Cadence(Struct):
    """Of one probe, from its beginning. Times are seconds of the caller's clock."""

    interval: float
    phase: float
    """Offset of the steady tries within the interval."""
    began: float
    """When the first try was due."""
    quick: bool
    gap: float = FIRST_GAP
    counted: int = 0
    """Whole intervals for which a failure was counted."""

    def counts(self, now: float) -> bool:
        """Whether a try that failed now counts against the threshold."""
        if not self.quick:
            return True
        passed = math.floor((now - self.began) / self.interval + _SLACK)
        if passed <= self.counted:
            return False
        self.counted = passed
        return True

    def after(self, passed: bool, started: float, now: float) -> float:
        """When to try again, after a try that started and ended (now) at these times."""
        if not self.quick:
            return self._steady(started, now)
        if passed:  # several passes, when asked for, are to be an interval apart
            return max(now, started + self.interval)
        gap = min(self.gap, self.interval)
        self.gap *= 2
        turn = math.floor((started - self.began) / self.interval + _SLACK) + 1
        return max(now, min(started + gap, self.began + turn * self.interval))

    def _steady(self, started: float, now: float) -> float:
        """The next of the probe's own moments, at least half an interval after the last try."""
        earliest = max(now, started + self.interval / 2)
        turn = math.ceil((earliest - self.phase) / self.interval - _SLACK)
        grid = min(GRID, self.interval / 8)
        return math.ceil((self.phase + turn * self.interval) / grid - _SLACK) * grid


def phase(instance: str, kind: str, interval: float) -> float:
    """Where in the interval this probe has its place."""
    digest = blake2b(f"{instance}/{kind}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") / 2**64 * interval
