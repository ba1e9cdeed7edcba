"""Which due time of a schedule is to run at a moment, whatever the clock has done.

Reads the stretches of wall time that were dealt with, as they are remembered. Promises: a
due time that the clock passes is dealt with once: it runs, or is said to be missed. A
clock that is set back runs none again. What a forward step leapt over runs at most once,
the last of it, and only within the catch-up window; should the clock come back, what it
leapt over is still open. A clock that was more than a day ahead silences nothing: what it
ran through counts no more.
"""

from __future__ import annotations

from msgspec import Struct

from nodeorch.schedule import Schedule

Spent = tuple[tuple[float, float], ...]
"""Closed stretches, apart from each other, in their order."""

PUNCTUAL = 10.0
"""Seconds by which a run may be late and still be on time: the daemon was busy or restarted."""
FAR = 86400.0
"""Seconds that a clock can be set back and be believed about what it said before. More than any
zone or summer time: then its date was wrong."""
STRETCHES = 16
"""Remembered, the nearest; each but one comes of a clock step or of a time without a daemon."""
COUNTED = 1000
"""Missed due times are counted no further."""


class Verdict(Struct, frozen=True):
    spent: Spent
    due: float | None = None
    """The due time that has come, and was not dealt with."""
    runs: bool = False
    """Whether it is to run: it is on time, or within the window."""
    missed: int = 0
    """Due times before it that nobody saw; COUNTED stands for at least so many."""
    forgot: bool = False
    """A stretch ahead was not believed."""


def judge(spent: Spent, schedule: Schedule, wall: float, window: float) -> Verdict:
    """``window``: seconds that a due time may have passed and still run."""
    spent, forgot = _believed(spent, wall)
    before = [s for s in spent if s[0] <= wall]
    if not before:  # it begins now, or the clock was set back to before it began
        return Verdict(spent=_with(spent, wall, wall, schedule), forgot=forgot)
    start, end = before[-1]
    due = schedule.last(end, wall) if end < wall else None
    if due is None:
        return Verdict(spent=spent, forgot=forgot)
    missed = schedule.count(end, due, COUNTED + 1) - 1
    late = wall - due
    runs = late <= max(window, PUNCTUAL)
    if missed == 0 and late <= PUNCTUAL:
        spent = _joined(tuple((start, due) if s == (start, end) else s for s in spent), schedule)
    else:  # what did not run is open still, should the clock come back
        from_here = due if runs else wall
        spent = _with(spent, from_here, wall, schedule)
    return Verdict(spent=spent, due=due, runs=runs, missed=missed, forgot=forgot)


def next_due(spent: Spent, schedule: Schedule, wall: float) -> float | None:
    """The first due time after ``wall`` that is not dealt with; None: there is none."""
    due = schedule.after(wall)
    while due is not None:
        inside = next((end for start, end in spent if start <= due <= end), None)
        if inside is None:
            return due
        due = schedule.after(inside)
    return None


def _believed(spent: Spent, wall: float) -> tuple[Spent, bool]:
    far = [s for s in spent if s[0] <= wall and s[1] - wall > FAR]
    if not far:
        return spent, False
    return tuple((s[0], wall) if s in far else s for s in spent), True


def _joined(spent: Spent, schedule: Schedule) -> Spent:
    """Without gaps in which nothing is due."""
    joined: list[tuple[float, float]] = []
    for start, end in spent:
        following = schedule.after(joined[-1][1]) if joined else None
        if joined and (following is None or following >= start):
            joined[-1] = (joined[-1][0], max(end, joined[-1][1]))
        else:
            joined.append((start, end))
    return tuple(joined)


def _with(spent: Spent, at: float, wall: float, schedule: Schedule) -> Spent:
    """With a stretch that begins there, and without those that are too many."""
    joined = _joined(tuple(sorted((*spent, (at, at)))), schedule)
    near = sorted(joined, key=lambda s: max(s[0] - wall, wall - s[1]))
    return tuple(sorted(near[:STRETCHES]))
