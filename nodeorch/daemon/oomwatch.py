"""OOM kills of a run while the engine starts it.

A first process that the kernel kills at once is gone, and its cgroup with it, before the
engine has answered the start: who looks only then finds nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from itertools import count
from types import TracebackType

PAUSE, LAST_PAUSE = 0.005, 0.05
"""Seconds between two looks, at first and over an engine that hangs. Podman removes a cgroup some
60 ms after the death, and a busy host looks later than it means to."""
CLOSELY = 2000
"""Looks at the shorter pause: ten seconds and more. A start seldom takes as long."""


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
        for look in count():
            await asyncio.sleep(PAUSE if look < CLOSELY else LAST_PAUSE)
            kills = self._count()
            if last_run is not None and (kills is None or kills < last_run):
                last_run = None
            if last_run is None and kills is not None:
                self.kills = max(self.kills, kills)
