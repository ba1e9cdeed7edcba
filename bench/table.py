"""Rows of the final table."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import NamedTuple

HEAD = ("what", "ours", "the other", "ratio", "bar", "met")


class Row(NamedTuple):
    what: str
    ours: str
    other: str = "–"
    ratio: float | None = None
    bar: str = "–"
    met: bool | None = None
    """None: there is no bar."""


def compared(
    what: str, ours: float, other: float, name: str, unit: str, most: float | None = None
) -> Row:
    """Ours against another's figure, smaller being better; ``most``: the greatest ratio allowed."""
    ratio = ours / other
    bar = "–" if most is None else f"≤ {most:g} ×"
    met = None if most is None else ratio <= most
    return Row(what, f"{ours:.3g} {unit}", f"{other:.3g} {unit} ({name})", ratio, bar, met)


def markdown(rows: Sequence[Row]) -> str:
    lines = [HEAD, ("---",) * len(HEAD)]
    for row in rows:
        ratio = "–" if row.ratio is None else f"{row.ratio:.2f}"
        met = {None: "–", True: "yes", False: "**no**"}[row.met]
        lines.append((row.what, row.ours, row.other, ratio, row.bar, met))
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def spread(name: str, seconds: Sequence[float]) -> str:
    """A line for the log: least, median and greatest, in milliseconds."""
    low, middle, high = min(seconds), statistics.median(seconds), max(seconds)
    figures = " / ".join(f"{value * 1000:.0f}" for value in (low, middle, high))
    return f"{name}: {figures} ms (min / median / max of {len(seconds)})"
