"""Deaths of real processes, told by pidfd."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import Iterator

import pytest

from nodeorch.adapters.deaths import PidfdDeaths
from nodeorch.model.facts import Died, Fact
from tests.lab import async_wait_for


def _sleeper() -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(["sleep", "1000"])
    yield process
    process.kill()
    process.wait()


sleeper = pytest.fixture(_sleeper, name="sleeper")
another = pytest.fixture(_sleeper, name="another")


def dead_pid() -> int:
    process = subprocess.Popen(["true"])
    process.wait()
    return process.pid


class Seen:
    def __init__(self, belongs: bool = True) -> None:
        self.facts: list[Fact] = []
        self.deaths = PidfdDeaths(self.facts.append, {"c1": 3}.get, lambda pid, container: belongs)


async def test_a_death_is_told_with_its_oom_kills(sleeper: subprocess.Popen[bytes]) -> None:
    seen = Seen()
    seen.deaths.sync({"web.0.g1": ("c1", sleeper.pid)})
    await asyncio.sleep(0)
    assert seen.facts == []
    sleeper.kill()
    await async_wait_for(lambda: seen.facts)
    assert seen.facts == [Died("web.0.g1", "c1", sleeper.pid, 3)]


async def test_a_death_is_told_once_while_the_same_is_wanted(
    sleeper: subprocess.Popen[bytes],
) -> None:
    seen = Seen()
    wanted = {"web.0.g1": ("c1", sleeper.pid)}
    seen.deaths.sync(wanted)
    sleeper.kill()
    await async_wait_for(lambda: seen.facts)
    sleeper.wait()
    seen.deaths.sync(wanted)
    seen.deaths.sync(wanted)
    assert len(seen.facts) == 1
    seen.deaths.sync({})
    seen.deaths.sync(wanted)
    assert len(seen.facts) == 2


async def test_a_process_that_is_dead_already_is_told_at_once() -> None:
    gone = dead_pid()
    seen = Seen()
    seen.deaths.sync({"a": ("c2", gone)})
    assert seen.facts == [Died("a", "c2", gone, None)]


async def test_a_pid_that_is_another_processes_now_is_a_death(
    sleeper: subprocess.Popen[bytes],
) -> None:
    seen = Seen(belongs=False)
    seen.deaths.sync({"a": ("c1", sleeper.pid)})
    assert seen.facts == [Died("a", "c1", sleeper.pid, 3)]


async def test_what_is_no_longer_wanted_is_not_told(
    sleeper: subprocess.Popen[bytes], another: subprocess.Popen[bytes]
) -> None:
    seen = Seen()
    seen.deaths.sync({"a": ("c1", sleeper.pid), "b": ("c2", another.pid)})
    seen.deaths.sync({"b": ("c2", another.pid)})
    sleeper.kill()
    sleeper.wait()
    another.kill()
    await async_wait_for(lambda: seen.facts)
    assert seen.facts == [Died("b", "c2", another.pid, None)]


async def test_an_instance_with_a_new_process_is_watched_anew(
    sleeper: subprocess.Popen[bytes],
) -> None:
    seen = Seen()
    seen.deaths.sync({"a": ("c1", dead_pid())})
    seen.deaths.sync({"a": ("c1", sleeper.pid)})
    sleeper.kill()
    await async_wait_for(lambda: len(seen.facts) == 2)
    assert seen.facts[1] == Died("a", "c1", sleeper.pid, 3)


async def test_wait(sleeper: subprocess.Popen[bytes]) -> None:
    deaths = Seen().deaths
    assert not await deaths.wait(sleeper.pid, 0.05)
    waiting = asyncio.create_task(deaths.wait(sleeper.pid, 10))
    await asyncio.sleep(0)
    sleeper.kill()
    assert await waiting
    sleeper.wait()
    assert await deaths.wait(sleeper.pid, 10)


async def test_waiting_for_a_watched_process_does_not_stop_the_watch(
    sleeper: subprocess.Popen[bytes],
) -> None:
    seen = Seen()
    seen.deaths.sync({"a": ("c1", sleeper.pid)})
    assert not await seen.deaths.wait(sleeper.pid, 0.01)
    sleeper.kill()
    await async_wait_for(lambda: seen.facts)
    assert await seen.deaths.wait(sleeper.pid, 0)


async def test_waiting_for_a_watched_pid_that_is_used_again(
    sleeper: subprocess.Popen[bytes],
) -> None:
    seen = Seen(belongs=False)
    seen.deaths.sync({"a": ("c1", sleeper.pid)})
    assert await seen.deaths.wait(sleeper.pid, 0)


async def test_close_forgets_all(sleeper: subprocess.Popen[bytes]) -> None:
    seen = Seen()
    seen.deaths.sync({"a": ("c1", sleeper.pid)})
    seen.deaths.close()
    sleeper.kill()
    sleeper.wait()
    await asyncio.sleep(0.02)
    assert seen.facts == []
