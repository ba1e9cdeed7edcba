"""Bytes in words."""

from __future__ import annotations


def size(count: int | None) -> str:
    """Bytes for people: ``64 MiB``, ``1.2 GiB``."""
    if count is None:
        return "no limit"
    value = float(count)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if value < 1024:
            return f"{value:.1f}".rstrip("0").rstrip(".") + f" {unit}"
        value /= 1024
    return f"{value:.1f}".rstrip("0").rstrip(".") + " TiB"
