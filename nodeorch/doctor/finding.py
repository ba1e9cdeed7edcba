"""What a finding is, and what the catalogue says of it."""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct


class Severity(StrEnum):
    ERROR = "error"
    """nodeorch cannot do its work, or the host is open."""
    WARNING = "warning"
    """It works, with less, or not for long."""
    NOTE = "note"
    """Good to know; fails nothing."""


class Entry(Struct, frozen=True):
    severity: Severity
    means: str
    fix: str = ""
    """Shell lines to be pasted by root; ``{words}`` in braces are filled in."""
    setting: tuple[str, str] | None = None
    """A table of containers.conf and the line that belongs into it; comes after ``fix``."""
    argument: str = ""
    """Belongs to the kernel's command line."""


class Finding(Struct, frozen=True):
    code: str
    words: str
    """What was seen, as a sentence without its full stop."""
    values: dict[str, str] = {}
    """For the braces of the catalogue."""
    severity: Severity | None = None
    """None: that of the catalogue."""
