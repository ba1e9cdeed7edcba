"""Whether the engine answers, and what its event stream hints at."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable

from nodeorch.model.facts import EngineSeen, Fact, Hint
from nodeorch.ports import Engine, EngineError

CALM = 5.0
"""Seconds between pings of an engine that answers."""
EAGER = 0.5
"""Seconds between pings of one that does not."""
DOUBT = 2
"""Late answers in a row that mean "down"; a refused connection means it at once."""


class EngineLink:
    def __init__(self, engine: Engine, inbox: Callable[[Fact], None]) -> None:
        self._engine = engine
        self._inbox = inbox
        self._doubts = asyncio.Event()
        self.version = ""

    async def run(self) -> None:
        """Until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._hints())
            group.create_task(self._pings())

    def doubt(self) -> None:
        """Some call of the engine went unanswered: ask now whether it is there at all."""
        self._doubts.set()

    async def _pings(self) -> None:
        late = 0
        while True:
            try:
                self.version = await self._engine.ping()
                late = 0
                self._inbox(EngineSeen(answering=True, words=f"podman {self.version} answers"))
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._doubts.wait(), CALM)
                self._doubts.clear()
            except EngineError as error:
                late += 1
                if error.kind != "timeout" or late >= DOUBT:
                    words = f"{error.words}; nothing is assumed dead meanwhile"
                    self._inbox(EngineSeen(answering=False, words=words))
                await asyncio.sleep(EAGER)

    async def _hints(self) -> None:
        while True:
            try:
                async for container_id in self._engine.events():
                    self._inbox(Hint(container_id=container_id))
            except EngineError:
                pass  # the pings tell about it
            await asyncio.sleep(EAGER)
