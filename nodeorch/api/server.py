"""The socket, the connections on it, and how long each may take.

Two dangers are kept off. A peer that connects and says nothing would hold a connection
for ever: it is closed when no whole request header came in time; so is one that does not
read its answer. Very many of them would use up the daemon's file descriptors, which
supervision needs: above a share of those, a silent connection makes room for a new one.
"""

from __future__ import annotations

import asyncio
import contextlib
import grp
import logging
import os
import resource
import socket
import stat
from collections import Counter
from pathlib import Path
from typing import Any

from aiohttp.web import BaseRequest, RequestHandler, Response, Server, StreamResponse

from nodeorch.api.auth import NOBODY, identify
from nodeorch.api.call import Problem, answer
from nodeorch.api.crowd import share
from nodeorch.api.dispatch import Dispatcher
from nodeorch.api.state import Supervisor

log = logging.getLogger(__name__)

MODE = 0o660
BACKLOG = 1024
HEADER_TIMEOUT = 10.0
"""Seconds from the connect to the end of the first request's header."""

KEEPALIVE = 15.0
"""Seconds that a connection may rest between two requests."""

SEND_TIMEOUT = 30.0
"""Seconds for an answer that is no stream to be read. A stream waits for its reader: it may be
paused; there may be so many for each uid."""

DRAIN = 5.0
"""Seconds for mutations under way to end, at close."""

LEAST_CONNECTIONS = 64
LONGEST_PATH = 107
"""Bytes, of a unix socket's name; unix(7)."""


async def serve(
    supervisor: Supervisor,
    socket_path: Path,
    group: str | None,
    *,
    header_timeout: float = HEADER_TIMEOUT,
    send_timeout: float = SEND_TIMEOUT,
    most_connections: int | None = None,
) -> ApiServer:
    """Listen. Raises OSError when it cannot, also when another daemon answers there."""
    sock, gid = _bind(socket_path, group)
    identity = _identity(socket_path)
    try:
        dispatcher = Dispatcher(supervisor, gid)
        connections = Connections(
            dispatcher, header_timeout, most_connections or _most_connections(), send_timeout
        )
        loop = asyncio.get_running_loop()
        listener = await loop.create_unix_server(connections, sock=sock, backlog=BACKLOG)
        return ApiServer(socket_path, identity, listener, connections, dispatcher)
    except BaseException:
        sock.close()
        _remove(socket_path, identity)
        raise


class ApiServer:
    def __init__(
        self,
        path: Path,
        identity: tuple[int, int],
        listener: asyncio.Server,
        connections: Connections,
        dispatcher: Dispatcher,
    ) -> None:
        self._path = path
        self._identity = identity
        self._listener = listener
        self._connections = connections
        self._dispatcher = dispatcher

    async def close(self) -> None:
        """Take no more, end streams and long polls, let mutations finish; remove the socket."""
        self._listener.close()
        _remove(self._path, self._identity)
        await self._dispatcher.drain(DRAIN)
        await self._connections.shutdown(0.2)


class Connections(Server):
    """The server's connections; knows the silent ones, oldest first."""

    def __init__(
        self,
        dispatcher: Dispatcher,
        header_timeout: float,
        most: int,
        send_timeout: float = SEND_TIMEOUT,
    ) -> None:
        super().__init__(
            self._handle,
            handler_cancellation=True,
            keepalive_timeout=KEEPALIVE,
            access_log=None,
            auto_decompress=False,
            lingering_time=1.0,
            tcp_keepalive=False,
        )
        self.header_timeout = header_timeout
        self.send_timeout = send_timeout
        self.silent: dict[_Connection, None] = {}
        self.held: Counter[int] = Counter()
        """uid → its connections."""
        self._dispatcher = dispatcher
        self._most = most

    def __call__(self) -> RequestHandler:
        return _Connection(self, loop=self._loop, **self._kwargs)

    def take(self, new: _Connection) -> None:
        """Make room for it: among its uid's own above the share, then among those who have most."""
        uid = new.uid
        self.held[uid] += 1
        mine = share(uid, self._most)
        if self.held[uid] > mine and not self._give_up_one(uid, new):
            new.surplus = True
            if self.held[uid] > 2 * mine:
                new.give_up()
        elif len(self._connections) > self._most:
            for crowd, _ in self.held.most_common():
                if self._give_up_one(crowd, new):
                    break

    def leave(self, gone: _Connection) -> None:
        self.held[gone.uid] -= 1
        if not self.held[gone.uid]:
            del self.held[gone.uid]

    def _give_up_one(self, uid: int, new: _Connection) -> bool:
        """The oldest silent one of a uid; whether there was one."""
        for silent in self.silent:
            if silent.uid == uid and silent is not new:
                silent.give_up()
                return True
        return False

    async def _handle(self, request: BaseRequest) -> StreamResponse:
        connection = request.protocol
        assert isinstance(connection, _Connection)
        connection.spoke()
        if connection.surplus:
            response: StreamResponse = _too_many(connection.uid)
        else:
            response = await self._dispatcher(request)
        if not response.prepared:
            try:
                async with asyncio.timeout(self.send_timeout):
                    await response.prepare(request)
                    await response.write_eof()
            except TimeoutError as error:
                connection.abort()
                raise ConnectionResetError("the peer does not read its answer") from error
        return response


def _too_many(uid: int) -> Response:
    words = f"cannot answer: uid {uid} has too many connections; close some first"
    response = answer(Problem(429, words, "TooMany").view, 429)
    response.force_close()
    return response


class _Connection(RequestHandler):
    __slots__ = ("_deadline", "_owner", "surplus", "uid")

    def __init__(self, owner: Connections, **kwargs: Any) -> None:
        super().__init__(owner, **kwargs)
        self._owner = owner
        self._deadline: asyncio.TimerHandle | None = None
        self.uid = NOBODY.uid
        self.surplus = False
        """Above the share of its uid: it is told so, and closed."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._owner.silent[self] = None
        self._deadline = self._loop.call_later(self._owner.header_timeout, self.give_up)
        self.uid = identify(transport.get_extra_info("socket"), -1).uid
        self._owner.take(self)

    def connection_lost(self, exc: BaseException | None) -> None:
        self.spoke()
        self._owner.leave(self)
        super().connection_lost(exc)

    def spoke(self) -> None:
        """A whole request header has come."""
        self._owner.silent.pop(self, None)
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def abort(self) -> None:
        """Without what it has not read yet."""
        if isinstance(self.transport, asyncio.Transport):
            self.transport.abort()

    def give_up(self) -> None:
        self.spoke()
        self.force_close()

    def handle_error(
        self,
        request: BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> StreamResponse:
        """What is not HTTP. In our shape, and without a traceback in the log."""
        words = " ".join((message or "it is not HTTP").split())[:200]
        response: Response = answer(
            Problem(status, f"cannot read the request: {words}", "BadRequest").view, status
        )
        response.force_close()
        return response


def _bind(path: Path, group: str | None) -> tuple[socket.socket, int]:
    """A socket that appears under its name with its mode and group already set; the group's id."""
    if len(os.fsencode(path)) > LONGEST_PATH:
        raise OSError(f"cannot listen on {path}: it is over {LONGEST_PATH} bytes; choose another")
    _refuse_unless_stale(path)
    path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    temporary = path.with_name(f".{os.getpid()}.sock")
    temporary.unlink(missing_ok=True)
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    try:
        sock.setblocking(False)
        sock.bind(str(temporary))
        temporary.chmod(MODE)
        gid = _gid(group)
        if gid is not None:
            os.chown(temporary, -1, gid)
        sock.listen(BACKLOG)
        temporary.rename(path)
    except OSError as error:
        sock.close()
        temporary.unlink(missing_ok=True)
        raise OSError(f"cannot listen on {path}: {error.strerror or error}") from error
    return sock, path.stat().st_gid


def _refuse_unless_stale(path: Path) -> None:
    try:
        if not stat.S_ISSOCK(path.lstat().st_mode):
            raise OSError(f"cannot listen on {path}: it is not a socket; remove it")
    except FileNotFoundError:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1.0)
        try:
            probe.connect(str(path))
        except (ConnectionRefusedError, FileNotFoundError):
            return
        except OSError as error:
            raise OSError(f"cannot listen on {path}: {error.strerror or error}") from error
    raise OSError(f"cannot listen on {path}: another process answers there; stop it first")


def _gid(group: str | None) -> int | None:
    if group is None:
        return None
    try:
        return grp.getgrnam(group).gr_gid
    except KeyError:
        log.warning("there is no group %s: only root can use the API", group)
        return None


def _remove(path: Path, identity: tuple[int, int]) -> None:
    """Only if it is still ours: another daemon may have taken the name."""
    with contextlib.suppress(OSError):
        if _identity(path) == identity:
            path.unlink()


def _identity(path: Path) -> tuple[int, int]:
    found = path.lstat()
    return found.st_dev, found.st_ino


def _most_connections() -> int:
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return max(LEAST_CONNECTIONS, soft // 2) if soft != resource.RLIM_INFINITY else 65536
