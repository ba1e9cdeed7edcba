"""One request on its way through a handler, and the answers it can get."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec
from aiohttp.web import BaseRequest, Response, StreamResponse

from nodeorch.api import auth
from nodeorch.api.trace import HEADER, traceparent
from nodeorch.decide.fleet.whereabouts import home_of
from nodeorch.model.change import Asked
from nodeorch.model.view import ErrorView
from nodeorch.model.world import World

if TYPE_CHECKING:
    from nodeorch.api.routes import Route
    from nodeorch.api.state import Supervisor

BODY_TIMEOUT = 10.0
"""Seconds for a whole request body to arrive."""

WHOLE = re.compile(r"[0-9]{1,16}")
NUMBER = re.compile(r"[0-9]{1,16}(\.[0-9]{0,30})?([eE][-+]?[0-9]{1,2})?")

_T = TypeVar("_T")


class Problem(Exception):
    """An answer of status 4xx or 5xx. Words: "cannot …: why; what to do"."""

    def __init__(
        self,
        status: int,
        words: str,
        code: str = "",
        problems: list[str] | None = None,
        headers: Mapping[str, str] = {},
    ) -> None:
        super().__init__(words)
        self.status = status
        self.headers = headers
        self.view = ErrorView(error=words, code=code, problems=problems or [])


class Call:
    """What a handler gets."""

    __slots__ = ("edit_lock", "params", "peer", "request", "route", "supervisor", "trace")

    def __init__(
        self,
        supervisor: Supervisor,
        request: BaseRequest,
        route: Route,
        params: Mapping[str, str],
        peer: auth.Peer,
        edit_lock: asyncio.Lock,
    ) -> None:
        self.supervisor = supervisor
        self.request = request
        self.route = route
        self.params = params
        self.peer = peer
        self.edit_lock = edit_lock
        """Held while the workloads directory is edited."""
        self.trace = traceparent(request.headers.getall("traceparent", ()))

    @property
    def does(self) -> str:
        """For messages: "cannot <does>: …"."""
        return self.route.does.format_map({k: v[:80] for k, v in self.params.items()})

    @property
    def name(self) -> str:
        """The workload in the path; its form is checked."""
        return self.params["name"]

    def known(self) -> str:
        """The workload in the path, which must be on this host."""
        world = self.supervisor.world
        if self.name not in world.workloads:
            raise not_here(self.does, world, self.name)
        return self.name

    def query(self, key: str) -> str | None:
        return self.request.query.get(key)

    def flag(self, key: str) -> bool:
        value = self.query(key)
        if value not in (None, "", "0", "1", "true", "false"):
            raise self.bad(f'{key} is "{value}"', "write 1 or 0")
        return value not in (None, "0", "false")

    def number(self, key: str, highest: float) -> float | None:
        """A number from 0 to ``highest``; None when it is not given."""
        text = self.query(key)
        if text is None:
            return None
        if not NUMBER.fullmatch(text) or float(text) > highest:
            raise self.bad(f'{key} is "{text[:40]}"', f"write a number from 0 to {highest:g}")
        return float(text)

    def whole(self, key: str, highest: int = 1 << 53) -> int | None:
        text = self.query(key)
        if text is None:
            return None
        if not WHOLE.fullmatch(text) or int(text) > highest:
            raise self.bad(f'{key} is "{text[:40]}"', f"write a whole number up to {highest}")
        return int(text)

    @property
    def dry_run(self) -> bool:
        return self.flag("dry_run")

    def bad(self, why: str, advice: str) -> Problem:
        return Problem(400, f"cannot {self.does}: {why}; {advice}", "BadRequest")

    async def by(self) -> str:
        """The peer, for the journal."""
        return await auth.describe(self.peer)

    async def asked(self, verb: str) -> Asked:
        """A change's beginning: the request as it is remembered."""
        wall = self.supervisor.clock.wall()
        return Asked(self.supervisor.next_change(), verb, await self.by(), wall, self.trace)

    def stream(self) -> StreamResponse:
        """An answer that is sent piece by piece."""
        return StreamResponse(headers={HEADER: self.trace} if self.trace else None)

    async def body(self, kind: type[_T]) -> _T:
        """The JSON body as ``kind``; an empty one is ``{}``. Raises Problem 400, 408, 413."""
        raw = await self._read(self.route.max_body)
        try:
            return msgspec.json.decode(raw or b"{}", type=kind)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise self.bad(f"the body is not what is expected ({error})", "see /v1") from error

    async def _read(self, limit: int) -> bytes:
        too_big = Problem(
            413, f"cannot {self.does}: the body is over {limit // 1024} KiB", "TooBig"
        )
        if (self.request.content_length or 0) > limit:
            raise too_big
        data = bytearray()
        try:
            async with asyncio.timeout(BODY_TIMEOUT):
                async for chunk in self.request.content.iter_any():
                    data += chunk
                    if len(data) > limit:
                        raise too_big
        except TimeoutError as error:
            words = f"cannot {self.does}: the body did not arrive in {BODY_TIMEOUT:g} s"
            raise Problem(408, words, "Timeout") from error
        return bytes(data)


def unknown(does: str, name: str, home: str = "") -> Problem:
    """``home``: the host that declares what this one has nothing of."""
    words = f"there is no workload {name}; see `nodeorch status`"
    if home:
        words = f"{name} is not on this host, its home is {home}; see `nodeorch why {name}`"
    return Problem(404, f"cannot {does}: {words}", "NotFound")


def not_here(does: str, world: World, name: str) -> Problem:
    """Nobody declares it, or another host does."""
    home = home_of(world, name)
    if not home:
        return unknown(does, name)
    words = f"cannot {does}: its home is {home}; do it there, or `nodeorch home take {name}`"
    return Problem(409, words, "Refused")


def answer(view: Any, status: int = 200, headers: Mapping[str, str] = {}) -> Response:
    return raw(msgspec.json.encode(view), status, headers)


def raw(body: bytes, status: int = 200, headers: Mapping[str, str] = {}) -> Response:
    return Response(body=body, status=status, content_type="application/json", headers=headers)


class Lines:
    """An answer of newline-delimited JSON, sent line by line; waits for a slow reader."""

    def __init__(self, call: Call) -> None:
        self._request = call.request
        self._response = call.stream()

    async def begin(self) -> None:
        self._response.content_type = "application/x-ndjson"
        self._response.enable_chunked_encoding()
        await self._response.prepare(self._request)

    async def send(self, *views: Any) -> None:
        if views:
            await self._response.write(msgspec.json.Encoder().encode_lines(views))

    async def end(self) -> StreamResponse:
        await self._response.write_eof()
        return self._response


def rfc3339(wall: float) -> str:
    """UTC with milliseconds: "2024-05-01T10:00:00.000Z"."""
    return datetime.fromtimestamp(wall, UTC).isoformat(timespec="milliseconds")[:-6] + "Z"
