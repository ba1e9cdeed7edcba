"""POST copy-out, copy-in: files between an instance and the client, as tar streams.

The engine resolves the path inside the container, and the client packs and unpacks at its end,
as the user who called it: here bytes pass through, and no path is opened.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator

from aiohttp.web import StreamResponse

from nodeorch.api.call import Call, Problem, answer
from nodeorch.api.operate import Nothing
from nodeorch.api.target import choose, record
from nodeorch.decide.size import size
from nodeorch.model import copying
from nodeorch.model.view import CopyView, InstanceView
from nodeorch.model.world import Code
from nodeorch.ports import EngineError

TAR = "application/x-tar"
LONGEST_PATH = 4096
"""Bytes; PATH_MAX of Linux."""
SILENCE = 60.0
"""Seconds between two pieces of a body."""

_TOO_LARGE = (
    f"one copy takes {size(copying.LARGEST)} at most; copy a part at a time, or mount a volume"
)

GRACE = 1 << 20
"""Bytes beyond that are sent: so a client of ours sees that it is too much, and can say so."""

log = logging.getLogger(__name__)


async def out(call: Call) -> StreamResponse:
    """A tar of the path, under its last name. The answer breaks off when the engine fails."""
    await call.body(Nothing)
    instance, path = choose(call)[0], _path(call)
    if call.dry_run:
        return answer(await _look(call, instance, path))
    pieces = call.supervisor.engine.read_archive(instance.container_id, path)
    try:
        first = await anext(pieces, b"")
    except EngineError as error:
        if error.kind != "not_found":
            raise
        raise _absent(call, instance, path) from None
    words = f"{path} copied out of it, by {await call.by()}"
    await record(call, Code.COPIED, instance.name, words)
    response = call.stream()
    response.content_type = TAR
    response.enable_chunked_encoding()
    await response.prepare(call.request)
    await response.write(first)
    sent = len(first)
    try:
        async for piece in pieces:
            await response.write(piece)
            sent += len(piece)
            if sent > copying.LARGEST + GRACE:
                raise EngineError("refused", _TOO_LARGE)
    except EngineError as error:
        log.warning("cannot %s: %s: %s", call.does, path, error.words)
        raise ConnectionResetError("it broke off in the middle") from error
    await response.write_eof()
    return response


async def into(call: Call) -> StreamResponse:
    """Unpack the body, a tar, in a directory of the container."""
    instance, path = choose(call)[0], _path(call)
    seen = await _look(call, instance, path)
    if call.dry_run:
        return answer(seen)
    if not seen.exists:
        raise _absent(call, instance, path)
    if not seen.directory:
        raise call.bad(f"{path} in {instance.name} is no directory", "name one")
    by = await call.by()
    await record(call, Code.COPIED, instance.name, f"files copied into its {path}, by {by}")
    body, failed = _Body(call), None
    try:
        await call.supervisor.engine.write_archive(instance.container_id, path, body.pieces())
    except EngineError as error:
        failed = error
    if failed is not None or body.too_large:
        why = _TOO_LARGE if body.too_large or failed is None else failed.words
        words = f"some or all files did not come into its {path}: {why}"
        await record(call, Code.COPIED, instance.name, words)
    if body.too_large:
        raise Problem(413, f"cannot {call.does}: {_TOO_LARGE}", "TooBig")
    if failed is not None:
        raise failed
    return answer(seen)


class _Body:
    """What the client sends; it ends early where it is too much."""

    def __init__(self, call: Call) -> None:
        self._content = call.request.content
        self.too_large = False

    async def pieces(self) -> AsyncIterator[bytes]:
        taken = 0
        while True:
            async with asyncio.timeout(SILENCE):
                data = await self._content.readany()
            taken += len(data)
            self.too_large = taken > copying.LARGEST
            if not data or self.too_large:
                return
            yield data


async def _look(call: Call, instance: InstanceView, path: str) -> CopyView:
    seen = await call.supervisor.engine.stat(instance.container_id, path)
    if seen is None:
        return CopyView(instance=instance.name, path=path, exists=False)
    return CopyView(
        instance=instance.name,
        path=path,
        exists=True,
        directory=seen.directory,
        size=seen.size,
        link=seen.link,
    )


def _absent(call: Call, instance: InstanceView, path: str) -> Problem:
    words = f"cannot {call.does}: there is no {path} in {instance.name}"
    return Problem(404, words, "NotFound")


def _path(call: Call) -> str:
    path = call.query("path") or ""
    if not path.startswith("/") or "\0" in path or len(path.encode()) > LONGEST_PATH:
        raise call.bad("path is not an absolute path", 'write path="/var/lib/x"')
    return path
