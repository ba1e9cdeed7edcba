"""POST exec: a command inside an instance, with its streams. Its frames: model/frames.py.

The body is a stream of frames of which the first is BEGIN; the answer is one that goes on at the
same time. The command ends with the connection.
"""

from __future__ import annotations

import asyncio
import shlex
from collections.abc import Coroutine
from typing import Any

import msgspec
from aiohttp.web import StreamResponse
from msgspec import Struct

from nodeorch.api.call import BODY_TIMEOUT, Call, Problem, answer
from nodeorch.api.target import choose, record
from nodeorch.model import frames
from nodeorch.model.frames import BadFrame, Splitter, frame
from nodeorch.model.view import MutationView, WorkloadPlan
from nodeorch.model.world import Code
from nodeorch.ports import Attach, EngineError, Terminal

SIGNALS = frozenset({"INT", "TERM", "HUP", "QUIT", "KILL", "USR1", "USR2"})
SHOWN = 200
"""Characters of a command that the journal keeps."""
KIND = "application/vnd.nodeorch.frames"


class Asked(Struct, forbid_unknown_fields=True):
    command: list[str]
    tty: bool = False
    stdin: bool = False
    user: str = ""
    workdir: str = ""
    env: dict[str, str] = {}
    """Not in the journal: it may be secret."""
    rows: int = 0
    columns: int = 0


async def run(call: Call) -> StreamResponse:
    incoming = _Incoming(call)
    attach = _attach(call, await incoming.begin())
    instance, running = choose(call)
    shown = shlex.join(attach.command)[:SHOWN]
    if call.dry_run:
        plan = WorkloadPlan(call.name, "exec", f"would run {shown} in {instance.name}")
        return answer(MutationView(workloads=[plan], dry_run=True))
    how = " with a terminal" if attach.tty else ""
    words = f"{shown}{how}, run by {await call.by()}"
    await record(call, Code.EXEC, instance.name, words)
    began = call.supervisor.clock.now()
    session = None
    try:
        terminal = await call.supervisor.engine.terminal(instance.container_id, attach)
        session = _Session(call, incoming, terminal)
        return await session.run(instance.name, running)
    finally:
        await _to_the_end(_ended(call, session, instance.name, shown, began))


async def _ended(
    call: Call, session: _Session | None, instance: str, shown: str, began: float
) -> None:
    """Nothing of it is left running, and the journal says how it ended."""
    if session is None:
        how = "could not be run"
    elif await session.terminal.close() and session.code is None:
        how = "was killed: its client has gone"
    elif session.code is None:
        how = "may run on: its client has gone, and it could not be killed"
    else:
        how = f"ended with exit code {session.code}"
    words = f"{shown} {how} after {call.supervisor.clock.now() - began:.1f}s"
    await record(call, Code.EXEC, instance, words)


async def _to_the_end(work: Coroutine[Any, Any, None]) -> None:
    """However often we are cancelled meanwhile; it ends soon."""
    task = asyncio.ensure_future(work)
    cancelled = None
    while not task.done():
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is not None:
        raise cancelled


def _attach(call: Call, asked: Asked) -> Attach:
    if not asked.command or not asked.command[0]:
        raise call.bad("there is no command", "name one")
    words = [*asked.command, asked.user, asked.workdir, *asked.env, *asked.env.values()]
    if any("\0" in word for word in words):
        raise call.bad("a word of it has a NUL", "leave it away")
    if any(not key or "=" in key for key in asked.env):
        raise call.bad("an environment variable has no name, or = in it", "write KEY=value")
    if not (0 <= asked.rows < 1 << 16 and 0 <= asked.columns < 1 << 16):
        raise call.bad("a terminal of that size cannot be", "give 0 to 65535")
    return Attach(
        command=tuple(asked.command),
        tty=asked.tty,
        stdin=asked.stdin,
        user=asked.user,
        workdir=asked.workdir,
        env=tuple(f"{key}={value}" for key, value in asked.env.items()),
        rows=asked.rows,
        columns=asked.columns,
    )


class _Incoming:
    """The body, frame by frame."""

    def __init__(self, call: Call) -> None:
        self._call = call
        self._content = call.request.content
        self._splitter = Splitter()
        self._waiting: list[tuple[bytes, bytes]] = []

    async def begin(self) -> Asked:
        """The first frame; raises Problem."""
        call = self._call
        try:
            async with asyncio.timeout(BODY_TIMEOUT):
                first = await self.next()
            if first is None or first[0] != frames.BEGIN:
                raise call.bad("the body does not begin with a BEGIN frame", "see model/frames.py")
            return msgspec.json.decode(first[1], type=Asked)
        except (msgspec.DecodeError, UnicodeDecodeError, BadFrame) as error:
            raise call.bad(f"the body is not what is expected ({error})", "see /v1") from error
        except TimeoutError as error:
            words = f"cannot {call.does}: the body did not arrive in {BODY_TIMEOUT:g} s"
            raise Problem(408, words, "Timeout") from error

    async def next(self) -> tuple[bytes, bytes] | None:
        """None: the body has ended. Raises BadFrame, ConnectionError."""
        while not self._waiting:
            data = await self._content.readany()
            if not data:
                return None
            self._waiting = self._splitter.feed(data)
        return self._waiting.pop(0)


class _Session:
    """Frames to the terminal, and what it says in frames to the client."""

    def __init__(self, call: Call, incoming: _Incoming, terminal: Terminal) -> None:
        self.terminal = terminal
        self.code: int | None = None
        self._call = call
        self._incoming = incoming
        self._response = call.stream()
        self._credit = frames.CREDIT
        self._input: asyncio.Queue[bytes | None] = asyncio.Queue()
        """Bounded by the credit."""

    async def run(self, instance: str, running: int) -> StreamResponse:
        self._response.content_type = KIND
        self._response.enable_chunked_encoding()
        await self._response.prepare(self._call.request)
        told = msgspec.json.encode({"instance": instance, "running": running})
        await self._response.write(frame(frames.STARTED, told))
        try:
            await self._all_ways()
        except (BadFrame, EngineError) as error:
            await self._response.write(frame(frames.FAILED, str(error).encode()))
        await self._response.write_eof()
        return self._response

    async def _all_ways(self) -> None:
        """Until the command has ended, or a way is broken."""
        output = asyncio.create_task(self._say())
        ways = {output, *map(asyncio.create_task, (self._listen(), self._feed()))}
        running = ways
        try:
            while not output.done():
                done, running = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    task.result()
        finally:
            for task in ways:
                task.cancel()

    async def _say(self) -> None:
        while (said := await self.terminal.read()) is not None:
            stream, data = said
            kind = frames.ERR if stream == "stderr" else frames.OUT
            for at in range(0, len(data), frames.LONGEST):
                await self._response.write(frame(kind, data[at : at + frames.LONGEST]))
        self.code = await self.terminal.wait()
        await self._response.write(frame(frames.CODE, b"%d" % self.code))

    async def _listen(self) -> None:
        """Never waits for the command to take its input: what follows may be a signal."""
        ended = False
        while (got := await self._incoming.next()) is not None:
            kind, payload = got
            if ended and kind in (frames.INPUT, frames.INPUT_ENDS):
                raise BadFrame("input after its end")
            if kind == frames.INPUT:
                self._credit -= len(payload)
                if self._credit < 0 or not payload:
                    raise BadFrame("more input than it was allowed to send, or none in a frame")
                self._input.put_nowait(payload)
            elif kind == frames.INPUT_ENDS:
                ended = True
                self._input.put_nowait(None)
            elif kind == frames.SIZE:
                await self.terminal.resize(*frames.size_of(payload))
            elif kind == frames.SIGNAL and payload.decode("latin-1") in SIGNALS:
                await self.terminal.signal(payload.decode())
            else:
                raise BadFrame(f"a frame {kind!r} that means nothing here")
        if not ended:
            self._input.put_nowait(None)

    async def _feed(self) -> None:
        while (data := await self._input.get()) is not None:
            await self.terminal.write(data)
            self._credit += len(data)
            await self._response.write(frame(frames.TAKEN, b"%d" % len(data)))
        await self.terminal.end_input()
