"""A command inside a container with its streams attached, over a connection of its own.

Podman hands the connection of exec/start over: from then on it carries the command's input one
way and its output the other, plain with a tty, in frames (streams.HEADER) without.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets

import msgspec

from nodeorch.adapters.podman import replies, sessions
from nodeorch.adapters.podman.client import CONNECT_TIMEOUT, Client, failure
from nodeorch.adapters.podman.sessions import SLACK
from nodeorch.adapters.podman.streams import HEADER, LONGEST_NOISE, STDERR, is_noise
from nodeorch.ports import Attach, EngineError

PIECE = 64 * 1024
"""Bytes read at once."""
BEGIN = 10.0
"""Seconds for Podman to begin a command."""
RARE_KEY = "ctrl-^"


class PodmanTerminal:
    """ports.Terminal."""

    def __init__(
        self,
        client: Client,
        session: str,
        container_id: str,
        tty: bool,
        streams: tuple[asyncio.StreamReader, asyncio.StreamWriter],
    ) -> None:
        self._client = client
        self._session = session
        self._container_id = container_id
        self._tty = tty
        self._reader, self._writer = streams
        self._frame = ("stdout", 0)
        """Stream of the frame that is being read, and the bytes left of it."""
        self._over = False

    async def read(self) -> tuple[str, bytes] | None:
        try:
            if self._tty:
                data = await self._reader.read(PIECE)
                return ("stdout", data) if data else None
            while self._frame[1] == 0:
                head = await self._reader.readexactly(HEADER)
                stream = "stderr" if head[0] == STDERR else "stdout"
                size = int.from_bytes(head[4:], "big")
                if 0 < size <= LONGEST_NOISE and stream == "stderr":
                    data = await self._reader.readexactly(size)
                    if not is_noise(data):
                        return stream, data
                else:
                    self._frame = stream, size
            stream, left = self._frame
            data = await self._reader.read(min(left, PIECE))
            self._frame = stream, left - len(data)
            return (stream, data) if data else None
        except (asyncio.IncompleteReadError, ConnectionError):
            return None

    async def write(self, data: bytes) -> None:
        with contextlib.suppress(ConnectionError):
            self._writer.write(data)
            await self._writer.drain()

    async def end_input(self) -> None:
        with contextlib.suppress(OSError, RuntimeError):
            self._writer.write_eof()

    async def resize(self, rows: int, columns: int) -> None:
        params = {"h": rows, "w": columns}
        with contextlib.suppress(EngineError):  # it has just ended
            path = f"exec/{self._session}/resize"
            await self._client.call("POST", path, params=params, timeout=SLACK)

    async def signal(self, name: str) -> None:
        seen = await sessions.state(self._client, self._session)
        if seen.running and seen.pid > 0:
            await sessions.signal_all(self._client, self._container_id, seen.pid, name)

    async def wait(self) -> int:
        code = (await sessions.end(self._client, self._session)).exit_code
        self._over = True
        return code

    async def close(self) -> bool:
        self._writer.close()
        return self._over or await sessions.kill(self._client, self._session, self._container_id)


async def attach(client: Client, container_id: str, asked: Attach) -> PodmanTerminal:
    """Start it. Raises EngineError; nothing of it runs then."""
    body: dict[str, object] = {
        "Cmd": list(asked.command),
        "AttachStdin": asked.stdin,
        "AttachStdout": True,
        "AttachStderr": True,
        "Tty": asked.tty,
        "Env": list(asked.env),
        "DetachKeys": _detach_keys(),
    }
    body |= {"User": asked.user} if asked.user else {}
    body |= {"WorkingDir": asked.workdir} if asked.workdir else {}
    reply = await client.call("POST", f"containers/{container_id}/exec", body=body, timeout=BEGIN)
    session = msgspec.json.decode(reply.body, type=replies.Created).id
    start: dict[str, object] = {"Detach": False, "Tty": asked.tty}
    if asked.tty and asked.rows and asked.columns:
        start |= {"h": asked.rows, "w": asked.columns}
    path = f"/v{client.version}/libpod/exec/{session}/start"
    try:
        streams = await _hijack(client.socket, path, msgspec.json.encode(start))
    except BaseException:
        await asyncio.shield(sessions.kill(client, session, container_id))
        raise
    return PodmanTerminal(client, session, container_id, asked.tty, streams)


def _detach_keys() -> str:
    """A sequence that nobody sends by chance: Podman ends a session that is sent its detach keys,
    and has no word for none (an empty text means ctrl-p,ctrl-q). It holds the first key back
    until the next one comes: so that one is hardly ever typed."""
    return ",".join([RARE_KEY, *secrets.token_hex(16)])


async def _hijack(
    socket: str, path: str, body: bytes
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """The connection, after Podman has handed it over."""
    head = (
        f"POST {path} HTTP/1.1\r\nHost: d\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n"
    )
    try:
        async with asyncio.timeout(CONNECT_TIMEOUT):
            reader, writer = await asyncio.open_unix_connection(socket, limit=PIECE)
    except (TimeoutError, OSError) as error:
        words = f"cannot reach Podman at {socket}: {error or 'no answer'}"
        raise EngineError("unreachable", words) from None
    try:
        async with asyncio.timeout(BEGIN):
            writer.write(head.encode() + body)
            answer = await reader.readuntil(b"\r\n\r\n")
            status = int(answer.split(maxsplit=2)[1])
            if status not in (101, 200):
                raise failure(status, await reader.read(PIECE))
    except BaseException as error:
        writer.close()
        if isinstance(error, TimeoutError):
            raise EngineError("timeout", f"Podman began nothing within {BEGIN:g} s") from None
        if isinstance(error, OSError | EOFError | ValueError | asyncio.LimitOverrunError):
            raise EngineError("unreachable", f"Podman broke the connection: {error}") from None
        raise
    return reader, writer
