"""Waiting for workloads, with progress on a terminal."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from typing import Any

from nodeorch.cli.render import clean, span
from nodeorch.cli.session import Session
from nodeorch.client.unix import ApiError, ClientError

STEP = 1.0
"""Seconds of one long poll: how often progress is shown."""


def until(session: Session, name: str, goal: str, timeout: float) -> Any:
    """The workload's views when it is so. Raises ApiError with code Timeout."""
    began = time.monotonic()
    shown = False
    try:
        while True:
            passed = time.monotonic() - began
            left = max(0.0, timeout - passed)
            step = min(STEP, left) if sys.stderr.isatty() else left
            try:
                query = {"for": goal, "timeout": f"{step:.3f}"}
                path = f"/v1/workloads/{name}/wait"
                return session.client.get(path, query, timeout=step + 30.0)
            except ApiError as error:
                if error.code != "Timeout" or left <= step:
                    raise
                shown = True
                _progress(f"{span(passed)} {error}")
    finally:
        if shown:
            _progress("")


def until_ready(session: Session, names: Sequence[str], timeout: float) -> None:
    """Also that what is ready is what was declared. Raises ClientError."""
    deadline = time.monotonic() + timeout
    for name in names:
        views = until(session, name, "ready", max(0.0, deadline - time.monotonic()))
        for view in views:
            if view["declared_generation"] not in (0, view["generation"]):
                raise ClientError(
                    f"cannot update {name}: it went back to generation {view['generation']}: "
                    f"{view['reason']}; see `nodeorch why {name}`"
                )


def _progress(text: str) -> None:
    sys.stderr.write(f"\r\x1b[K{clean(text)[:110]}")
    sys.stderr.flush()
