"""Containers that Podman has lost hold of: their conmon dead, their removal cut short."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from pathlib import Path

import pytest

from nodeorch.adapters.podman import PodmanEngine
from nodeorch.model.world import State
from nodeorch.ports import EngineError
from tests.adapters.test_engine_podman import engine, run, spec
from tests.lab import Lab, async_wait_for

__all__ = ["engine"]


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
    for late in range(60):
        name = f"web.{late}.g1"
        container = await run(engine, spec(main={"networks": ("none",)}), name)
        removal = asyncio.ensure_future(engine.remove(container.id))
        await asyncio.sleep(0.08 + 0.004 * late)
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
