"""Waiting for workloads and changes, with progress on a terminal."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Any

from nodeorch.cli.again import patiently
from nodeorch.cli.render import clean, span
from nodeorch.cli.session import Session
from nodeorch.client.unix import ApiError, ClientError

STEP = 1.0
"""Seconds of one long poll: how often progress is shown."""


def until(session: Session, name: str, goal: str, timeout: float) -> Any:
    """The workload's views when it is so. Raises ApiError with code Timeout."""
    return _poll(session.client.get, f"/v1/workloads/{name}/wait", {"for": goal}, timeout)


def until_done(session: Session, change: int, timeout: float) -> Any:
    """The change when it is done; the daemon may restart meanwhile. Raises ClientError when it
    will not be done."""

    def ask(*args: Any, **named: Any) -> Any:
        return patiently(session, lambda: session.client.get(*args, **named))

    view = _poll(ask, f"/v1/changes/{change}/wait", {}, timeout)
    if view["state"] != "done":
        raise ClientError(
            f"cannot {view['verb']} {', '.join(view['workloads'])}: "
            f"change {change} {_ENDED[view['state']]}: {view['reason']}"
        )
    return view


_ENDED = {"failed": "failed", "superseded": "was superseded"}


def _poll(ask: Callable[..., Any], path: str, query: dict[str, str], timeout: float) -> Any:
    began = time.monotonic()
    shown = False
    try:
        while True:
            passed = time.monotonic() - began
            left = max(0.0, timeout - passed)
            step = min(STEP, left) if sys.stderr.isatty() else left
            try:
                return ask(path, {**query, "timeout": f"{step:.3f}"}, timeout=step + 30.0)
            except ApiError as error:
                if error.code != "Timeout" or left <= step:
                    raise
                shown = True
                _progress(f"{span(passed)} {error}")
    finally:
        if shown:
            _progress("")


def _progress(text: str) -> None:
    sys.stderr.write(f"\r\x1b[K{clean(text)[:110]}")
    sys.stderr.flush()
