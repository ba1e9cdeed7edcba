"""Containers that Podman has lost hold of: their conmon dead, their removal cut short."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time
from pathlib import Path

import pytest

from nodeorch.adapters.cgroup import CgroupReader
from nodeorch.adapters.podman import PodmanEngine
from nodeorch.model.world import State
from nodeorch.ports import EngineError
from tests.adapters.test_engine_podman import create, engine, run, spec
from tests.lab import Lab, async_wait_for

__all__ = ["engine"]

ALONE = spec(main={"networks": ("none",)})


async def test_a_container_without_its_conmon_is_known_and_can_be_removed(
    lab: Lab, engine: PodmanEngine
) -> None:
    container = await run(engine, spec())
    assert container.monitored
    conmon = int(lab.podman("inspect", "--format", "{{.State.ConmonPid}}", container.id))
    os.kill(conmon, signal.SIGKILL)
    os.kill(container.pid, signal.SIGKILL)
    await async_wait_for(lambda: not Path(f"/proc/{conmon}/cmdline").exists())
    assert not (await engine.inspect(container.id)).monitored
    await engine.remove(container.id)
    with pytest.raises(EngineError, match="no such container"):
        await engine.inspect(container.id)


async def test_a_removal_that_was_cut_short_can_be_done_again(
    lab: Lab, engine: PodmanEngine
) -> None:
    """The service is killed in the middle of one, until one is cut short at the right place."""
    first = await run(engine, ALONE, "web.0.g0")
    begun = time.monotonic()
    await engine.remove(first.id)
    whole = time.monotonic() - begun
    for late in range(160):
        container = await run(engine, ALONE, f"web.{late}.g1")
        removal = asyncio.ensure_future(engine.remove(container.id))
        # From well before the right moment to well after it: what else runs here moves it.
        await asyncio.sleep(whole * (0.1 + 1.5 * (late % 32) / 32))
        lab.kill_service()
        with contextlib.suppress(EngineError):
            await removal
        lab.start_service()
        found = [c for c in await engine.list() if c.id == container.id]
        if found and found[0].spent:
            assert found[0].state is State.EXITED
            await engine.remove(container.id)
            assert container.id not in [c.id for c in await engine.list()]
            return
    raise AssertionError("no removal was cut short")


async def test_what_a_start_that_was_cut_short_left_can_be_ended(
    lab: Lab, engine: PodmanEngine
) -> None:
    """The service is killed in the middle of one: runc waits in the container for ever."""
    first = await create(engine, ALONE, "web.0.g0")
    begun = time.monotonic()
    await engine.start(first)
    whole = time.monotonic() - begun
    cgroups = CgroupReader()
    for late in range(160):
        container = await create(engine, ALONE, f"web.{late}.g1")
        start = asyncio.ensure_future(engine.start(container))
        # The first one may have taken long: from well before the right moment to well after it.
        await asyncio.sleep(whole * (0.1 + 1.3 * (late % 32) / 32))
        lab.kill_service()
        with contextlib.suppress(EngineError):
            await start
        lab.start_service()
        if (await engine.inspect(container)).state is State.RUNNING:
            continue
        if await _started(engine, cgroups, container):
            return
    raise AssertionError("no start was cut short so that it left something")


async def _started(engine: PodmanEngine, cgroups: CgroupReader, container: str) -> bool:
    """Until it runs; whether something had to be killed for it. runc may still be at it."""
    killed = 0
    for _ in range(100):
        try:
            assert (await engine.start(container)).state is State.RUNNING
            return killed > 0
        except EngineError as error:
            assert error.kind == "refused"
        killed += cgroups.kill(container)
        await asyncio.sleep(0.1)
    raise AssertionError("it cannot be started any more")
