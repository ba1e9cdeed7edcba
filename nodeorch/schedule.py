"""When a job is due: a cron expression in a time zone.

Pure but for the zone's rules, which come from the host's tzdata; "UTC" needs none. Times
are seconds of the wall clock since 1970. Around a change of summer time it does as
Debian's cron: a fixed time that does not exist comes at the first minute that does, one
that exists twice comes once, and ``*`` follows the time that really passes.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, tzinfo
from functools import lru_cache

FIELDS = (
    ("minute", "0 to 59"),
    ("hour", "0 to 23"),
    ("day of the month", "1 to 31, or L for the last"),
    ("month", "1 to 12, or JAN to DEC"),
    ("day of the week", "0 to 7, or SUN to SAT"),
)
ALIASES = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}
REACHES = (7200.0, 2 * 86400.0, 40 * 86400.0, 400 * 86400.0, 51 * 366 * 86400.0)
"""Seconds: how far back the last due time is looked for, step by step. The first is longer than
any change of summer time; the last is how far the library looks ahead."""
SOME_DAY = 1_700_000_000.0
NO_ZONE = 'write one such as "Europe/Berlin", and see that the package tzdata is installed'
LONGEST = 200
"""Characters of an expression."""


class BadSchedule(ValueError):
    """An expression that cannot be read. ``at``: of which character it speaks, from 0."""

    def __init__(self, message: str, fix: str, at: int = 0) -> None:
        super().__init__(message)
        self.message = message
        self.fix = fix
        self.at = at


class UnknownZone(ValueError):
    """This host knows no such time zone."""

    def __init__(self, message: str, fix: str) -> None:
        super().__init__(message)
        self.message = message
        self.fix = fix


class Schedule:
    """Raises BadSchedule, UnknownZone."""

    def __init__(self, expression: str, zone: str = "UTC") -> None:
        self._zone = find_zone(zone)
        self._expression = ALIASES.get(expression.strip().lower(), expression)
        _judge(self._expression)
        if self.after(SOME_DAY) is None:
            raise BadSchedule("no such day ever comes", "look at its day and month")

    def after(self, wall: float) -> float | None:
        """The first due time after ``wall``; None: there is none in 50 years."""
        return next(self._from(wall), None)

    def last(self, after: float, until: float) -> float | None:
        """The last due time in (after, until]."""
        for reach in REACHES:
            start = max(after, until - reach)
            found = None
            for due in self._from(start):
                if due > until:
                    break
                found = due
            if found is not None or start == after:
                return found
        return None

    def count(self, after: float, until: float, most: int) -> int:
        """How many due times lie in (after, until]; ``most`` is also where counting ends."""
        found = 0
        for due in self._from(after):
            if due > until or found == most:
                break
            found += 1
        return found

    def _from(self, wall: float) -> Iterator[float]:
        from cronsim import CronSim

        try:
            for moment in CronSim(self._expression, datetime.fromtimestamp(wall, self._zone)):
                due = moment.timestamp()
                if due > wall:  # the library forgets in which of two equal hours it begins
                    yield due
        except (OverflowError, OSError, ValueError):  # a clock beyond the calendar
            return


@lru_cache(maxsize=256)
def schedule(expression: str, zone: str) -> Schedule:
    """The same, kept. Raises BadSchedule, UnknownZone."""
    return Schedule(expression, zone)


def find_zone(name: str) -> tzinfo:
    """Raises UnknownZone."""
    if name == "UTC":
        return UTC
    from zoneinfo import ZoneInfo

    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError) as error:  # not found, not a name, a folder
        raise UnknownZone("this host knows no such time zone", NO_ZONE) from error


def zone_fix(name: str) -> str:
    """What to do about an unknown zone; reads the list of all."""
    from difflib import get_close_matches
    from zoneinfo import available_timezones

    near = get_close_matches(name[:80], sorted(available_timezones()), 1, 0.6)
    return f'did you mean "{near[0]}"?' if near else NO_ZONE


def _judge(expression: str) -> None:
    """Each field by itself, so that the wrong one can be named."""
    from cronsim import CronSim, CronSimError

    parts = expression.split()
    if expression.startswith("@"):
        known = ", ".join(sorted(ALIASES))
        raise BadSchedule(f"unknown {parts[0][:20]}", f"known: {known}")
    if len(parts) != len(FIELDS) or len(expression) > LONGEST:
        fix = 'write minute, hour, day, month and day of the week, such as "30 3 * * *"'
        if len(parts) == len(FIELDS) + 1:
            fix = "leave out the seconds: the first field is the minute"
        raise BadSchedule(f"has {len(parts)} fields, not {len(FIELDS)}", fix)
    now, at = datetime.fromtimestamp(SOME_DAY, UTC), 0
    for i, (part, (name, values)) in enumerate(zip(parts, FIELDS, strict=True)):
        at = expression.index(part, at)
        alone = ["*"] * len(FIELDS)
        alone[i] = part
        try:
            CronSim(" ".join(alone), now)
        except (CronSimError, ValueError) as error:
            what = f"field {i + 1}, the {name}, cannot be {part[:20]!a}"
            fix = f"write {values}; *, lists a,b, ranges a-b and steps */n"
            raise BadSchedule(what, fix, at) from error
        at += len(part)
    try:
        CronSim(expression, now)
    except (CronSimError, ValueError) as error:
        raise BadSchedule("no such day ever comes", "look at its day and month") from error
