"""OOM kills of a run while the engine starts it.

A first process that the kernel kills at once is gone, and its cgroup with it, before the
engine has answered the start: who looks only then finds nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from types import TracebackType

PAUSE = 0.005
"""Seconds between two looks. Podman removes a cgroup some 60 ms after the death."""


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
        while True:
            await asyncio.sleep(PAUSE)
            kills = self._count()
            if last_run is not None and (kills is None or kills < last_run):
                last_run = None
            if last_run is None and kills is not None:
                self.kills = max(self.kills, kills)
