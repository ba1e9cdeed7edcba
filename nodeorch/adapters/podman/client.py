"""Transport to Podman's API: short calls through podman-py, streams through aiohttp.

podman-py blocks, so each short call takes one of a few threads. Slots are handed
out in two lanes: the last ones are kept for urgent calls, which also go first.
Streams and pings take no thread: they are cancellable, and answer even when
every thread hangs in a call.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import AsyncIterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import Any

import msgspec

from nodeorch.adapters.podman.lean import APIClient, APIError, aiohttp
from nodeorch.ports import EngineError

SLOTS = 8
"""More calls at once gain nothing from Podman, which is bound by processors and locks."""
RESERVED = 2
PING_TIMEOUT = 2.0
CONNECT_TIMEOUT = 5.0
WORDS = 600
"""Longest message of Podman's that is passed on, characters."""

Params = Mapping[str, str | int | list[str]]


class Reply(msgspec.Struct, frozen=True):
    status: int
    body: bytes


class _Message(msgspec.Struct):
    cause: str = ""
    message: str = ""


class Lanes:
    """Slots for blocking calls: ``slots`` for all, ``reserved`` more for urgent ones."""

    def __init__(self, slots: int, reserved: int) -> None:
        self._free = slots + reserved
        self._reserved = reserved
        self._urgent: deque[asyncio.Future[None]] = deque()
        self._queued: deque[asyncio.Future[None]] = deque()

    async def acquire(self, urgent: bool) -> None:
        if self._free > (0 if urgent else self._reserved):
            self._free -= 1
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        lane = self._urgent if urgent else self._queued
        lane.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self.release()
            else:
                with contextlib.suppress(ValueError):
                    lane.remove(turn)
            raise

    def release(self) -> None:
        self._free += 1
        self._hand_out(self._urgent, 0)
        self._hand_out(self._queued, self._reserved)

    def _hand_out(self, lane: deque[asyncio.Future[None]], keep: int) -> None:
        while lane and self._free > keep:
            turn = lane.popleft()
            if not turn.done():
                self._free -= 1
                turn.set_result(None)


def failure(status: int, body: bytes) -> EngineError:
    """What an answer of status 400 and above means. Podman 4 says 500 to nearly everything."""
    try:
        answer = msgspec.json.decode(body, type=_Message)
        words = answer.message or answer.cause
    except msgspec.MsgspecError:
        words = body.decode(errors="replace")
    words = " ".join(words.split())[:WORDS] or f"status {status}"
    lowered = words.lower()
    if "name" in lowered and "in use" in lowered and "address" not in lowered:
        kind = "name_in_use"
    elif "image not known" in lowered or "no such image" in lowered:
        kind = "no_image"
    elif status == 404:
        kind = "not_found"
    else:
        kind = "refused"
    return EngineError(kind, f"Podman says: {words}")


class Client:
    """One Podman socket. Raises only EngineError."""

    def __init__(self, socket: str, *, slots: int = SLOTS, reserved: int = RESERVED) -> None:
        self.socket = socket
        self.version = ""
        """Podman's, as it said it last; empty before the first ping."""
        threads = slots + reserved
        self._api = APIClient(base_url=f"unix://{socket}", max_pool_size=threads)
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="podman")
        self._lanes = Lanes(slots, reserved)
        self._session: aiohttp.ClientSession | None = None

    async def close(self) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)
        self._api.close()
        if self._session is not None:
            await self._session.close()

    async def ping(self) -> str:
        """Podman's version. Its API is spoken in that version from then on."""
        async with self.stream("GET", "/_ping", timeout=PING_TIMEOUT) as answer:
            self.version = answer.headers.get("Libpod-Api-Version", "")
        if not self.version:
            raise EngineError("refused", f"{self.socket} is no Podman: it tells no version")
        self._api.path_prefix = f"/v{self.version}/libpod/"
        return self.version

    async def call(
        self,
        method: str,
        path: str,
        *,
        params: Params | None = None,
        body: object = None,
        timeout: float,
        urgent: bool = False,
    ) -> Reply:
        """One short call; ``timeout`` (seconds) includes waiting for a thread."""
        loop = asyncio.get_running_loop()
        end = time.monotonic() + timeout
        try:
            async with asyncio.timeout(timeout):
                if not self.version:
                    await self.ping()
                await self._lanes.acquire(urgent)
                future = self._pool.submit(self._blocking, method, path, params, body, end)
                # The slot is free when the thread is, which may be after our timeout.
                future.add_done_callback(lambda _: self._released(loop))
                reply = await asyncio.wrap_future(future)
        except TimeoutError:
            raise self._late(method, path, timeout) from None
        if reply.status >= 400:
            raise failure(reply.status, reply.body)
        return reply

    def _released(self, loop: asyncio.AbstractEventLoop) -> None:
        with contextlib.suppress(RuntimeError):  # the loop was closed meanwhile
            loop.call_soon_threadsafe(self._lanes.release)

    def _blocking(
        self, method: str, path: str, params: Params | None, body: object, end: float
    ) -> Reply:
        """In a thread. Socket operations end with the caller's timeout."""
        left = max(end - time.monotonic(), 0.05)
        keywords: dict[str, Any] = {"params": params, "timeout": left}
        if body is not None:
            keywords["data"] = msgspec.json.encode(body)
            keywords["headers"] = {"Content-Type": "application/json"}
        try:
            answer = getattr(self._api, method.lower())(path, **keywords)
            return Reply(answer.status_code, answer.content)
        except (APIError, OSError) as error:
            raise self._broken(error) from None

    def _broken(self, error: BaseException) -> EngineError | TimeoutError:
        """requests wraps what the socket said several times: find it."""
        words = str(error)
        cause: BaseException | None = error
        while cause is not None:
            if isinstance(cause, TimeoutError | BlockingIOError):
                return TimeoutError()
            if isinstance(cause, OSError) and cause.strerror:
                words = cause.strerror
            cause = cause.__cause__ or cause.__context__
        return self._unreachable(words)

    def _unreachable(self, why: str) -> EngineError:
        return EngineError(
            "unreachable",
            f"cannot reach Podman at {self.socket}: {why}; see systemctl status podman.socket",
        )

    def _late(self, method: str, path: str, timeout: float) -> EngineError:
        return EngineError("timeout", f"Podman did not answer {method} {path} within {timeout:g} s")

    @asynccontextmanager
    async def stream(
        self,
        method: str,
        path: str,
        *,
        params: Params | None = None,
        body: object = None,
        data: AsyncIterator[bytes] | None = None,
        timeout: float | None = None,
        silence: float | None = None,
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """An answer to be read bit by bit. ``timeout`` is for all of it, ``silence`` between bits.

        ``data`` is sent bit by bit. A path with a leading slash is taken as it is, others are
        libpod's.
        """
        if not path.startswith("/"):
            if not self.version:
                await self.ping()
            path = f"/v{self.version}/libpod/{path}"
        limits = aiohttp.ClientTimeout(
            total=timeout, sock_connect=CONNECT_TIMEOUT, sock_read=silence
        )
        sent = data if body is None else msgspec.json.encode(body)
        headers = None if body is None else {"Content-Type": "application/json"}
        try:
            async with self._streams().request(
                method, f"http://d{path}", params=params, data=sent, headers=headers, timeout=limits
            ) as answer:
                if answer.status >= 400:
                    raise failure(answer.status, await answer.read())
                yield answer
        except TimeoutError:
            raise self._late(method, path, timeout or silence or CONNECT_TIMEOUT) from None
        except (aiohttp.ClientError, OSError) as error:
            raise self._unreachable(str(error)) from None

    def _streams(self) -> aiohttp.ClientSession:
        if self._session is None:
            # No pool: a stream that is left early must not be used again.
            connector = aiohttp.UnixConnector(self.socket, limit=0, force_close=True)
            self._session = aiohttp.ClientSession(connector=connector, read_bufsize=1 << 20)
        return self._session
