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
from nodeorch.model.view import CopyView, InstanceView
from nodeorch.model.world import Code
from nodeorch.ports import EngineError

TAR = "application/x-tar"
LONGEST_PATH = 4096
"""Bytes; PATH_MAX of Linux."""
SILENCE = 60.0
"""Seconds between two pieces of a body."""

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
    try:
        async for piece in pieces:
            await response.write(piece)
    except EngineError as error:
        log.warning("cannot %s: %s: %s", call.does, path, error.words)
        raise ConnectionResetError("the engine failed in the middle") from error
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
    try:
        await call.supervisor.engine.write_archive(instance.container_id, path, _body(call))
    except EngineError as error:
        words = f"some or all files did not come into its {path}: {error.words}"
        await record(call, Code.COPIED, instance.name, words)
        raise
    return answer(seen)


async def _body(call: Call) -> AsyncIterator[bytes]:
    while True:
        async with asyncio.timeout(SILENCE):
            data = await call.request.content.readany()
        if not data:
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
