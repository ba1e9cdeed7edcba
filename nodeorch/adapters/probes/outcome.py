"""What came of one try of a probe, in words for a person."""

from __future__ import annotations

import errno
import os
from typing import NamedTuple

EXCERPT = 80
"""Characters of a workload's own output that a reason quotes."""


class Outcome(NamedTuple):
    passed: bool | None
    """None: it could not be tried, for a reason that is not the workload's."""
    words: str
    timed_out: bool = False
    refused: bool = False
    """Nobody listens: the request was not taken."""


def printable(text: str) -> str:
    """Escape what could move a terminal's cursor or turn the reading direction."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def excerpt(text: str) -> str:
    """The beginning of a workload's output, in one line."""
    line = " ".join(text[: 4 * EXCERPT].split())
    cut = line[:EXCERPT] + "…" if len(line) > EXCERPT else line
    return printable(cut)


def seconds(value: float) -> str:
    """As people write it: 500ms, 2s."""
    return f"{value * 1000:.0f}ms" if value < 1 else f"{value:g}s"


def errno_words(code: int) -> str:
    return os.strerror(code).lower()


def ours(code: int) -> bool:
    """An errno that tells of this process or host and says nothing about the workload."""
    return code in (errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS, errno.EADDRNOTAVAIL)
