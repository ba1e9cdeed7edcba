"""Counting a probe's tries into a verdict."""

from __future__ import annotations

from msgspec import Struct

from nodeorch.model.workload import Probe


class Tally(Struct, frozen=True):
    """What a probe's tries came to so far."""

    streak: int = 0
    """Tries in a row with one result: 3 is three passes, -2 is two counted failures."""
    verdict: bool | None = None
    """None: neither threshold was reached yet."""


def count(
    tally: Tally, probe: Probe, passed: bool, *, counts: bool = True
) -> tuple[Tally, bool | None]:
    """The new tally, and the verdict if this try changed it (the first one included).

    ``counts=False`` is a failed try made sooner than the declared interval: it ends a
    streak of passes but does not bring the verdict "failed" nearer.
    """
    if passed:
        streak = max(tally.streak, 0) + 1
        reached = streak >= probe.successes
    else:
        streak = min(tally.streak, 0) - counts
        reached = -streak >= probe.failures
    if not reached or tally.verdict is passed:
        return Tally(streak, tally.verdict), None
    return Tally(streak, passed), passed
