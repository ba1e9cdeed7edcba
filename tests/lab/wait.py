"""Wait for a condition, with a deadline."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")

PAUSE = 0.01
"""Seconds between two looks."""


def wait_for(cond: Callable[[], T], deadline: float = 10.0, what: str = "") -> T:
    """Return the first true value of ``cond()``; AssertionError after ``deadline`` seconds."""
    end = time.monotonic() + deadline
    while not (value := cond()):
        if time.monotonic() > end:
            raise AssertionError(f"not so within {deadline} s: {what or cond}; last: {value!r}")
        time.sleep(PAUSE)
    return value


async def async_wait_for(
    cond: Callable[[], object | Awaitable[object]], deadline: float = 10.0, what: str = ""
) -> None:
    """The same inside a loop; ``cond`` may be a coroutine function."""
    end = time.monotonic() + deadline
    while True:
        value = cond()
        if isinstance(value, Awaitable):
            value = await value
        if value:
            return
        if time.monotonic() > end:
            raise AssertionError(f"not so within {deadline} s: {what or cond}; last: {value!r}")
        await asyncio.sleep(PAUSE)
