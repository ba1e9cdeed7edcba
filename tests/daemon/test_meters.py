"""The loop, the store and the engine count what they do."""

from __future__ import annotations

import inspect
from collections import Counter
from pathlib import Path

import pytest

from nodeorch.adapters.podman import PodmanEngine
from nodeorch.adapters.process import own_process
from nodeorch.adapters.sqlite import SqliteStore
from nodeorch.meters import short
from nodeorch.model.actions import CreateContainer, InspectContainer, StartContainer
from nodeorch.model.facts import Died, Done
from nodeorch.ports import Changes, EngineError, StoreError
from tests.daemon.rig import rigged, spec


async def test_a_death_and_a_refused_start_are_counted(tmp_path: Path) -> None:
    async with rigged(tmp_path) as rig:
        await rig.declare(spec())
        first = await rig.running()
        rig.engine.faults.fail("start", words="port is taken", times=1)
        rig.engine.die(first.record.container_id, 1)
        await rig.until(lambda: (i := rig.instance()) and i.pid not in (0, first.pid))
        meter, befell = rig.loop.meter, rig.loop.befell.by_name["web"]
        stored = await rig.loop.store.entries()
        await rig.until(lambda: sum(meter.entries.values()) >= len(stored))
    assert meter.actions[CreateContainer, "ok"] == 1
    assert meter.actions[StartContainer, "ok"] == 2
    assert meter.actions[StartContainer, "refused"] == 1
    assert meter.actions[InspectContainer, "ok"] >= 1
    assert meter.facts[Died] == 1
    assert meter.facts[Done] >= 4
    assert sum(meter.steps.counts) == rig.loop.steps > 0
    assert meter.entries["Exited"] == 1
    assert befell.exits == Counter(Exited=1, Failed=1)
    assert befell.restarts == 1
    assert rig.loop.waiting == 0


async def test_of_a_workload_that_is_gone_nothing_is_kept_though_nobody_asks(
    tmp_path: Path,
) -> None:
    """Names come and go without end, and no scraper need ever come."""
    async with rigged(tmp_path) as rig:
        await rig.declare(spec())
        await rig.running()
        rig.engine.die(rig.instance().record.container_id, 1)  # type: ignore[union-attr]
        await rig.until(lambda: "web" in rig.loop.befell.by_name)
        rig.prober.meter.failures["web", "liveness"] = 1
        await rig.command("delete")
        await rig.until(lambda: "web" not in rig.loop.world.workloads)
        assert not rig.loop.befell.by_name
        assert not rig.prober.meter.failures


async def test_saves_are_counted_by_how_they_ended(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "x.db")
    await store.open()
    await store.save(Changes(serial=1))
    assert store.size() >= 4096
    await store.close()
    with pytest.raises(StoreError):
        await store.save(Changes(serial=2))
    assert store.calls.results == Counter({("save", "ok"): 1, ("save", "failed"): 1})


async def test_calls_of_the_engine_are_counted_by_how_they_ended(tmp_path: Path) -> None:
    engine = PodmanEngine(str(tmp_path / "none.sock"))
    for call in (engine.ping(), engine.start("c1"), engine.start("c2")):
        with pytest.raises(EngineError):
            await call
    await engine.close()
    assert engine.calls.results == Counter(
        {("ping", "unreachable"): 1, ("start", "unreachable"): 2}
    )
    assert sum(engine.calls.seconds["start"].counts) == 2


def test_no_call_of_the_engine_goes_uncounted() -> None:
    calls = {
        name
        for name, method in vars(PodmanEngine).items()
        if inspect.iscoroutinefunction(method) and not name.startswith("_")
    }
    counted = {name for name in calls if hasattr(getattr(PodmanEngine, name), "__wrapped__")}
    assert calls - counted == {"close"}
    assert "start" in counted


def test_this_process_is_read() -> None:
    seen = own_process()
    assert 1 << 20 < seen.resident < 1 << 34
    assert 2 < seen.open_files <= seen.most_files
    assert seen.cpu_seconds > 0


def test_kinds_as_labels() -> None:
    assert [short(kind) for kind in (Died, StartContainer)] == ["died", "start_container"]
