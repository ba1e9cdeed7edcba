"""How much of the API one uid may hold: what it takes shall not be missing to others.

Connections: each uid has a share of all that there may be, root and the daemon's own user have
all of them. Above it, its own oldest silent connection makes room; if all have spoken, the new
one is answered 429. Streams and long polls, and large bodies: a number for each uid. Time: in
each step of the loop one request of each uid is begun, so that a busy one delays only itself.
"""

from __future__ import annotations

import asyncio
import os
from collections import Counter, deque
from collections.abc import Iterator
from contextlib import contextmanager

from nodeorch.api.auth import NOBODY
from nodeorch.api.call import Call, Problem
from nodeorch.api.shape import Raw, Stream

SHARE = 4
"""A uid gets one such part of all connections."""

STREAMS = 64
BODIES = 8
"""Large ones (of apply) at once: each may take 1 MiB of the daemon's memory."""


def share(uid: int, most: int) -> int:
    """Of ``most`` connections. On a port nobody knows who asks: it is one crowd, with a bound of
    its own."""
    whole = (0, os.geteuid(), NOBODY.uid)
    return most if uid in whole else max(1, most // SHARE)


class Crowd:
    """What each uid holds at present."""

    def __init__(self) -> None:
        self._held: Counter[tuple[int, str]] = Counter()

    @contextmanager
    def room_for(self, call: Call) -> Iterator[None]:
        """While the request is served. Raises Problem 429 when its uid holds too much."""
        kinds = _kinds(call)
        uid = call.peer.uid
        for kind, most in kinds.items():
            if self._held[uid, kind] >= most:
                words = f"cannot {call.does}: uid {uid} has {most} {kind} open already"
                raise Problem(429, f"{words}; end one of them first", "TooMany")
        self._held.update((uid, kind) for kind in kinds)
        try:
            yield
        finally:
            self._held.subtract((uid, kind) for kind in kinds)
            self._held = +self._held  # a uid that holds nothing is forgotten


def _kinds(call: Call) -> dict[str, int]:
    route, found = call.route, {}
    streams = isinstance(route.gives, Stream | Raw) and route.gives.lasts
    if streams or route.session or "timeout" in route.query:
        found["streams and long polls"] = STREAMS
    if route.is_large:
        found["large bodies"] = BODIES
    return found


class Turns:
    """Uids take turns; those of one uid go in the order in which they came."""

    def __init__(self) -> None:
        self._waiting: dict[int, deque[asyncio.Future[None]]] = {}

    async def take(self, uid: int) -> None:
        queue = self._waiting.get(uid)
        if queue is None:  # the first of this uid in this step of the loop
            if not self._waiting:
                asyncio.get_running_loop().call_soon(self._next)
            self._waiting[uid] = deque()
            return
        mine: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        queue.append(mine)
        await mine

    def _next(self) -> None:
        for uid, queue in list(self._waiting.items()):
            while queue and queue[0].done():  # its peer hung up
                queue.popleft()
            if queue:
                queue.popleft().set_result(None)
            else:
                del self._waiting[uid]
        if self._waiting:
            asyncio.get_running_loop().call_soon(self._next)
