"""OOM kills while an engine starts a run: which count, and whose they are."""

from __future__ import annotations

import asyncio

import pytest

from nodeorch.daemon import oomwatch
from nodeorch.daemon.oomwatch import OomWatch
from tests.lab.wait import async_wait_for

CASES = {
    "its cgroup came and went": ([None, None, 0, 1, None], 1),
    "the last run's was still there": ([3, 3, None, 0, 1, None], 1),
    "the last run's was followed at once": ([3, 3, 0, 1, None], 1),
    "nothing but the last run's": ([3, 3, 3], 0),
    "more than one": ([None, 0, 1, 2, 2], 2),
    "none": ([None, 0, 0], 0),
}


@pytest.mark.parametrize("looks, kills", CASES.values(), ids=CASES)
async def test_kills_of_this_run_count(
    looks: list[int | None], kills: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(oomwatch, "PAUSE", 0.0)
    left = list(looks)
    async with OomWatch(lambda: left.pop(0) if len(left) > 1 else left[0]) as watch:
        await async_wait_for(lambda: len(left) == 1)
    assert watch.kills == kills


async def test_an_engine_that_hangs_is_looked_over_less(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pauses: list[float] = []
    enough, sleep = asyncio.Event(), asyncio.sleep

    async def pause(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == oomwatch.CLOSELY + 5:
            enough.set()
        await sleep(0)

    monkeypatch.setattr(asyncio, "sleep", pause)
    async with OomWatch(lambda: None):
        await enough.wait()
    assert set(pauses[: oomwatch.CLOSELY]) == {oomwatch.PAUSE}, "a start is looked over closely"
    assert pauses[-1] == oomwatch.LAST_PAUSE < 0.06
