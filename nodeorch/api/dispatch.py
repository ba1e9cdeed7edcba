"""From a request to a handler: route, permission, limits; and from an error to its answer."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from aiohttp.web import BaseRequest, StreamResponse

from nodeorch.api.auth import authorize, identify
from nodeorch.api.call import Call, Problem, answer
from nodeorch.api.crowd import Crowd, Turns
from nodeorch.api.routes import Route, find
from nodeorch.api.trace import HEADER, traceparent
from nodeorch.fleetports import MembersError, PeerError
from nodeorch.ports import CommandRefused, EngineError, StoreError
from nodeorch.spec.names import is_name

if TYPE_CHECKING:
    from nodeorch.api.state import Supervisor

log = logging.getLogger(__name__)


REFUSED = "none"
"""The route, in the metrics, of what no handler was asked: other text of a peer is not counted."""


class Dispatcher:
    """The one request handler of the server."""

    def __init__(self, supervisor: Supervisor, socket_gid: int) -> None:
        self._supervisor = supervisor
        self._socket_gid = socket_gid
        self._edit_lock = asyncio.Lock()
        self._crowd = Crowd()
        self._turns = Turns()
        self._running: set[asyncio.Task[StreamResponse]] = set()
        self._sessions: set[asyncio.Task[StreamResponse]] = set()

    async def __call__(self, request: BaseRequest) -> StreamResponse:
        asked = REFUSED
        try:
            call = self._admit(request)
            asked = f"{call.route.method} {call.route.path}"
            await self._turns.take(call.peer.uid)
            with self._crowd.room_for(call):
                response = await self._by_its_kind(call)
        except Problem as problem:
            response = answer(problem.view, problem.status, problem.headers)
        self._supervisor.meters.requests[asked, str(response.status)] += 1
        trace = traceparent(request.headers.getall(HEADER, ()))
        if trace and not response.prepared:
            response.headers[HEADER] = trace
        return response

    async def _by_its_kind(self, call: Call) -> StreamResponse:
        if call.route.session:
            return await self._while_there(call)
        return await (self._to_the_end(call) if call.route.mutation else _run(call))

    async def drain(self, seconds: float) -> None:
        """End sessions, and let mutations that are under way finish, for so long at most."""
        for session in self._sessions:
            session.cancel()
        if under_way := self._running | self._sessions:
            await asyncio.wait(under_way, timeout=seconds)

    async def _while_there(self, call: Call) -> StreamResponse:
        """Cancelled with its connection; what it then has to clean up is waited for."""
        task = asyncio.create_task(_run(call))
        self._sessions.add(task)
        task.add_done_callback(self._sessions.discard)
        return await task

    async def _to_the_end(self, call: Call) -> StreamResponse:
        task = asyncio.create_task(_run(call))
        self._running.add(task)
        task.add_done_callback(self._ended)
        return await asyncio.shield(task)

    def _ended(self, task: asyncio.Task[StreamResponse]) -> None:
        self._running.discard(task)
        if not task.cancelled():
            task.exception()  # the peer may have hung up: nobody else asks for it

    def _admit(self, request: BaseRequest) -> Call:
        route, params = _route(request)
        transport = request.transport
        if transport is None:
            raise ConnectionResetError("the peer hung up")
        peer = identify(transport.get_extra_info("socket"), self._socket_gid)
        call = Call(self._supervisor, request, route, params, peer, self._edit_lock)
        denied = authorize(peer, route)
        if denied is not None:
            raise Problem(403, f"cannot {call.does}: {denied.words}", "Denied")
        _check(call)
        return call


async def _run(call: Call) -> StreamResponse:
    """The handler; whatever goes wrong in it comes out as a Problem."""
    try:
        return await call.route.handler(call)
    except (Problem, ConnectionError):
        raise  # ConnectionError: the peer hung up in the middle of a stream
    except CommandRefused as error:
        raise Problem(409, str(error), "Refused") from error
    except StoreError as error:
        words = f"cannot {call.does}: the database does not work ({error}); free or repair the disk"
        raise Problem(503, words, "StoreFailed") from error
    except EngineError as error:
        raise Problem(502, f"cannot {call.does}: {error.words}", "EngineFailed") from error
    except MembersError as error:
        raise Problem(502, f"cannot {call.does}: Serf: {error}", "SerfFailed") from error
    except PeerError as error:
        raise Problem(502, f"cannot {call.does}: {error}", "PeerFailed") from error
    except Exception as error:
        log.exception(
            "cannot %s%s", call.does, f" [traceparent {call.trace}]" if call.trace else ""
        )
        words = f"cannot {call.does}: an error inside nodeorchd; see its log"
        raise Problem(500, words, "Internal") from error


def _route(request: BaseRequest) -> tuple[Route, dict[str, str]]:
    found = find(request.method, request.path)
    if isinstance(found, tuple):
        return found[0], dict(found[1])
    if found is None:
        words = f'cannot answer: there is no "{request.path[:200]}" in this API'
        raise Problem(404, words, "NoRoute")
    allowed = ", ".join(sorted(found))
    words = f"cannot {request.method} that: it takes {allowed}"
    raise Problem(405, words, "NoMethod", headers={"Allow": allowed})


def _check(call: Call) -> None:
    if "Content-Encoding" in call.request.headers:
        raise Problem(415, f"cannot {call.does}: the body is encoded; send it as it is", "Encoded")
    for key, values in call.request.query.items():
        if key not in call.route.query:
            raise call.bad(f'"{key}" is not a parameter of it', _known(call.route))
        if len(call.request.query.getall(key)) > 1:
            raise call.bad(f'"{key}" is given twice ({values})', "give it once")
    name = call.params.get("name")
    if name is not None and not is_name(name):
        raise call.bad(
            f'"{name[:80]}" is not a name', "use lower-case letters, digits and -, 63 at most"
        )


def _known(route: Route) -> str:
    return f"it takes {', '.join(sorted(route.query))}" if route.query else "it takes none"
