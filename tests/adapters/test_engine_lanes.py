"""Slots for blocking calls: urgent ones first, and some kept for them alone."""

from __future__ import annotations

import asyncio

from nodeorch.adapters.podman.client import Lanes


class Work:
    """Calls that hold a slot until they are let go."""

    def __init__(self, lanes: Lanes) -> None:
        self.lanes = lanes
        self.holding: list[str] = []
        self.tasks: dict[str, asyncio.Task[None]] = {}

    async def begin(self, name: str, urgent: bool = False) -> None:
        async def hold() -> None:
            await self.lanes.acquire(urgent)
            self.holding.append(name)

        self.tasks[name] = asyncio.create_task(hold())
        await settle()

    async def end(self, name: str) -> None:
        self.holding.remove(name)
        self.lanes.release()
        await settle()


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_ordinary_calls_leave_the_reserved_slots_free() -> None:
    work = Work(Lanes(slots=2, reserved=1))
    for name in "abc":
        await work.begin(name)
    assert work.holding == ["a", "b"]
    await work.begin("u", urgent=True)
    assert work.holding == ["a", "b", "u"]
    await work.begin("v", urgent=True)
    assert work.holding == ["a", "b", "u"], "all are taken"


async def test_urgent_calls_go_first() -> None:
    work = Work(Lanes(slots=1, reserved=1))
    await work.begin("a")
    await work.begin("u", urgent=True)
    await work.begin("b")
    await work.begin("v", urgent=True)
    await work.end("a")
    assert work.holding == ["u", "v"]
    await work.end("u")
    assert work.holding == ["v"], "the last slot stays reserved"
    await work.end("v")
    assert work.holding == ["b"]


async def test_a_call_that_gave_up_waiting_takes_no_slot() -> None:
    work = Work(Lanes(slots=1, reserved=0))
    for name in "abc":
        await work.begin(name)
    work.tasks["b"].cancel()
    await settle()
    await work.end("a")
    assert work.holding == ["c"]
    await work.end("c")
    await work.begin("d")
    assert work.holding == ["d"]


async def test_a_slot_given_to_a_call_that_gives_up_at_that_moment_is_not_lost() -> None:
    work = Work(Lanes(slots=1, reserved=0))
    for name in "ab":
        await work.begin(name)
    work.holding.remove("a")
    work.lanes.release()
    work.tasks["b"].cancel()
    await settle()
    assert work.holding == []
    await work.begin("c")
    assert work.holding == ["c"]
