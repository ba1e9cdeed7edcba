"""Is the image here? Pull it by policy, telling the progress."""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import quote

import msgspec

from nodeorch.adapters.podman import replies
from nodeorch.adapters.podman.client import Client
from nodeorch.model.workload import Pull
from nodeorch.ports import EngineError

INSPECT_TIMEOUT = 10.0
SILENCE = 120.0
"""Seconds without a word after which a pull is given up; it may take longer in all."""

Progress = Callable[[str], None]


async def inspect(client: Client, reference: str, *, urgent: bool = False) -> replies.Image:
    """Raises no_image."""
    path = f"images/{quote(reference, safe='/:@')}/json"
    try:
        reply = await client.call("GET", path, timeout=INSPECT_TIMEOUT, urgent=urgent)
    except EngineError as error:
        if error.kind == "not_found":
            raise EngineError("no_image", error.words) from None
        raise
    return msgspec.json.decode(reply.body, type=replies.Image)


async def ensure(
    client: Client, reference: str, policy: Pull, progress: Progress | None
) -> tuple[str, str]:
    """(id, digest) of an image that is here now; raises no_image."""
    if policy is not Pull.ALWAYS:
        try:
            return _known(await inspect(client, reference), reference)
        except EngineError as error:
            if error.kind != "no_image":
                raise
            if policy is Pull.NEVER:
                raise EngineError(
                    "no_image",
                    f"cannot use image {reference}: it is not on this host and pull is "
                    '"never"; pull or build it, or allow pull = "missing"',
                ) from None
    await _pull(client, reference, progress)
    return _known(await inspect(client, reference), reference)


def _known(image: replies.Image, reference: str) -> tuple[str, str]:
    return image.id, replies.digest(image, reference)


async def _pull(client: Client, reference: str, progress: Progress | None) -> None:
    """Errors of a pull come inside an answer of status 200, or as 500 before it."""
    params = {"reference": reference, "policy": "always"}
    problem = ""
    try:
        async with client.stream("POST", "images/pull", params=params, silence=SILENCE) as answer:
            async for line in answer.content:
                if not line.strip():
                    continue
                said = msgspec.json.decode(line, type=replies.Pulled)
                problem = said.error or problem
                if progress is not None and said.stream.strip():
                    progress(said.stream.strip())
    except EngineError as error:
        if error.kind in ("unreachable", "timeout"):
            raise
        problem = error.words
    if problem:
        words = " ".join(problem.split())[:600]
        raise EngineError("no_image", f"cannot pull {reference}: {words}")
