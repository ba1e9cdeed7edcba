"""Faults: what is wrong at a path of a parsed file, before anyone knows the line of it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable

from msgspec import Struct

Path = tuple[str | int, ...]

LIMIT = 100
"""More faults than this are not kept: nobody reads them, and they cost time."""

_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")


class Fault(Struct, frozen=True):
    path: Path
    code: str
    message: str
    fix: str = ""
    on_key: bool = False
    """Point at the key, not at the value."""
    severity: str = "error"
    inside: int = 0
    """Point so many characters into the string that is the value."""
    uses: tuple[Path, ...] = ()
    """Other values that the judgement rests on; if one of those is wrong, it is not made."""


class Faults:
    """A bounded collection."""

    def __init__(self) -> None:
        self.kept: list[Fault] = []
        self.errors = 0
        self.more = False
        """Some were not kept."""

    @property
    def full(self) -> bool:
        return len(self.kept) >= LIMIT

    def add(self, fault: Fault) -> None:
        self.errors += fault.severity == "error"
        if self.full:
            self.more = True
        else:
            self.kept.append(fault)

    def add_unless_known(self, faults: Iterable[Fault]) -> None:
        """Add judgements, but not those about values that are already known to be wrong."""
        known = [fault.path for fault in self.kept]
        for fault in faults:
            touched = (fault.path, *fault.uses)
            if not any(_related(path, wrong) for path in touched for wrong in known):
                self.add(fault)
            if self.more:
                return


def _related(one: Path, other: Path) -> bool:
    shorter = min(len(one), len(other))
    return one[:shorter] == other[:shorter]


def quote(text: str, limit: int = 60) -> str:
    """Text from a file, in quotes, on one line, without control or bidirectional characters."""
    short = text if len(text) <= limit else text[: limit - 1] + "…"
    escaped = json.dumps(short, ensure_ascii=False)
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode() for char in escaped
    )


def dotted(path: Path) -> str:
    """``("ports", 1, "host")`` as ``ports[1].host``."""
    words = ""
    for part in path:
        if isinstance(part, int):
            words += f"[{part}]"
        else:
            shown = part if len(part) <= 60 and _BARE_KEY.fullmatch(part) else quote(part)
            words += f".{shown}" if words else shown
    return words
