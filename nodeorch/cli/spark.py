"""A row of numbers as a row of blocks."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from itertools import pairwise

BLOCKS = "▁▂▃▄▅▆▇█"
PLAIN = "_.-:=+*#"
"""The same where the output cannot have them."""


def blocks() -> str:
    return BLOCKS if "utf" in (sys.stdout.encoding or "").lower() else PLAIN


def squeezed(values: Sequence[float | None], width: int) -> list[float | None]:
    """At most ``width`` values: each the highest of its share, so that no peak is lost."""
    count = len(values)
    if count <= width:
        return list(values)
    edges = [i * count // width for i in range(width + 1)]
    return [
        max((v for v in values[a:b] if v is not None), default=None) for a, b in pairwise(edges)
    ]


def line(values: Sequence[float | None], top: float, ramp: str = BLOCKS) -> str:
    """A block a value, from 0 to ``top``; a blank where nothing is known."""
    last = len(ramp) - 1
    return "".join(
        " " if v is None else ramp[round(min(max(v, 0.0) / top, 1.0) * last) if top > 0 else 0]
        for v in values
    )
