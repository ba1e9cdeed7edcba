"""Wall times as they are shown."""

from __future__ import annotations

from datetime import UTC, datetime


def rfc3339(wall: float) -> str | None:
    """UTC with milliseconds; None for a time that is not known (0), or beyond the calendar."""
    if not wall:
        return None
    try:
        text = datetime.fromtimestamp(wall, UTC).isoformat(timespec="milliseconds")
    except (OverflowError, OSError, ValueError):
        return None
    return text.replace("+00:00", "Z")
