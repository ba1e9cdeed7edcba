"""GET logs: the lines of all instances of a workload, merged; followed across restarts."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import datetime

from aiohttp.web import StreamResponse

from nodeorch.api.call import Call, Lines, rfc3339
from nodeorch.api.target import is_meant, no_such
from nodeorch.model.world import World
from nodeorch.ports import EngineError, LogLine

QUEUE = 256
"""Lines kept for a slow reader; then the readers of the engine wait."""

PAUSE = 0.2
"""Seconds before an ended log of a running instance is asked for again."""

RECHECK = 30.0
"""Seconds between two looks for new instances, were a change of the world ever missed."""

Targets = dict[str, str]
"""container id → instance."""


async def show(call: Call) -> StreamResponse:
    call.known()
    tail = call.whole("tail", 1_000_000)
    since = _since(call)
    instance = call.query("instance")
    names = sorted(call.supervisor.world.workloads[call.name].instances)
    if instance is not None and not any(is_meant(name, instance) for name in names):
        raise no_such(call, instance, names)
    lines = Lines(call)
    if call.flag("follow"):
        follower = _Follower(call, lines, tail, since, instance)
        await lines.begin()
        await follower.run()
    else:
        targets = _targets(call.supervisor.world, call.name, instance)
        await lines.begin()
        async for line in _merged([_read(call, t, tail, since) for t in targets.items()]):
            await lines.send(line)
    return await lines.end()


def _since(call: Call) -> str | None:
    text = call.query("since")
    if text is None:
        return None
    try:
        when = datetime.fromisoformat(text)
    except ValueError:
        when = None
    if when is None or when.tzinfo is None:
        raise call.bad(f'since is "{text[:40]}"', 'write "2024-05-01T10:00:00Z"')
    return text


def _targets(
    world: World, workload: str, instance: str | None, *, running: bool = False
) -> Targets:
    state = world.workloads.get(workload)
    return {
        found.record.container_id: name
        for name, found in sorted(state.instances.items() if state else ())
        if found.record.container_id and (not running or found.running)
        if instance is None or is_meant(name, instance)
    }


async def _read(
    call: Call, target: tuple[str, str], tail: int | None, since: str | None, follow: bool = False
) -> AsyncIterator[LogLine]:
    """One log; a refusal of the engine is a line of its own."""
    container_id, instance = target
    try:
        async for line in call.supervisor.engine.logs(
            container_id, instance, follow=follow, tail=tail, since=since
        ):
            yield line
    except EngineError as error:
        if error.kind != "not_found":
            words = f"cannot read its log: {error.words}"
            yield LogLine(instance=instance, stream="error", at="", text=words)


def moment(line: LogLine) -> str:
    """Sorts as time does: engines leave trailing zeros of a fraction away."""
    return line.at.rstrip("Z")


async def _merged(streams: list[AsyncIterator[LogLine]]) -> AsyncIterator[LogLine]:
    """By time; each stream is in order of time already."""
    heads = {stream: line for stream in streams if (line := await anext(stream, None))}
    while heads:
        first = min(heads, key=lambda stream: moment(heads[stream]))
        yield heads[first]
        line = await anext(first, None)
        if line is None:
            del heads[first]
        else:
            heads[first] = line


class _Follower:
    """A reader for each instance; a new one whenever an instance appears or runs again."""

    def __init__(
        self, call: Call, lines: Lines, tail: int | None, since: str | None, instance: str | None
    ) -> None:
        self._call = call
        self._lines = lines
        self._tail = tail
        self._since = since
        self._began = rfc3339(call.supervisor.clock.wall())
        self._instance = instance
        self._queue: asyncio.Queue[LogLine] = asyncio.Queue(QUEUE)
        self._readers: dict[str, asyncio.Task[None]] = {}
        self._last: dict[str, LogLine] = {}

    async def run(self) -> None:
        """Until the peer hangs up or the workload is gone."""
        tasks = [asyncio.create_task(self._send()), asyncio.create_task(self._watch())]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in tasks:
                if task.done():
                    task.result()
        finally:
            for task in (*tasks, *self._readers.values()):
                task.cancel()

    async def _send(self) -> None:
        while True:
            await self._lines.send(await self._queue.get())
            self._queue.task_done()

    async def _watch(self) -> None:
        call = self._call
        first = _targets(call.supervisor.world, call.name, self._instance)
        for target in first.items():
            self._start(target, again=False)
        while call.name in call.supervisor.world.workloads:
            for target in self._missing(call.supervisor.world).items():
                self._start(target, again=True)
            await call.supervisor.until(self._stale, RECHECK)
        await self._finish()

    async def _finish(self) -> None:
        """The workload is gone: what was read shall still be sent."""
        if self._readers:
            await asyncio.wait(self._readers.values(), timeout=PAUSE)
        await self._queue.join()

    def _missing(self, world: World) -> Targets:
        running = _targets(world, self._call.name, self._instance, running=True)
        return {k: v for k, v in running.items() if k not in self._readers}

    def _stale(self, world: World) -> bool:
        return bool(self._missing(world)) or self._call.name not in world.workloads

    def _start(self, target: tuple[str, str], *, again: bool) -> None:
        self._readers[target[0]] = asyncio.create_task(self._follow(target, again=again))

    async def _follow(self, target: tuple[str, str], *, again: bool) -> None:
        """Until it does not run any more; a log may end before that, and go on."""
        container_id, instance = target
        while True:
            last = self._last.get(container_id)
            tail = None if again else self._tail
            since = last.at if last else self._began if again else self._since
            fresh = _after(last)
            async for line in _read(self._call, target, tail, since, follow=True):
                if fresh(line):
                    self._last[container_id] = line
                    await self._queue.put(line)
            await asyncio.sleep(PAUSE)
            world = self._call.supervisor.world
            if container_id not in _targets(world, self._call.name, instance, running=True):
                break
            again = True
        del self._readers[container_id]


def _after(last: LogLine | None) -> Callable[[LogLine], bool]:
    """Engines take whole seconds for "since": what was sent must not be sent again."""
    if last is None:
        return lambda line: True
    return lambda line: moment(line) > moment(last)
