"""What other daemons can ask for. All but the first two need a host's certificate.

POST /v1/join                       a token for a certificate; no certificate is needed
GET  /v1/ca                         the fleet's CA certificate; none is needed
POST /v1/certificate                a new certificate for the old
GET  /v1/link                       the link, a websocket
GET  /v1/stamps                     host → stamp, of all views that can be given
GET  /v1/views/HOST                 a view
GET  /v1/files/WORKLOAD/DIGEST      a config file of a workload that may run elsewhere
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Protocol

import msgspec
from aiohttp.web import BaseRequest, Response, StreamResponse, WebSocketResponse

from nodeorch.adapters.peers.link import FAREWELL, LIMIT, Link
from nodeorch.adapters.peers.tls import CA
from nodeorch.fleetports import FleetOut, Mirror, PeerError
from nodeorch.model.fleet import View, movable

log = logging.getLogger(__name__)

BODY = 64 << 10
"""Bytes of a request: a token and a certificate request."""
BODY_TIME = 10.0
"""Seconds for it to come."""
JOINS = 2
"""Joins and renewals worked on at once; more have to wait for them."""
ENCODED = 4
"""Views whose JSON is kept: when one has changed, all hosts fetch it within a moment."""

Joins = Callable[[bytes, str], Awaitable[bytes]]
Renewals = Callable[[str, bytes], Awaitable[bytes]]


class Refusal(Exception):
    def __init__(self, status: int, words: str) -> None:
        super().__init__(words)
        self.status = status


class Host(Protocol):
    """What the routes need of this daemon's side."""

    out: FleetOut

    def fit(self, host: str, address: str) -> str:
        """Why a host with a good certificate may not speak here; "": it may. ``address`` is
        empty where this very host asks."""

    async def serve(self, link: Link) -> None:
        """Until it ends."""


class Routes:
    """``joins`` and ``renewals`` raise PeerError with words for the one who asks."""

    def __init__(
        self, host: Host, files: Path, mirror: Mirror, joins: Joins, renewals: Renewals
    ) -> None:
        self._host = host
        self._files = files
        self._mirror = mirror
        self._joins = joins
        self._renewals = renewals
        self._issuing = asyncio.Semaphore(JOINS)
        self._encoded: dict[str, tuple[View, bytes]] = {}

    async def __call__(self, request: BaseRequest, host: str, address: str) -> StreamResponse:
        try:
            return await self._answer(request, host, address)
        except Refusal as refusal:
            response = Response(status=refusal.status, text=f"{refusal}\n")
        except PeerError as error:
            response = Response(status=403, text=f"{error}\n")
        if not host:
            response.force_close()
        return response

    async def _answer(self, request: BaseRequest, host: str, address: str) -> StreamResponse:
        parts = tuple(request.rel_url.raw_path.strip("/").split("/"))
        match (request.method, *parts):
            case ("POST", "v1", "join"):
                body = await _body(request)
                async with self._issuing:
                    return Response(body=await self._joins(body, address))
            case ("GET", "v1", "ca"):
                return Response(body=await asyncio.to_thread((self._files / CA).read_bytes))
        if not host:
            raise Refusal(401, "cannot answer: a certificate of a host of this fleet is needed")
        ourselves = request.transport and request.transport.get_extra_info("sockname")[0] == address
        if why := self._host.fit(host, "" if ourselves else address):
            raise Refusal(403, f"cannot answer {host}: {why}")
        match (request.method, *parts):
            case ("POST", "v1", "certificate"):
                body = await _body(request)
                async with self._issuing:
                    return Response(body=await self._renewals(host, body))
            case ("GET", "v1", "link"):
                return await self._link(request, host)
            case ("GET", "v1", "stamps"):
                stamps = {name: view.stamp for name, view in self._host.out.views.items()}
                return Response(body=msgspec.json.encode(stamps))
            case ("GET", "v1", "views", name):
                return Response(body=self._view(name))
            case ("GET", "v1", "files", workload, digest):
                return Response(body=await self._file(workload, digest))
        raise Refusal(404, f"cannot answer: there is no {request.method} {request.path[:100]}")

    async def _link(self, request: BaseRequest, host: str) -> StreamResponse:
        ws = WebSocketResponse(compress=False, max_msg_size=LIMIT, timeout=FAREWELL)
        await ws.prepare(request)
        await self._host.serve(Link(host, ws, request.transport))
        return ws

    def _view(self, name: str) -> bytes:
        view = self._host.out.views.get(name)
        if view is None:
            raise Refusal(404, f"cannot give the view of {name[:63]}: it is not known here")
        kept = self._encoded.pop(name, None)
        if kept is None or kept[0] is not view:
            kept = (view, msgspec.json.encode(view))
        self._encoded[name] = kept
        while len(self._encoded) > ENCODED:
            del self._encoded[next(iter(self._encoded))]
        return kept[1]

    async def _file(self, workload: str, digest: str) -> bytes:
        if any(_needs(view, workload, digest) for view in self._host.out.views.values()):
            try:
                return await asyncio.to_thread(self._mirror.read, workload, digest)
            except OSError as error:
                log.warning("cannot give a file of %s to another host: %s", workload, error)
        raise Refusal(404, f"cannot give the file of {workload[:63]}: it is not here")


async def _body(request: BaseRequest) -> bytes:
    parts, size = [], 0
    try:
        async with asyncio.timeout(BODY_TIME):
            async for part in request.content.iter_any():
                size += len(part)
                if size > BODY:
                    raise Refusal(413, f"cannot take more than {BODY} bytes")
                parts.append(part)
    except TimeoutError:
        raise Refusal(408, "cannot wait longer for the request") from None
    return b"".join(parts)


def _needs(view: View, workload: str, digest: str) -> bool:
    """Whether a workload of that name, which may run on other hosts, has such a file."""
    return any(
        one.workload.name == workload
        and movable(one.workload)
        and any(file.digest == digest for file in one.workload.files)
        for one in view.all
    )
