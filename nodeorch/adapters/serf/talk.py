"""One connection with Serf's agent: its RPC, as Serf 0.9.4 speaks it.

Requests and answers are MessagePack, a header and for some commands a body; answers come in the
order of the requests. https://github.com/hashicorp/serf/blob/v0.9.4/cmd/serf/command/agent/ipc.go
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from typing import Any, TypeVar

import msgspec
from msgspec import Struct

from nodeorch.adapters.serf.frames import Frames
from nodeorch.fleetports import MembersError

TIMEOUT = 2.0
"""Seconds for one request; those that wait for other hosts say their own."""
CHUNK = 1 << 16
SEE = "see systemctl status nodeorch-serf"

T = TypeVar("T")


class _Pascal(Struct, rename="pascal"):
    pass


class _Header(_Pascal):
    seq: int
    error: str


class Nothing(Struct):
    """The body of commands whose answer has none."""


class Listed(_Pascal):
    members: list[msgspec.Raw] | None
    """One by one: what one host says of itself must not hide the others."""


class Entry(_Pascal):
    name: str
    addr: bytes
    status: str
    tags: dict[str, str] | None = None


class KeysAnswer(_Pascal):
    messages: dict[str, str] | None = None
    """Host → why it did not follow."""
    keys: dict[str, int] | None = None


class Stats(Struct):
    agent: dict[str, str]


class Refused(MembersError):
    """The agent said no; ``body`` is the answer that some commands give all the same."""

    def __init__(self, address: str, why: str, body: bytes) -> None:
        super().__init__(f"cannot ask Serf at {address}: it says: {why}; {SEE}")
        self.why = why
        self.body = body


_HEADER = msgspec.msgpack.Decoder(_Header)


class Talk:
    def __init__(
        self, address: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self._address = address
        self._reader = reader
        self._writer = writer
        self._frames = Frames()
        self._seq = 0

    async def ask(
        self,
        command: str,
        request: Mapping[str, Any] | None = None,
        answer: type[T] = Nothing,  # type: ignore[assignment]
        *,
        timeout: float | None = None,
    ) -> T:
        """One request and its answer, within ``timeout`` seconds; None: TIMEOUT.

        Raises MembersError; after that the connection is of no more use, because what it is
        about to bring is not known.
        """
        timeout = TIMEOUT if timeout is None else timeout
        self._seq += 1
        parts = [{"Command": command, "Seq": self._seq}, *([request] if request else [])]
        self._writer.write(b"".join(map(msgspec.msgpack.encode, parts)))
        body = b""
        with _told(self._address, timeout):
            async with asyncio.timeout(timeout):
                await self._writer.drain()
                header = _HEADER.decode(await self._object())
                if header.seq != self._seq:
                    raise ValueError("it answers another request")
                if answer is not Nothing:  # with an error too
                    body = await self._object()
            if header.error:
                raise Refused(self._address, header.error, body)
            return msgspec.msgpack.decode(body or b"\x80", type=answer)

    async def _object(self) -> bytes:
        while (whole := self._frames.cut()) is None:
            data = await self._reader.read(CHUNK)
            if not data:
                raise EOFError
            self._frames.feed(data)
        return whole


@asynccontextmanager
async def connected(address: str, key: str) -> AsyncIterator[Talk]:
    """A connection that may be used. Raises MembersError."""
    host, _, port = address.rpartition(":")
    with _told(address, TIMEOUT):
        async with asyncio.timeout(TIMEOUT):
            reader, writer = await asyncio.open_connection(host.strip("[]"), int(port))
    try:
        talk = Talk(address, reader, writer)
        await talk.ask("handshake", {"Version": 1})
        await talk.ask("auth", {"AuthKey": key})
        yield talk
    finally:
        writer.close()


@contextmanager
def _told(address: str, timeout: float) -> Iterator[None]:
    """All that can go wrong, as MembersError."""
    try:
        yield
    except TimeoutError as error:
        raise _failed(address, f"no answer within {timeout:g} s") from error
    except (EOFError, ConnectionResetError, BrokenPipeError) as error:
        raise _failed(address, "it closed the connection") from error
    except OSError as error:
        raise _failed(address, error.strerror or str(error)) from error
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise _failed(address, f"its answer is not understood: {error}") from error


def _failed(address: str, why: str) -> MembersError:
    return MembersError(f"cannot ask Serf at {address}: {why}; {SEE}")
