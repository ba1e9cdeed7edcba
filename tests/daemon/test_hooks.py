"""Hooks through the real loop and executor, on a scripted engine."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from nodeorch.adapters.probes import hook as hook_adapter
from nodeorch.daemon import prestop
from nodeorch.decide.ready import is_ready
from nodeorch.model.facts import HookEnd
from nodeorch.model.workload import Hooks, PostStart, PreStop, Stop, Workload
from tests.daemon.rig import Rig, rigged, spec
from tests.fakes import FakeEngine


def _post(*command: str, timeout: float = 5.0) -> Hooks:
    return Hooks(post_start=PostStart(exec=command, timeout=timeout))


def _pre(*command: str, timeout: float = 5.0) -> Workload:
    hooks = Hooks(pre_stop=PreStop(exec=command, timeout=timeout))
    return spec(hooks=hooks, stop=Stop(grace=0.05))


def _ready(rig: Rig, name: str = "web.0.g1") -> bool:
    instance = rig.instance(name)
    state = rig.loop.world.workloads[name.partition(".")[0]]
    return instance is not None and is_ready(state, instance)


async def _acts(rig: Rig) -> list[str]:
    return [done for done, name in rig.engine.calls if name == "web.0.g1" and done != "inspect"]


async def test_a_hook_that_hangs_holds_up_neither_its_stop_nor_another(tmp_path: Path) -> None:
    async with rigged(tmp_path) as rig:
        await rig.declare(spec("hung", hooks=_post("sleep", "60", timeout=60)))
        await rig.running("hung.0.g1")
        await rig.until(lambda: "exec" in [done for done, _ in rig.engine.calls])
        await rig.declare(spec(hooks=_post("true")))
        await rig.until(lambda: "web" in rig.loop.world.workloads and _ready(rig))
        await rig.command("stop", "hung")
        await rig.until(lambda: (i := rig.instance("hung.0.g1")) and not i.running)
        assert not _ready(rig, "hung.0.g1")


async def test_a_hook_that_fails_restarts_and_says_what_it_heard(tmp_path: Path) -> None:
    async with rigged(tmp_path) as rig:
        await rig.declare(spec(hooks=_post("absent")))
        await rig.until(lambda: (i := rig.instance()) and i.record.runs >= 2)
        said = "\n".join(await rig.words())
    assert 'post-start hook failed: exec absent: exit code 127, output "absent: not found"' in said


async def test_the_hook_before_a_stop_comes_before_the_signal(tmp_path: Path) -> None:
    async with rigged(tmp_path) as rig:
        await rig.declare(_pre("true"))
        await rig.running()
        await rig.command("stop")
        await rig.until(lambda: (i := rig.instance()) and not i.running)
        assert await _acts(rig) == ["create", "start", "exec", "kill"]
        await asyncio.sleep(0)
        assert any("pre-stop hook passed" in words for words in await rig.words())


async def test_a_late_hook_delays_a_stop_no_longer_than_its_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prestop, "SLACK", 0.1)
    monkeypatch.setattr(hook_adapter, "PATIENCE", 0.05)
    async with rigged(tmp_path) as rig:
        rig.engine.faults.hang("exec")
        rig.engine.behave("web", ignores={"TERM"})
        await rig.declare(_pre("true", timeout=0.05))
        await rig.running()
        await rig.command("stop")
        await rig.until(lambda: (i := rig.instance()) and not i.running)
        assert await _acts(rig) == ["create", "start", "exec", "kill", "kill"]
        await rig.until(lambda: not rig.loop.world.busy)
        words = "pre-stop hook failed: cannot run it: the engine does not answer; it was stopped"
        assert any(words in said for said in await rig.words())


async def test_a_mistake_of_our_own_in_a_hook_delays_no_stop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(*_: object) -> HookEnd:
        raise LookupError("nothing there")

    monkeypatch.setattr(hook_adapter.HookCaller, "run", broken)
    async with rigged(tmp_path) as rig:
        await rig.declare(_pre("true"))
        await rig.running()
        await rig.command("stop")
        await rig.until(lambda: (i := rig.instance()) and not i.running)
        await rig.until(lambda: not rig.loop.world.busy)
        words = "pre-stop hook failed: cannot run it: an error inside nodeorchd; see its log"
        assert any(words in said for said in await rig.words())


async def test_the_death_of_the_process_ends_the_waiting_for_its_hook(tmp_path: Path) -> None:
    async with rigged(tmp_path) as rig:
        await rig.declare(_pre("sleep", "60", timeout=60))
        first = await rig.running()
        await rig.command("stop")
        await rig.until(lambda: "exec" in [done for done, _ in rig.engine.calls])
        rig.engine.die(first.record.container_id, 0)
        await rig.until(lambda: (i := rig.instance()) and not i.running)
        assert any("its container ended meanwhile" in words for words in await rig.words())


async def test_what_is_dead_gets_no_hook(tmp_path: Path) -> None:
    engine = FakeEngine()
    async with rigged(tmp_path, engine, deaf=True) as rig:
        engine.faults.events_lost = True
        await rig.declare(_pre("true"))
        first = await rig.running()
        engine.die(first.record.container_id, 0)
        await rig.command("stop")
        await rig.until(lambda: (i := rig.instance()) and not i.running)
        assert "exec" not in await _acts(rig)
