"""The port: who is let in, how many of them, and how long each may take.

Before a certificate is shown anybody may be there. Strangers share few places, each for a short
time; hosts of the fleet have places of their own, so that strangers cannot keep them out.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp.web import BaseRequest, RequestHandler, Response, Server, StreamResponse

from nodeorch.adapters.peers.tls import name_of

log = logging.getLogger(__name__)

BACKLOG = 4096
"""Connections that the kernel takes while this daemon hangs: what asks whether the host lives gets
no answer any more when they are used up."""
STRANGERS = 16
"""Connections without a certificate, from addresses that are of no host."""
PER_ADDRESS = 16
"""The same from the address of a host."""
PER_HOST = 8
"""Connections with a host's certificate."""
HANDSHAKE = 5.0
HEADER = 5.0
"""Seconds from the connect to the end of the first request's header."""
STAY = 45.0
"""Seconds of a connection without a certificate; a join waits for a process that signs."""
KEEPALIVE = 15.0
SEND = 60.0
"""Seconds for an answer to be read."""
REST = 1.0
"""Seconds without taking connections, once there are no descriptors for them."""

Handle = Callable[[BaseRequest, str, str], Awaitable[StreamResponse]]
"""(request, host by its certificate or "", IP address)"""


class Door(Server):
    """``known`` tells whether an address is one of the fleet's."""

    def __init__(self, context: ssl.SSLContext, handle: Handle, known: Callable[[str], bool]):
        super().__init__(
            self._answer,
            handler_cancellation=True,
            keepalive_timeout=KEEPALIVE,
            access_log=None,
            auto_decompress=False,
            lingering_time=0.0,
            tcp_keepalive=True,
        )
        self.places: Counter[str] = Counter()
        self._context = context
        self._handle = handle
        self._known = known
        self._sock: socket.socket | None = None
        self._arriving: set[asyncio.Task[None]] = set()

    def listen(self, address: str, port: int) -> int:
        """The port, which the kernel chooses for 0. Raises OSError."""
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        sock = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        try:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.bind((address, port))
            sock.listen(BACKLOG)
        except OSError as error:
            sock.close()
            words = f"cannot listen on {address} port {port}: {error.strerror or error}"
            raise OSError(error.errno, f"{words}; see [cluster] address and port") from error
        self._sock = sock
        self._loop.add_reader(sock, self._accept)
        return int(sock.getsockname()[1])

    def stop(self) -> None:
        """Take no more connections."""
        if self._sock is not None:
            self._loop.remove_reader(self._sock)
            self._sock.close()
            self._sock = None

    async def close(self) -> None:
        self.stop()
        for task in self._arriving:
            task.cancel()
        await asyncio.gather(*self._arriving, return_exceptions=True)
        await self.shutdown(0.2)

    def enter(self, place: str, most: int) -> bool:
        if self.places[place] >= most:
            return False
        self.places[place] += 1
        return True

    def leave(self, place: str) -> None:
        self.places[place] -= 1
        if self.places[place] <= 0:
            del self.places[place]

    def _accept(self) -> None:
        assert self._sock is not None
        for _ in range(STRANGERS):
            try:
                conn, peer = self._sock.accept()
            except (BlockingIOError, ConnectionError):
                return
            except OSError as error:
                log.error("cannot take connections of other hosts: %s", error.strerror)
                self._loop.remove_reader(self._sock)
                self._loop.call_later(REST, self._resume)
                return
            known = self._known(peer[0])
            place = peer[0] if known else "strangers"
            if not self.enter(place, PER_ADDRESS if known else STRANGERS):
                conn.close()
                continue
            task = self._loop.create_task(self._arrive(conn, place))
            self._arriving.add(task)
            task.add_done_callback(self._arriving.discard)

    def _resume(self) -> None:
        if self._sock is not None:
            self._loop.add_reader(self._sock, self._accept)

    async def _arrive(self, conn: socket.socket, place: str) -> None:
        conn.setblocking(False)
        arrived: list[_Connection] = []

        def protocol() -> _Connection:
            arrived.append(_Connection(self, place, loop=self._loop, **self._kwargs))
            return arrived[-1]

        try:
            await self._loop.connect_accepted_socket(
                protocol, conn, ssl=self._context, ssl_handshake_timeout=HANDSHAKE
            )
        except (OSError, ssl.SSLError, TimeoutError):
            pass  # who it was cannot be known, and any scanner can make a line of log a second
        finally:
            if not arrived or not arrived[0].arrived:
                self.leave(place)

    async def _answer(self, request: BaseRequest) -> StreamResponse:
        connection = request.protocol
        assert isinstance(connection, _Connection)
        connection.spoke()
        response = await self._handle(request, connection.host, connection.address)
        if not response.prepared:
            try:
                async with asyncio.timeout(SEND):
                    await response.prepare(request)
                    await response.write_eof()
            except TimeoutError as error:
                connection.abort()
                raise ConnectionResetError("the peer does not read its answer") from error
        return response


class _Connection(RequestHandler):
    __slots__ = ("_deadline", "_door", "_place", "_stay", "address", "arrived", "host")

    def __init__(self, door: Door, place: str, **kwargs: Any) -> None:
        super().__init__(door, **kwargs)
        self._door = door
        self._place = place
        self._deadline: asyncio.TimerHandle | None = None
        self._stay: asyncio.TimerHandle | None = None
        self.arrived = False
        self.host = self.address = ""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self.arrived = True
        self.host = name_of(transport.get_extra_info("peercert"))
        self.address = (transport.get_extra_info("peername") or ("",))[0]
        self._deadline = self._loop.call_later(HEADER, self.abort)
        if not self.host:
            self._stay = self._loop.call_later(STAY, self.abort)
            return
        self._door.leave(self._place)
        self._place = f"{self.host} by certificate"
        if not self._door.enter(self._place, PER_HOST):
            self._place = ""
            self.abort()

    def connection_lost(self, exc: BaseException | None) -> None:
        self.spoke()
        if self._stay is not None:
            self._stay.cancel()
        if self._place:
            self._door.leave(self._place)
        super().connection_lost(exc)

    def spoke(self) -> None:
        """A whole request header has come."""
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def abort(self) -> None:
        if isinstance(self.transport, asyncio.Transport):
            self.transport.abort()

    def handle_error(
        self,
        request: BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> StreamResponse:
        """What is not HTTP, or went wrong, without telling strangers more than that."""
        if status >= 500:
            log.error("a request of %s failed", self.host or self.address, exc_info=exc)
        response = Response(status=status, text="cannot answer the request")
        response.force_close()
        return response
