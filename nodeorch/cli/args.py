"""How names, times and the common options are written."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, TypeVar

import click

_NAME = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
"""model.workload.NAME_PATTERN; not imported from there, because that costs 30 ms."""

_TARGET = re.compile(rf"(?P<name>{_NAME.pattern})(?P<slot>\.\d+(\.g\d+)?)?", re.ASCII)

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)", re.ASCII)

_WHOLE = re.compile(r"-?\d{1,19}", re.ASCII)

_F = TypeVar("_F", bound=Callable[..., Any])


class Name(click.ParamType):  # type: ignore[type-arg]
    name = "name"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        text = str(value)
        if not _NAME.fullmatch(text):
            self.fail(f"{text!a} is not a name: lower-case letters, digits and -, 63 at most")
        return text


class Target(click.ParamType):  # type: ignore[type-arg]
    """A workload, or one of its instances: (workload, instance or None)."""

    name = "target"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, str | None]:
        text = str(value)
        found = _TARGET.fullmatch(text)
        if not found:
            self.fail(f"{text!a} is no workload or instance: write web, web.1 or web.1.g3")
        return found["name"], text if found["slot"] else None


class Duration(click.ParamType):  # type: ignore[type-arg]
    """Seconds; written with a unit."""

    name = "time"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        if isinstance(value, float):
            return value
        text = str(value)
        parts = _PART.findall(text)
        if not parts or "".join(number + unit for number, unit in parts) != text:
            advice = f'write "{text}s"' if text.isdigit() else 'write "30s", "500ms" or "1m30s"'
            self.fail(f"{text!a} is not a time: {advice}")
        return sum(float(number) * _UNITS[unit] for number, unit in parts)


class Since(click.ParamType):  # type: ignore[type-arg]
    """RFC 3339 as it is typed, or so long ago; a string in RFC 3339."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        from datetime import UTC, datetime, timedelta

        text = str(value)
        try:
            if _PART.match(text):
                when = datetime.now(UTC) - timedelta(seconds=DURATION.convert(text, param, ctx))
            else:
                when = datetime.fromisoformat(text)
                if when.tzinfo is None:
                    self.fail(f'{text!a} names no time zone: write "2024-05-01T10:00:00Z"')
            return when.astimezone(UTC).isoformat()
        except OverflowError:
            self.fail(f"{text!a} is before all time")
        except ValueError:
            self.fail(f'{text!a} is not a time: write "10m" or "2024-05-01T10:00:00Z"')


class Whole(click.ParamType):  # type: ignore[type-arg]
    """A whole number in a range. ``what`` it numbers, and ``advice``, for who writes another."""

    name = "number"

    def __init__(self, low: int, high: int | None = None, what: str = "", advice: str = "") -> None:
        self._low, self._high, self._what, self._advice = low, high, what, advice

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        text = str(value)
        if _WHOLE.fullmatch(text):
            number = int(text)
            if number >= self._low and (self._high is None or number <= self._high):
                return number
        limit = f"from {self._low}" + (f" to {self._high}" if self._high is not None else "")
        what = self._what or f"a whole number {limit}"
        self.fail(f"{text!a} is not {what}{self._advice and '; '}{self._advice}")


class Pattern(click.ParamType):  # type: ignore[type-arg]
    name = "pattern"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> re.Pattern[str]:
        if isinstance(value, re.Pattern):
            return value
        try:
            return re.compile(str(value))
        except (re.error, RecursionError, OverflowError) as error:
            self.fail(f"{value!a} is not a pattern of Python's re: {error}")


NAME = Name()
TARGET = Target()
DURATION = Duration()
SINCE = Since()
PATTERN = Pattern()
COUNT = Whole(0)
CHANGE = Whole(
    1,
    10**15 - 1,
    "the number of a change",
    "see `nodeorch changes`, with --workload for one workload",
)


def dry_run(function: _F) -> _F:
    return click.option("--dry-run", is_flag=True, help="Show what would change; do nothing.")(
        function
    )


def waiting(function: _F) -> _F:
    """--wait and --timeout."""
    function = click.option(
        "--timeout", type=DURATION, default="60s", show_default=True, help="For --wait."
    )(function)
    return click.option("--wait", "wait", is_flag=True, help="Until it is so.")(function)
