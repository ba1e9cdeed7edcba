"""OOM kills of a run while the engine starts it.

A first process that the kernel kills at once is gone, and its cgroup with it, before the
engine has answered the start: who looks only then finds nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from types import TracebackType

PAUSE, LAST_PAUSE = 0.005, 0.05
"""Seconds between two looks, in the beginning and when the engine takes seconds over it. Podman
removes a cgroup some 60 ms after the death."""
GROWTH = 1.02
"""Of the pause, from look to look: 7 ms after 0.1 s, 25 ms after one second."""


class OomWatch:
    """Looks as long as it is entered; ``kills``: OOM kills of the run begun meanwhile."""

    def __init__(self, count: Callable[[], int | None]) -> None:
        self._count = count
        self.kills = 0

    async def __aenter__(self) -> OomWatch:
        self._task = asyncio.create_task(self._look())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType
    ) -> None:
        self._task.cancel()

    async def _look(self) -> None:
        last_run = self._count()  # its cgroup may still be there
        pause = PAUSE
        while True:
            await asyncio.sleep(pause)
            pause = min(pause * GROWTH, LAST_PAUSE)
            kills = self._count()
            if last_run is not None and (kills is None or kills < last_run):
                last_run = None
            if last_run is None and kills is not None:
                self.kills = max(self.kills, kills)
