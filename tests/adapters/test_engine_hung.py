"""A Podman that hangs, dies or comes back: every call ends in time, and says what it is."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Awaitable

import pytest

from nodeorch.adapters.podman import PodmanEngine, client, engine, images, streams
from nodeorch.model.workload import Main, Pull, Resources, Workload
from nodeorch.ports import EngineError
from tests.lab import Lab, async_wait_for

IMAGE = "localhost/bb:1"
SPEC = Workload(main=Main(name="web", image=IMAGE))
THREADS = client.SLOTS + client.RESERVED


def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Timeouts of one second from now on: what comes before may take its time."""
    for module, name in (
        (engine, "QUICK"),
        (engine, "SLOW"),
        (client, "PING_TIMEOUT"),
        (images, "INSPECT_TIMEOUT"),
        (streams, "SLACK"),
    ):
        monkeypatch.setattr(module, name, 1.0)


@pytest.fixture
async def podman(lab: Lab) -> AsyncIterator[PodmanEngine]:
    made = PodmanEngine(lab.socket)
    yield made
    await made.close()


async def kind(call: Awaitable[object]) -> str:
    try:
        await call
    except EngineError as error:
        return error.kind
    return "fine"


async def container(podman: PodmanEngine) -> str:
    image, _ = await podman.ensure_image(IMAGE, Pull.NEVER)
    labels = {"nodeorch.workload": "web"}
    created = await podman.create("web.0.g1", SPEC, image, labels, Resources())
    return (await podman.start(created)).id


def workers() -> int:
    return sum(thread.name.startswith("podman") for thread in threading.enumerate())


async def test_every_call_to_a_frozen_service_ends_in_time(
    lab: Lab, podman: PodmanEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    created = await container(podman)
    image, _ = await podman.ensure_image(IMAGE, Pull.NEVER)
    hurry(monkeypatch)
    lab.freeze()
    begun = time.monotonic()
    kinds = await asyncio.gather(
        kind(podman.ping()),
        kind(podman.list()),
        kind(podman.inspect(created)),
        kind(podman.ensure_image(IMAGE, Pull.MISSING)),
        kind(podman.create("web.1.g1", SPEC, image, {}, Resources())),
        kind(podman.start(created)),
        kind(podman.start(created, urgent=True)),
        kind(podman.kill(created, "TERM")),
        kind(podman.remove(created)),
        kind(podman.update(created, Resources())),
        kind(podman.unpause(created)),
        kind(podman.rename(created, "x")),
        kind(podman.exec(created, ["true"], 0.5)),
        *(kind(podman.inspect(created)) for _ in range(50)),
    )
    assert set(kinds) == {"timeout"}
    assert time.monotonic() - begun < 10
    assert workers() <= THREADS
    lab.thaw()

    async def answers() -> bool:
        return await kind(podman.inspect(created)) in ("fine", "not_found")

    await async_wait_for(answers)
    assert workers() <= THREADS


async def test_a_frozen_service_lets_go_of_its_threads(
    lab: Lab, podman: PodmanEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Threads in calls that timed out come back by themselves: rounds do not add up."""
    created = await container(podman)
    hurry(monkeypatch)
    lab.freeze()
    for _ in range(3):
        kinds = await asyncio.gather(*(kind(podman.inspect(created)) for _ in range(20)))
        assert set(kinds) == {"timeout"}
    lab.thaw()
    assert await kind(podman.ping()) == "fine"

    async def all_back() -> bool:
        kinds = await asyncio.gather(*(kind(podman.inspect(created)) for _ in range(THREADS)))
        return set(kinds) == {"fine"}

    await async_wait_for(all_back)


async def test_a_service_that_is_gone_and_back(lab: Lab, podman: PodmanEngine) -> None:
    created = await container(podman)
    pid = (await podman.inspect(created)).pid
    lab.kill_service()
    for call in (podman.ping(), podman.list(), podman.inspect(created), podman.start(created)):
        assert await kind(call) == "unreachable"
    lab.start_service()
    assert await kind(podman.ping()) == "fine"
    assert (await podman.inspect(created)).pid == pid, "the container did not notice"


async def test_the_stream_of_events_ends_with_the_service(lab: Lab, podman: PodmanEngine) -> None:
    seen: list[str] = []

    async def listen() -> None:
        async for container_id in podman.events():
            seen.append(container_id)

    listener = asyncio.create_task(listen())
    await async_wait_for(lambda: seen == [""])
    await asyncio.to_thread(lab.kill_service)
    with pytest.raises(EngineError) as caught:
        await asyncio.wait_for(listener, 10)
    assert caught.value.kind == "unreachable"


async def test_no_service_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    hurry(monkeypatch)
    podman = PodmanEngine("/nonexistent/podman.sock")
    assert await kind(podman.ping()) == "unreachable"
    assert await kind(podman.list()) == "unreachable"
    with pytest.raises(EngineError, match=r"/nonexistent/podman\.sock"):
        await podman.inspect("x")
    await podman.close()
