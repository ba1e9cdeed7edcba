"""A store in memory, and an engine that says what it is told to say."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

from nodeorch.model.world import Version
from nodeorch.ports import Attach, EngineError, Entry, LogLine, PathStat
from tests.fakes.files import FakeFiles
from tests.fakes.terminal import FakeTerminal


class MemoryStore:
    def __init__(self) -> None:
        self.journal: list[Entry] = []
        self.kept: dict[str, list[tuple[float, Version]]] = {}
        self.broken: str | None = None
        self.before_reading: Callable[[], None] = lambda: None

    async def entries(
        self,
        *,
        after: int = 0,
        workload: str | None = None,
        instance: str | None = None,
        last: int | None = None,
        first: int | None = None,
    ) -> tuple[Entry, ...]:
        self.before_reading()
        found = [
            e
            for e in self.journal
            if e.seq > after and workload in (None, e.workload) and instance in (None, e.instance)
        ]
        found = found if last is None else found[len(found) - min(last, len(found)) :]
        return tuple(found[:first])

    async def extent(
        self, *, after: int = 0, workload: str | None = None, last: int | None = None
    ) -> tuple[int, int]:
        found = await self.entries(after=after, workload=workload, last=last)
        return (found[0].seq, found[-1].seq) if found else (0, 0)

    async def versions(self, workload: str) -> tuple[tuple[float, Version], ...]:
        return tuple(self.kept.get(workload, ()))


class ScriptedEngine:
    """Its logs: lines by container id; a following reader gets what is added, until ``end``.
    And the files and terminals of the fake one."""

    def __init__(self) -> None:
        self.lines: dict[str, list[LogLine]] = {}
        self.ended: set[str] = set()
        self.error: EngineError | None = None
        self.asked: list[dict[str, Any]] = []
        self.terminals: list[FakeTerminal] = []
        self.files = FakeFiles()

    async def terminal(self, container_id: str, attach: Attach) -> FakeTerminal:
        self.asked.append({"id": container_id, "attach": attach})
        if self.error is not None:
            raise self.error
        self.terminals.append(FakeTerminal(attach))
        return self.terminals[-1]

    async def stat(self, container_id: str, path: str) -> PathStat | None:
        return self.files.stat(path)

    async def read_archive(self, container_id: str, path: str) -> AsyncIterator[bytes]:
        async for piece in self.files.read(path):
            yield piece

    async def write_archive(self, container_id: str, path: str, data: AsyncIterator[bytes]) -> None:
        await self.files.write(path, data)

    async def logs(
        self, container_id: str, instance: str, *, follow: bool, tail: int | None, since: str | None
    ) -> AsyncIterator[LogLine]:
        self.asked.append({"id": container_id, "follow": follow, "tail": tail, "since": since})
        if self.error is not None:
            raise self.error
        lines = self.lines.setdefault(container_id, [])
        # Whole seconds, as Podman does.
        found = [i for i, x in enumerate(lines) if since is None or x.at[:19] >= since[:19]]
        at = found[0] if found else len(lines)
        if tail is not None:
            at = max(at, len(lines) - tail)
        while True:
            for line in lines[at:]:
                yield line
            at = len(lines)
            if not follow or container_id in self.ended:
                return
            await asyncio.sleep(0.005)
