"""How a route says what it takes and gives; ``openapi`` turns that into the document.

A query parameter means the same wherever it is taken: it is described once, here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from nodeorch.model.workload import NAME_PATTERN


class Stream(NamedTuple):
    """An answer of newline-delimited JSON."""

    lines: tuple[Any, ...]
    """The types that a line can have."""
    lasts: bool = True
    """It may stay open: it counts against the streams of its uid."""


class Raw(NamedTuple):
    """An answer, or a body, that is no JSON."""

    media: str
    lasts: bool = False
    dry: Any = None
    """The type of the JSON that a dry run answers instead."""


class Param(NamedTuple):
    schema: Mapping[str, Any]
    words: str
    noun: str = ""
    """Of one in a path: what it names."""


FLAG: Mapping[str, Any] = {"type": "string", "enum": ["1", "0", "true", "false"]}
COUNT: Mapping[str, Any] = {"type": "integer", "minimum": 0, "maximum": 1 << 53}
NAME: Mapping[str, Any] = {"type": "string", "pattern": NAME_PATTERN}

PARAMS: dict[str, Param] = {
    "after": Param(COUNT, "Only entries of the journal above this number: those that follow it."),
    "dry_run": Param(FLAG, "Answer what would change, and change nothing."),
    "follow": Param(FLAG, "Do not end: send what is added as it comes."),
    "for": Param(
        {"type": "string", "enum": ["ready", "stopped", "gone"]},
        "What to wait for; ready if not said.",
    ),
    "instance": Param(
        {"type": "string"},
        "Only of this instance; to act on: also without its generation, `web.1`.",
    ),
    "last": Param(COUNT, "Only so many, the newest."),
    "name": Param(NAME, "Only this workload."),
    "path": Param({"type": "string", "pattern": "^/"}, "Inside the container; absolute."),
    "number": Param({**COUNT, "minimum": 1}, "Only this run."),
    "since": Param(
        {"type": "string", "format": "date-time"}, "Only what is not older. RFC 3339, with zone."
    ),
    "tail": Param({**COUNT, "maximum": 1_000_000}, "Only so many lines of each log, the newest."),
    "timeout": Param({"type": "number", "minimum": 0, "maximum": 3600}, "Seconds to wait at most."),
    "workload": Param(NAME, "Only of this workload."),
}

PATH: dict[str, Param] = {
    "name": Param(NAME, "The workload.", "workload"),
    "id": Param({"type": "integer", "minimum": 1, "maximum": 10**15 - 1}, "Its number.", "number"),
}
"""Parameters in paths."""
