"""Events, logs and exec: what Podman sends bit by bit."""

from __future__ import annotations

import asyncio
import contextlib
import re
import time
from collections.abc import AsyncIterator, Sequence

import msgspec

from nodeorch.adapters.podman import replies, sessions
from nodeorch.adapters.podman.client import Client
from nodeorch.adapters.podman.lean import aiohttp
from nodeorch.adapters.podman.sessions import SLACK
from nodeorch.ports import EngineError, LogLine

LABEL = "nodeorch.workload"
"""Containers that carry it are listed and watched."""

DULL = frozenset(
    {"exec", "exec_died", "health_status", "attach", "mount", "unmount", "sync"}
    | {"create", "init", "cleanup"}
)
"""Events that change no container's state, or come with another that tells it."""

HEADER = 8
"""Bytes before each frame of output: stream number, three zeros, length (big endian)."""
OUTPUT = 4096
"""Bytes of a command's output that are kept."""
STDERR = 2
NOISE = re.compile(
    rb"Error: read unixpacket @->\S{1,60}: read: connection reset by peer\n",
)
"""What Podman 4 sometimes adds to the output of a command that could not be run, in a frame of
its own: that the command did not live to be attached to."""
LONGEST_NOISE = 160
"""Bytes."""
SETTLE = 0.5
"""Seconds from Podman's answer until it surely watches."""
LATE = 124
"""Exit code of a command that did not end in time, as of timeout(1)."""
LEAST = 0.1
"""Seconds that a command gets, however late it began."""


async def events(client: Client) -> AsyncIterator[str]:
    """First an empty id, when Podman surely watches for us: list now, and nothing is missed.

    Then ids of containers, until Podman ends it: EngineError unreachable. Podman
    answers before it watches, hence the pause. Asking for all *since* now would close
    that gap, but leaves the stream mute when the wall clock is set back.
    """
    # Podman 4 filters events by label and value only, not by label alone.
    filters = msgspec.json.encode({"type": ["container"]}).decode()
    params = {"stream": "true", "filters": filters}
    async with client.stream("GET", "events", params=params) as answer:
        await asyncio.sleep(SETTLE)
        yield ""
        async for line in answer.content:
            if not line.strip():
                continue
            event = msgspec.json.decode(line, type=replies.EngineEvent)
            if LABEL in event.actor.attributes and event.action not in DULL:
                yield event.actor.id
    raise EngineError("unreachable", f"Podman at {client.socket} ended the stream of events")


async def _frames(content: aiohttp.StreamReader) -> AsyncIterator[tuple[int, bytes]]:
    """(stream number, bytes)."""
    while True:
        try:
            header = await content.readexactly(HEADER)
            yield header[0], await content.readexactly(int.from_bytes(header[4:], "big"))
        except asyncio.IncompleteReadError:
            return


def is_noise(data: bytes) -> bool:
    """Of a whole frame of a command's errors: are they Podman's own, and of no use?"""
    return len(data) <= LONGEST_NOISE and NOISE.fullmatch(data) is not None


async def logs(
    client: Client, container_id: str, instance: str, *, follow: bool, tail: int | None, since: str
) -> AsyncIterator[LogLine]:
    """``since``: RFC 3339 or empty. Ends with the container when following."""
    params = {"stdout": "true", "stderr": "true", "timestamps": "true"}
    params |= {"follow": "true"} if follow else {}
    params |= {"tail": str(tail)} if tail is not None else {}
    params |= {"since": since} if since else {}
    async with client.stream("GET", f"containers/{container_id}/logs", params=params) as answer:
        async for number, data in _frames(answer.content):
            at, _, text = data.decode(errors="replace").rstrip("\n").partition(" ")
            yield LogLine(instance, "stderr" if number == STDERR else "stdout", at, text)


async def run(
    client: Client, container_id: str, command: Sequence[str], timeout: float
) -> tuple[int, str]:
    """(exit code, first 4 KiB of output). A command that is late is killed: its code is 124."""
    body = {"Cmd": list(command), "AttachStdout": True, "AttachStderr": True}
    path = f"containers/{container_id}/exec"
    begun = time.monotonic()
    reply = await client.call("POST", path, body=body, timeout=timeout + SLACK)
    session = msgspec.json.decode(reply.body, type=replies.Created).id
    left = max(timeout - (time.monotonic() - begun), LEAST)
    output = bytearray()
    try:
        async with client.stream(
            "POST", f"exec/{session}/start", body={"Detach": False, "Tty": False}, timeout=left
        ) as answer:
            async for number, data in _frames(answer.content):
                if number != STDERR or not is_noise(data):
                    output += data[: OUTPUT - len(output)]
    except EngineError as error:
        # An engine that hangs does not answer this either: then it says so.
        if error.kind != "timeout" or not await _ended(client, session, container_id):
            raise
        return LATE, output.decode(errors="replace")
    except asyncio.CancelledError:
        with contextlib.suppress(EngineError):
            await asyncio.shield(_ended(client, session, container_id))
        raise
    return (await sessions.end(client, session)).exit_code, output.decode(errors="replace")


async def _ended(client: Client, session: str, container_id: str) -> bool:
    """Kill it. Was it begun at all?"""
    seen = await sessions.state(client, session)
    if seen.running:
        await sessions.kill(client, session, container_id)
    return seen.running or seen.can_remove
