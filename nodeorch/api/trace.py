"""The traceparent header (W3C Trace Context, level 1, https://www.w3.org/TR/trace-context-1/)."""

from __future__ import annotations

import re
from collections.abc import Sequence

HEADER = "traceparent"

_FORM = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?", re.ASCII)
LONGEST = 256
"""A later version may append to it; what is longer is not carried around."""


def traceparent(values: Sequence[str]) -> str:
    """The header if it is valid, else empty: a request is never refused for it (§3.2, §4.3)."""
    found = _FORM.fullmatch(values[0].strip(" \t")) if len(values) == 1 else None
    if found is None or len(found[0]) > LONGEST or not found[0].isprintable():
        return ""
    version, trace_id, parent_id, _, more = found.groups()
    if version == "ff" or (version == "00" and more):
        return ""
    if not trace_id.strip("0") or not parent_id.strip("0"):
        return ""
    return found[0]
