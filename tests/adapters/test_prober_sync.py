"""The prober's sync, and its exec probes."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator

import pytest

from nodeorch.adapters.probes.runner import NET_SLOTS
from nodeorch.model.workload import Probe
from nodeorch.ports import EngineError
from tests.adapters.probing import FAST, Bench, http
from tests.lab.wait import async_wait_for


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    bench = Bench()
    yield bench
    await bench.runner.close()
    for server in bench.servers:
        server.stop()


# sync


async def test_sync_disturbs_only_what_changed(bench: Bench) -> None:
    server = await bench.server()
    bench.want(http(server.port), instance="a")
    bench.want(http(server.port), instance="b")
    await bench.verdicts(2)
    await bench.runs(3, "a")
    await bench.runs(3, "b")
    bench.want(http(server.port), instance="b", run="2")
    results = bench.runner.results()
    assert results["a", "readiness"].runs >= 3
    assert ("b", "readiness") not in results
    await bench.verdicts(3)
    assert [fact.instance for fact in bench.facts] == ["a", "b", "b"]


async def test_what_is_unwanted_ends_at_once_and_reports_no_more(bench: Bench) -> None:
    server = await bench.server()
    server.reply = None
    bench.want(http(server.port, timeout=60.0))
    await async_wait_for(lambda: server.open == 1)
    bench.runner.sync({})
    await async_wait_for(lambda: server.open == 0, 5.0)
    assert bench.facts == [] and bench.runner.results() == {}


async def test_everything_is_closed_in_the_end(bench: Bench) -> None:
    server = await bench.server()
    before = len(os.listdir("/proc/self/fd"))
    for number in range(20):
        bench.want(http(server.port), instance=f"w{number}")
    bench.engine.gate.clear()
    bench.want(Probe(exec=("true",)), instance="exec")
    await bench.verdicts(20)
    await async_wait_for(lambda: bench.engine.running == 1)
    await bench.runner.close()
    assert bench.engine.running == 0
    await async_wait_for(lambda: len(os.listdir("/proc/self/fd")) <= before)


async def test_hundreds_at_once(bench: Bench) -> None:
    server = await bench.server()
    for number in range(600):
        bench.want(http(server.port, interval=1.0), instance=f"w{number}")
    assert await bench.verdicts(600) == [True] * 600
    assert server.most_open <= NET_SLOTS


# exec


async def test_exec_goes_through_the_engine(bench: Bench) -> None:
    bench.want(Probe(exec=("check", "-x"), interval=FAST, timeout=2.0, failures=2))
    assert await bench.verdicts(1) == [True]
    assert bench.engine.calls[0] == ("id-web.0.g1", ("check", "-x"), 2.0)
    bench.engine.answer = (3, "broken\nin two\x1b[0m lines")
    assert await bench.verdicts(2) == [True, False]
    words = 'exec check -x: exit code 3, output "broken in two\\x1b[0m lines"'
    assert bench.facts[1].words == words
    bench.engine.answer = (124, "")
    await async_wait_for(lambda: bench.words == "exec check -x: no end within 2s")


@pytest.mark.parametrize("kind", ["unreachable", "timeout", "not_found"])
async def test_trouble_of_the_engine_is_not_the_workloads(bench: Bench, kind: str) -> None:
    bench.engine.answer = EngineError(kind, "podman is away")
    probe = Probe(exec=("check",), interval=FAST, failures=1)
    bench.want(probe, kind="liveness")
    await bench.runs(5, kind="liveness")
    assert bench.facts == [] and bench.words == "cannot probe: podman is away"


async def test_exec_probes_are_few_at_a_time(bench: Bench) -> None:
    bench.engine.gate.clear()
    for number in range(20):
        bench.want(Probe(exec=("check",), interval=FAST), instance=f"w{number}")
    await async_wait_for(lambda: bench.engine.running == 4)
    await asyncio.sleep(0.1)
    assert bench.engine.most_running == 4
    bench.engine.gate.set()
    assert await bench.verdicts(20) == [True] * 20
    assert bench.engine.most_running == 4


async def test_an_engine_that_never_answers_gives_its_slot_back(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nodeorch.adapters.probes.exec._PATIENCE", 0.05)
    bench.engine.gate.clear()
    bench.want(Probe(exec=("check",), interval=FAST, timeout=0.05, failures=1))
    await bench.runs(2)
    assert bench.words == "cannot probe: the engine does not answer"
    assert bench.facts == []
