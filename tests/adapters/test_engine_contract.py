"""What every engine promises, held against the fake and against real Podman alike."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator
from typing import Protocol

import pytest

from nodeorch.adapters.cgroup import CgroupReader
from nodeorch.adapters.deaths import PidfdDeaths
from nodeorch.adapters.podman import PodmanEngine
from nodeorch.model.facts import Died, Fact
from nodeorch.model.workload import MIB, Main, Pull, Resources, Workload
from nodeorch.model.world import State
from nodeorch.ports import Cgroups, Deaths, Engine, EngineError
from tests.fakes import FakeCgroups, FakeDeaths, FakeEngine
from tests.lab import Lab, async_wait_for

IMAGE = "localhost/bb:1"
LABELS = {"nodeorch.workload": "web"}
PLAIN = Resources(memory=32 * MIB, cpu=0.5, pids=32)
IGNORING = ("sh", "-c", "trap '' TERM; while :; do sleep 1; done")


class Side(Protocol):
    """One engine with all that belongs to it."""

    engine: Engine
    deaths: Deaths
    cgroups: Cgroups
    facts: list[Fact]

    def crash(self, container_id: str, pid: int) -> None:
        """kill -9 of the first process."""

    def pause(self, container_id: str) -> None:
        """By hand."""


class FakeSide:
    def __init__(self) -> None:
        self.facts: list[Fact] = []
        self._engine = FakeEngine()
        self._engine.behave("stubborn", ignores={"TERM"})
        self.engine: Engine = self._engine
        self.deaths: Deaths = FakeDeaths(self.facts.append, self._engine)
        self.cgroups: Cgroups = FakeCgroups(self._engine)

    def crash(self, container_id: str, pid: int) -> None:
        self._engine.die(container_id)

    def pause(self, container_id: str) -> None:
        self._engine.pause(container_id)


class RealSide:
    def __init__(self, lab: Lab) -> None:
        self.facts: list[Fact] = []
        self._lab = lab
        reader = CgroupReader()
        self.engine: Engine = PodmanEngine(lab.socket)
        self.deaths: Deaths = PidfdDeaths(self.facts.append, reader.oom_kills, reader.belongs)
        self.cgroups: Cgroups = reader

    def crash(self, container_id: str, pid: int) -> None:
        os.kill(pid, signal.SIGKILL)

    def pause(self, container_id: str) -> None:
        self._lab.podman("pause", container_id)


@pytest.fixture(params=["fake", "podman"])
async def side(request: pytest.FixtureRequest) -> AsyncIterator[Side]:
    kind = request.param
    made: Side = FakeSide() if kind == "fake" else RealSide(request.getfixturevalue("lab"))
    yield made
    made.deaths.close()
    await made.engine.close()


async def make(
    side: Side, name: str = "web.0.g1", *, workload: str = "web", command: tuple[str, ...] = ()
) -> str:
    spec = Workload(main=Main(name=workload, image=IMAGE, command=command), resources=PLAIN)
    image, _ = await side.engine.ensure_image(IMAGE, Pull.MISSING)
    return await side.engine.create(name, spec, image, LABELS, PLAIN)


async def refused(kind: str, call: object) -> str:
    with pytest.raises(EngineError) as caught:
        await call  # type: ignore[misc]
    assert caught.value.kind == kind, caught.value.words
    assert caught.value.words
    return caught.value.words


async def test_it_answers(side: Side) -> None:
    assert await side.engine.ping()


async def test_a_container_lives(side: Side) -> None:
    created = await make(side)
    seen = await side.engine.inspect(created)
    assert (seen.id, seen.name, seen.state, seen.pid) == (created, "web.0.g1", State.CREATED, 0)
    assert seen.exit_code is None and seen.labels["nodeorch.workload"] == "web"
    started = await side.engine.start(created)
    assert started.state is State.RUNNING and started.pid > 0 and started.address
    assert started.started_wall > 0
    image, _ = await side.engine.ensure_image(IMAGE, Pull.NEVER)
    assert started.image_id == image
    again = await side.engine.start(created)
    assert again.pid == started.pid, "starting what runs is not an error, and does nothing"
    await side.engine.remove(created)
    await refused("not_found", side.engine.inspect(created))


async def test_a_crash_is_seen_and_started_again_at_once(side: Side) -> None:
    created = await make(side)
    first = await side.engine.start(created)
    side.deaths.sync({"web.0.g1": (created, first.pid)})
    assert side.cgroups.limits(first.pid, created)
    side.crash(created, first.pid)
    await async_wait_for(lambda: side.facts)
    assert side.facts == [Died("web.0.g1", created, first.pid, 0)]
    assert await side.deaths.wait(first.pid, 0)
    second = await side.engine.start(created, urgent=True)
    assert second.state is State.RUNNING and second.pid != first.pid
    assert not await side.deaths.wait(second.pid, 0.01)


async def test_the_exit_code_tells_the_signal(side: Side) -> None:
    created = await make(side)
    started = await side.engine.start(created)
    side.crash(created, started.pid)

    async def exited() -> bool:
        return (await side.engine.inspect(created)).state is State.EXITED

    await async_wait_for(exited)
    seen = await side.engine.inspect(created)
    assert (seen.exit_code, seen.pid) == (137, 0)


async def test_listing_shows_ours_alone(side: Side) -> None:
    running, created = await make(side), await make(side, "web.1.g1")
    image, _ = await side.engine.ensure_image(IMAGE, Pull.MISSING)
    spec = Workload(main=Main(name="other", image=IMAGE))
    await side.engine.create("other", spec, image, {}, PLAIN)
    started = await side.engine.start(running)
    listed = {container.name: container for container in await side.engine.list()}
    assert listed.keys() == {"web.0.g1", "web.1.g1"}
    assert listed["web.0.g1"].state is State.RUNNING
    assert listed["web.0.g1"].pid == started.pid
    assert abs(listed["web.0.g1"].started_wall - started.started_wall) < 1.5
    assert (listed["web.1.g1"].id, listed["web.1.g1"].state) == (created, State.CREATED)
    assert not listed["web.1.g1"].sealed


async def test_a_name_is_given_once(side: Side) -> None:
    first = await make(side)
    words = await refused("name_in_use", make(side))
    assert "web.0.g1" in words
    await side.engine.rename(first, "web.0.g0")
    assert (await side.engine.inspect(first)).name == "web.0.g0"
    await make(side)


async def test_removing_is_idempotent_and_kills(side: Side) -> None:
    created = await make(side, workload="stubborn", command=IGNORING)
    started = await side.engine.start(created)
    await side.engine.remove(created)
    assert await side.deaths.wait(started.pid, 5)
    await side.engine.remove(created)
    assert await side.engine.list() == ()


async def test_kill_signals_and_is_harmless_when_dead(side: Side) -> None:
    created = await make(side, workload="stubborn", command=IGNORING)
    started = await side.engine.start(created)
    await side.engine.kill(created, "TERM")
    assert not await side.deaths.wait(started.pid, 0.3)
    await side.engine.kill(created, "KILL")
    assert await side.deaths.wait(started.pid, 5)

    async def noticed() -> bool:
        return (await side.engine.inspect(created)).state is State.EXITED

    await async_wait_for(noticed)
    await side.engine.kill(created, "KILL")


async def test_pause_by_hand_is_seen_and_undone(side: Side) -> None:
    created = await make(side)
    await side.engine.start(created)
    side.pause(created)
    assert (await side.engine.inspect(created)).state is State.PAUSED
    await side.engine.unpause(created)
    assert (await side.engine.inspect(created)).state is State.RUNNING
    await refused("refused", side.engine.unpause(created))


async def test_limits_are_in_the_kernel_and_change_live(side: Side) -> None:
    created = await make(side)
    pid = (await side.engine.start(created)).pid
    limits = side.cgroups.limits(pid, created)
    assert limits and (limits.memory, limits.swap, limits.cpu) == (32 * MIB, 0, 0.5)
    assert limits.pids == 32
    wider = Resources(memory=256 * MIB, cpu=1.5, pids=99)
    await side.engine.update(created, wider)
    limits = side.cgroups.limits(pid, created)
    assert limits and (limits.memory, limits.swap, limits.cpu) == (256 * MIB, 0, 1.5)
    assert limits.pids == 99
    await side.engine.update(created, Resources(pids=99))
    limits = side.cgroups.limits(pid, created)
    assert limits and (limits.memory, limits.cpu) == (None, None)
    assert (await side.engine.inspect(created)).pid == pid, "without a restart"


async def test_exec(side: Side) -> None:
    created = await make(side)
    await refused("refused", side.engine.exec(created, ["true"], 5))
    await side.engine.start(created)
    assert await side.engine.exec(created, ["echo", "a", "b"], 5) == (0, "a b\n")
    assert await side.engine.exec(created, ["false"], 5) == (1, "")
    assert (await side.engine.exec(created, ["sleep", "60"], 0.5))[0] == 124
    code, words = await side.engine.exec(created, ["no-such-command"], 5)
    assert code == 127 and "no-such-command" in words


async def test_images(side: Side) -> None:
    image, digest = await side.engine.ensure_image(IMAGE, Pull.MISSING)
    assert len(image) == 64 and digest.startswith("sha256:")
    assert await side.engine.ensure_image(IMAGE, Pull.NEVER) == (image, digest)
    absent = "localhost/absent:9"
    assert absent in await refused("no_image", side.engine.ensure_image(absent, Pull.NEVER))
    assert absent in await refused("no_image", side.engine.ensure_image(absent, Pull.MISSING))
    spec = Workload(main=Main(name="web", image=absent))
    await refused("no_image", side.engine.create("web.0.g1", spec, "0" * 64, LABELS, PLAIN))


async def test_what_is_not_there(side: Side) -> None:
    absent = "f" * 64
    await refused("not_found", side.engine.inspect(absent))
    await refused("not_found", side.engine.start(absent))
    await refused("not_found", side.engine.kill(absent, "TERM"))
    await refused("not_found", side.engine.exec(absent, ["true"], 1))


async def test_events_begin_with_an_empty_id_then_tell_of_ours(side: Side) -> None:
    seen: list[str] = []

    async def listen() -> None:
        async for container_id in side.engine.events():
            seen.append(container_id)

    listener = asyncio.create_task(listen())
    try:
        await async_wait_for(lambda: seen == [""])
        created = await make(side)
        started = await side.engine.start(created)
        await async_wait_for(lambda: created in seen)
        before = seen.count(created)
        side.crash(created, started.pid)
        await async_wait_for(lambda: seen.count(created) > before)
        assert set(seen) == {"", created}
    finally:
        listener.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await listener
