"""Files in and out of a container, as tar streams. Podman resolves the paths, in its own process
and chroot: nothing here opens a path inside a container."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator

import msgspec

from nodeorch.adapters.podman.client import Client
from nodeorch.ports import EngineError, PathStat

STAT = "X-Docker-Container-Path-Stat"
"""Header with base64 of JSON; its mode is Go's FileMode."""
DIRECTORY = 1 << 31
PIECE = 64 * 1024
QUICK = 10.0
SILENCE = 60.0
"""Seconds without a byte in either direction."""


class _Stat(msgspec.Struct):
    name: str = ""
    size: int = 0
    mode: int = 0
    link_target: str = msgspec.field(name="linkTarget", default="")


async def stat(client: Client, container_id: str, path: str) -> PathStat | None:
    try:
        async with client.stream(
            "HEAD", f"containers/{container_id}/archive", params={"path": path}, timeout=QUICK
        ) as answer:
            told = base64.b64decode(answer.headers.get(STAT, ""))
    except EngineError as error:
        if error.kind != "not_found":
            raise
        await client.call("GET", f"containers/{container_id}/exists", timeout=QUICK)
        return None
    seen = msgspec.json.decode(told, type=_Stat)
    directory = bool(seen.mode & DIRECTORY)
    return PathStat(name=seen.name, size=seen.size, directory=directory, link=seen.link_target)


async def read(client: Client, container_id: str, path: str) -> AsyncIterator[bytes]:
    async with client.stream(
        "GET", f"containers/{container_id}/archive", params={"path": path}, silence=SILENCE
    ) as answer:
        async for piece in answer.content.iter_chunked(PIECE):
            yield piece


async def write(client: Client, container_id: str, path: str, data: AsyncIterator[bytes]) -> None:
    async with client.stream(
        "PUT", f"containers/{container_id}/archive", params={"path": path}, data=data,
        silence=SILENCE,
    ) as answer:  # fmt: skip
        await answer.read()
