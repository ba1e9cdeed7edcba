"""One link with another daemon: what is said on it, in both directions.

What is to be said is kept as the latest of each kind, not as a queue: a slow reader gets less, and
what it holds here has a bound.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable

import aiohttp
import msgspec
from aiohttp import WSMsgType, web

from nodeorch.adapters.peers.knock import last_ack
from nodeorch.model.fleet import Have, Hello, Message, Stamp

LIMIT = 1 << 20
"""Bytes of a message: the report of a host with thousands of workloads."""
GREETING = 5.0
"""Seconds for the other side's Hello."""
FAREWELL = 0.5
"""Seconds for the other side to close as well, once we have said why."""
STUCK = 5.0
"""Seconds that a message may take to leave: its reader does not read."""
REFUSED = 4000
"""Close code for a side that may not speak here; its reason is in words."""
_WORDS = 120
"""Bytes of a reason; RFC 6455 leaves room for 123."""

Socket = aiohttp.ClientWebSocketResponse | web.WebSocketResponse

encode = msgspec.msgpack.Encoder().encode
_decoder = msgspec.msgpack.Decoder(Message)


class Unfit(Exception):
    """The other side is not who it should be, or says what it should not. Words say what."""


class Link:
    """Of the pair of us and ``host``, by its certificate's name."""

    def __init__(self, host: str, ws: Socket, transport: asyncio.BaseTransport | None) -> None:
        self.host = host
        self.hello = Hello(host, "", "", "", "", "")
        self._ws = ws
        self._transport = transport
        peer = transport.get_extra_info("peername") if transport is not None else None
        self.address: str = peer[0] if peer else ""
        self._sock: socket.socket | None = (
            transport.get_extra_info("socket") if transport is not None else None
        )
        self._beat = b""
        self._told = b""
        self._have: dict[str, Stamp] = {}
        self._wake = asyncio.Event()
        self._sending: float | None = None
        self._closer: asyncio.Task[None] | None = None
        self.ended = ""
        """Why, once it is."""

    async def greet(self, ours: Hello) -> Hello:
        """Both say who they are. Raises Unfit."""
        try:
            async with asyncio.timeout(GREETING):
                await self._ws.send_bytes(encode(ours))
                theirs = await self._next()
        except TimeoutError:
            raise Unfit(f"no Hello for {GREETING:g} s") from None
        except ConnectionError as error:
            raise Unfit(str(error) or "the connection broke") from None
        if theirs is None:
            raise Unfit(self.ended)
        if not isinstance(theirs, Hello):
            raise Unfit("its first message is not a Hello")
        if theirs.host != self.host:
            raise Unfit(f"the certificate is of {self.host}, the Hello of {theirs.host[:63]!r}")
        if theirs.cluster != ours.cluster:
            raise Unfit(f"{self.host} is of the cluster {theirs.cluster[:63]!r}")
        self.hello = theirs
        return theirs

    async def run(self, take: Callable[[Link, Message], None]) -> None:
        """Speak and listen until it ends; ``ended`` says why. Raises Unfit."""
        sender = asyncio.create_task(self._speak())
        try:
            while (message := await self._next()) is not None:
                take(self, message)
        finally:
            sender.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await sender

    def beat(self, message: bytes) -> None:
        self._beat = message
        self._wake.set()

    def tell(self, message: bytes) -> None:
        self._told = message
        self._wake.set()

    def have(self, stamps: dict[str, Stamp]) -> None:
        self._have.update(stamps)
        self._wake.set()

    def stuck(self, now: float) -> bool:
        """Whether the other side does not take what we say; ``now`` of the loop."""
        return self._sending is not None and now - self._sending > STUCK

    def acknowledged(self) -> float | None:
        """Seconds since the other kernel acknowledged something."""
        return last_ack(self._sock)

    def abort(self, why: str) -> None:
        """At once, without a word to the other side."""
        self.ended = self.ended or why
        if isinstance(self._transport, asyncio.WriteTransport):
            with contextlib.suppress(AttributeError):  # Python 3.11's, of one that has ended
                self._transport.abort()

    async def close(self, why: str, code: int = REFUSED) -> None:
        """Tell the other side why, and end."""
        self.ended = self.ended or why
        with contextlib.suppress(Exception):
            async with asyncio.timeout(FAREWELL):
                await self._ws.close(code=code, message=why.encode()[:_WORDS])
        self.abort(why)

    def dismiss(self, why: str) -> None:
        """close() from where nobody can wait."""
        self._closer = asyncio.get_running_loop().create_task(self.close(why))

    async def _next(self) -> Message | None:
        """None: it has ended. Raises Unfit."""
        got = await self._ws.receive()
        if got.type is WSMsgType.BINARY:
            try:
                message: Message = _decoder.decode(got.data)
                return message
            except (msgspec.DecodeError, ValueError, RecursionError) as error:
                raise Unfit(f"what it says is not understood: {str(error)[:200]}") from None
        if got.type is WSMsgType.TEXT:
            raise Unfit("what it says is not understood: it is text")
        if got.type is WSMsgType.CLOSE and got.extra:
            self.ended = self.ended or f"it closed the link: {str(got.extra)[:_WORDS]}"
        failed = self._ws.exception()
        if isinstance(failed, aiohttp.WebSocketError):
            raise Unfit(f"what it says is no message: {str(failed)[:200]}")
        self.ended = self.ended or (str(failed)[:200] if failed else "") or "the link was lost"
        return None

    async def _speak(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            while True:
                await self._wake.wait()
                self._wake.clear()
                self._sending = loop.time()
                for message in self._take():
                    await self._ws.send_bytes(message)
                self._sending = None
        except ConnectionError as error:
            self.abort(str(error) or "the connection broke")

    def _take(self) -> list[bytes]:
        """What there is to say, the most urgent first."""
        have, self._have = self._have, {}
        said = [self._beat, encode(Have(have)) if have else b"", self._told]
        self._beat = self._told = b""
        return [message for message in said if message]
