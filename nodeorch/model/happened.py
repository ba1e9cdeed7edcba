"""What befell a workload, for those who count."""

from __future__ import annotations

from msgspec import Struct


class Happened(Struct, frozen=True):
    workload: str
    what: str
    """"restart" | "exit" | "oom" | "update"."""
    detail: str = ""
    """Of an exit: the code of its cause; of an update: "ok" or "failed"."""
    count: int = 1
    down: float | None = None
    """Of a restart after an end that nobody asked for: seconds since that end."""
