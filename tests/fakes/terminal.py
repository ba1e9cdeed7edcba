"""ports.Terminal in memory: a few commands, none of them wiser than the real ones."""

from __future__ import annotations

import asyncio

from nodeorch.ports import Attach

MISSING = 127
ENDED = {"TERM": 143, "INT": 130, "KILL": 137}


class FakeTerminal:
    """``echo``, ``true``, ``false``, ``cat``, ``sleep``, and any ``sh -c`` as a shell that tells
    its size, waits for input and tells its size again."""

    def __init__(self, asked: Attach) -> None:
        self.asked = asked
        self.size = (asked.rows, asked.columns)
        self.signals: list[str] = []
        self.closed = False
        self._input: asyncio.Queue[bytes | None] = asyncio.Queue(1)
        self._output: asyncio.Queue[tuple[str, bytes] | None] = asyncio.Queue(4)
        self._code: int | None = None
        if not asked.stdin:
            self._input.put_nowait(None)
        self._task = asyncio.create_task(self._run())

    async def read(self) -> tuple[str, bytes] | None:
        return await self._output.get()

    async def write(self, data: bytes) -> None:
        await self._input.put(data)

    async def end_input(self) -> None:
        await self._input.put(None)

    async def resize(self, rows: int, columns: int) -> None:
        self.size = (rows, columns)

    async def signal(self, name: str) -> None:
        self.signals.append(name)
        self._end(ENDED[name])

    async def wait(self) -> int:
        assert self._code is not None
        return self._code

    async def close(self) -> bool:
        self.closed = True
        self._end(ENDED["KILL"])
        return True

    def _end(self, code: int) -> None:
        if self._code is None:
            self._code = code
            self._task.cancel()
            if self._output.full():
                self._output.get_nowait()
            self._output.put_nowait(None)

    async def _run(self) -> None:
        code = await self._command()
        await self._output.put(None)
        self._code = code

    async def _command(self) -> int:
        match self.asked.command:
            case ("echo", *words):
                await self._say(" ".join(words) + "\n")
            case ("true",):
                pass
            case ("false",):
                return 1
            case ("cat",):
                while (data := await self._input.get()) is not None:
                    await self._output.put(("stdout", data))
            case ("sleep", seconds):
                await asyncio.sleep(float(seconds))
            case ("sh", *_):
                await self._say("{} {}\r\n".format(*self.size))
                await self._input.get()
                await self._say("{} {}\r\n".format(*self.size))
            case (other, *_):
                await self._output.put(("stderr", f"{other}: not found\n".encode()))
                return MISSING
        return 0

    async def _say(self, text: str) -> None:
        await self._output.put(("stdout", text.encode()))
