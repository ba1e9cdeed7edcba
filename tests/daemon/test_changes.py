"""Changes over the real loop and SQLite: found again, numbered on, and their trace in the log."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from nodeorch.model.change import Asked, ChangeState
from nodeorch.model.facts import Command
from tests.daemon.rig import Rig, rigged, spec
from tests.fakes import FakeEngine

TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


async def ask(rig: Rig, verb: str, trace: str = "") -> int:
    asked = Asked(rig.loop.next_change(), verb, "a test", rig.clock.wall(), trace)
    await rig.tell(Command(verb=verb, workload="web", by="a test", change=asked))
    return asked.id


def state(rig: Rig, number: int) -> ChangeState:
    return rig.loop.world.changes[number].state


async def test_a_change_outlives_the_daemon(tmp_path: Path) -> None:
    engine = FakeEngine()
    async with rigged(tmp_path, engine) as rig:
        await rig.declare(spec())
        await rig.running()
        first = await ask(rig, "restart")
        await rig.until(lambda: state(rig, first) is ChangeState.DONE)
        second = await ask(rig, "stop")
    async with rigged(tmp_path, engine) as rig:
        assert state(rig, first) is ChangeState.DONE
        await rig.declare(spec())
        await rig.until(lambda: state(rig, second) is ChangeState.DONE)
        assert await ask(rig, "start") == second + 1
        await rig.running()


async def test_numbers_go_on_after_the_database_was_lost(tmp_path: Path) -> None:
    async with rigged(tmp_path) as rig:
        await rig.declare(spec())
        number = await ask(rig, "restart")
    (tmp_path / "nodeorch.db").write_bytes(b"garbage" * 1000)
    async with rigged(tmp_path) as rig:
        assert rig.loop.next_change() > number + 1000


async def test_the_log_names_the_trace_of_the_request(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "nodeorch")
    async with rigged(tmp_path) as rig:
        await rig.declare(spec())
        number = await ask(rig, "restart", TRACE)
        [entry] = [e for e in await rig.loop.store.entries() if "trace" in e.details]
    assert entry.details == {"change": number, "trace": TRACE}
    assert f"web: restart, by a test [traceparent {TRACE}]" in caplog.messages
