"""The loop against an engine that fails, hangs, lies and forgets, as a test scripts it."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from msgspec.structs import replace

from nodeorch.daemon import executor, supervisor
from nodeorch.model.facts import Hint, SpecsSeen
from nodeorch.model.workload import Backoff, Port, Probe, Probes, Restart, Stop, Tcp
from nodeorch.model.world import Container, State
from nodeorch.ports import Changes, CommandRefused, Entry, StoreError
from tests.daemon.rig import Rig, rigged, spec, without
from tests.fakes import FakeEngine

PORT = (Port(container=80, host=18080),)
QUICK = Restart(backoff=Backoff(initial=0.01, max=0.02))


async def test_declared_runs_and_runs_again_after_a_death(tmp_path: Path) -> None:
    async with rigged(tmp_path) as rig:
        await rig.declare(spec())
        first = await rig.running()
        rig.engine.die(first.record.container_id, 1)
        await rig.until(lambda: (i := rig.instance()) and i.pid not in (0, first.pid))
        assert rig.calls("create") == ["web.0.g1"] and len(rig.calls("start")) == 2
        said = await rig.words()
    assert "Exited: exited with code 1" in said
    assert "Restart: restart: exited with code 1" in said


async def test_a_start_that_fails_is_tried_again_and_told(tmp_path: Path) -> None:
    async with rigged(tmp_path) as rig:
        await rig.declare(spec(restart=QUICK))
        first = await rig.running()
        rig.engine.faults.fail("start", words="port is taken", times=2)
        rig.engine.die(first.record.container_id)
        await rig.until(lambda: (i := rig.instance()) and i.pid not in (0, first.pid))
        assert len(rig.calls("start")) == 4
        assert "Failed: cannot start web.0.g1: port is taken" in await rig.words()


async def test_what_hangs_for_one_workload_delays_no_other(tmp_path: Path) -> None:
    async with rigged(tmp_path) as rig:
        await rig.declare(spec("hung"), spec("web"))
        await rig.running("hung.0.g1")
        web = await rig.running()
        gate = rig.engine.faults.hang("kill")
        await rig.command("restart", "hung")
        await rig.until(lambda: rig.loop.world.busy.get("hung.0.g1") == "stop")
        rig.engine.die(web.record.container_id)
        await rig.until(lambda: (i := rig.instance()) and i.pid not in (0, web.pid))
        assert rig.loop.world.busy == {"hung.0.g1": "stop"}
        gate.set()
        await rig.until(lambda: (i := rig.instance("hung.0.g1")) and i.record.runs == 2)


async def test_a_death_that_nobody_told_is_found_by_the_next_listing(tmp_path: Path) -> None:
    async with rigged(tmp_path, deaf=True) as rig:
        await rig.declare(spec())
        first = await rig.running()
        rig.engine.faults.events_lost = True
        rig.engine.die(first.record.container_id)
        rig.pass_time(31)
        await rig.until(lambda: (i := rig.instance()) and i.pid not in (0, first.pid))


async def test_a_death_is_found_by_an_event_alone(tmp_path: Path) -> None:
    async with rigged(tmp_path, deaf=True) as rig:
        await rig.declare(spec())
        first = await rig.running()
        rig.pass_time(5)  # past the echo of our own act
        listings = len(rig.calls("list"))
        rig.engine.die(first.record.container_id)
        await rig.until(lambda: (i := rig.instance()) and i.pid not in (0, first.pid))
        assert len(rig.calls("list")) == listings


async def test_the_engine_notices_late_what_the_kernel_told(tmp_path: Path) -> None:
    async with rigged(tmp_path) as rig:
        await rig.declare(spec())
        first = await rig.running()
        own = first.record.container_id
        rig.engine.die(own, 3, late=True)
        await rig.until(lambda: rig.calls("inspect").count("web.0.g1") >= 3)
        assert len(rig.calls("start")) == 1
        rig.engine.notice(own)
        await rig.until(lambda: (i := rig.instance()) and i.pid not in (0, first.pid))
        instance = rig.instance()
        assert instance and instance.record.last_exit and instance.record.last_exit.code == 3


async def test_a_listing_that_lies_makes_no_second_container(tmp_path: Path) -> None:
    async with rigged(tmp_path) as rig:
        await rig.declare(spec())
        first = await rig.running()
        rig.engine.faults.lie(without("web.0.g1"))  # type: ignore[arg-type]
        listings = len(rig.calls("list"))
        rig.pass_time(31)
        await rig.until(lambda: len(rig.calls("list")) > listings and not rig.loop.world.busy)
        again = await rig.running()
        assert again.pid == first.pid and rig.calls("create") == ["web.0.g1"]


async def test_an_engine_that_is_down_kills_nothing_and_restarts_nothing(tmp_path: Path) -> None:
    async with rigged(tmp_path) as rig:
        await rig.declare(spec("a"), spec("b"))
        a, b = await rig.running("a.0.g1"), await rig.running("b.0.g1")
        rig.engine.faults.down()
        rig.engine.break_streams()
        rig.engine.die(a.record.container_id)
        await rig.until(lambda: not rig.loop.world.engine.answering)
        kept = rig.instance("b.0.g1")
        assert kept is not None and kept.pid == b.pid and kept.running
        rig.engine.faults.clear()
        await rig.until(lambda: (i := rig.instance("a.0.g1")) and i.pid not in (0, a.pid))
        kept = rig.instance("b.0.g1")
        assert kept is not None and kept.pid == b.pid
        said = await rig.words()
    assert any(words.startswith("EngineDown") for words in said)
    assert any(words.startswith("EngineUp") for words in said)


async def test_a_create_whose_answer_was_lost_is_met_again(tmp_path: Path) -> None:
    """The engine made it and the answer timed out: the listing finds it by its seal."""
    async with rigged(tmp_path) as rig:
        create = rig.engine.create

        async def mute(*args: object, **more: object) -> str:
            await create(*args, **more)  # type: ignore[arg-type]
            rig.engine.create = create  # type: ignore[method-assign]
            await asyncio.sleep(0)
            raise _timeout()

        rig.engine.create = mute  # type: ignore[assignment,method-assign]
        await rig.declare(spec())
        await rig.running()
        assert len(rig.engine.boxes) == 1 and rig.calls("create") == ["web.0.g1"]


def _timeout() -> Exception:
    from nodeorch.ports import EngineError

    return EngineError("timeout", "no answer in 30 s")


async def test_a_new_loop_adopts_what_an_old_one_left(tmp_path: Path) -> None:
    engine = FakeEngine()
    async with rigged(tmp_path, engine) as rig:
        await rig.declare(spec(replicas=2))
        pids = [(await rig.running(f"web.{slot}.g1")).pid for slot in (0, 1)]
    calls = len(engine.calls)
    engine.behave("web", exit_after=None)
    async with rigged(tmp_path, engine) as rig:
        await rig.declare(spec(replicas=2))
        assert [(await rig.running(f"web.{slot}.g1")).pid for slot in (0, 1)] == pids
        acts = {operation for operation, _ in engine.calls[calls:]}
        assert acts <= {"ping", "list", "inspect", "events"}


async def test_a_container_that_bears_our_labels_is_left_alone(tmp_path: Path) -> None:
    """An image can carry labels too: without our seal it is not ours, nor in our way."""
    engine = FakeEngine()
    labels = {
        "nodeorch.workload": "web",
        "nodeorch.slot": "0",
        "nodeorch.generation": "1",
        "nodeorch.template": "t",
        "nodeorch.serial": "1",
        "nodeorch.seal": "forged",
    }
    stranger = engine.add("web.0.g1", labels)
    async with rigged(tmp_path, engine) as rig:
        await rig.declare(spec(), spec("db"))
        await rig.running("db.0.g1")
        await rig.until(lambda: rig.calls("create").count("web.0.g1") >= 2)
        assert engine.boxes[stranger].container.state is State.RUNNING
        assert "web.0.g1" not in rig.calls("kill") + rig.calls("remove") + rig.calls("start")
        said = await rig.words()
    assert any("the name web.0.g1 is in use" in words for words in said)


async def test_the_slow_to_die_are_killed_after_their_grace(tmp_path: Path) -> None:
    engine = FakeEngine()
    engine.behave("web", ignores={"TERM"})
    async with rigged(tmp_path, engine) as rig:
        await rig.declare(spec(stop=Stop(grace=0.05)))
        await rig.running()
        await rig.command("stop")
        await rig.until(lambda: (i := rig.instance()) and i.state is State.EXITED)
        assert rig.calls("kill") == ["web.0.g1", "web.0.g1"]
        last = rig.instance()
        assert last and last.record.last_exit and last.record.last_exit.code == 137


async def test_a_failed_liveness_probe_restarts_and_says_its_words(tmp_path: Path) -> None:
    probe = Probe(tcp=Tcp(port=80))
    async with rigged(tmp_path) as rig:
        await rig.declare(spec(probes=Probes(startup=probe, liveness=probe)))
        first = await rig.running()
        await rig.until(lambda: set(rig.prober.wanted) == {("web.0.g1", "startup")})
        rig.probed("web.0.g1", "startup", True)
        await rig.until(lambda: set(rig.prober.wanted) == {("web.0.g1", "liveness")})
        rig.probed("web.0.g1", "liveness", True)
        rig.probed("web.0.g1", "liveness", False, "connection refused")
        await rig.until(lambda: (i := rig.instance()) and i.pid not in (0, first.pid))
        await rig.until(lambda: set(rig.prober.wanted) == {("web.0.g1", "startup")})
        assert "ProbeFailed: liveness probe failed: connection refused" in await rig.words()


class SickStore:
    """A store that hangs or fails when told to, in front of a real one."""

    def __init__(self) -> None:
        self.gate = asyncio.Event()
        self.gate.set()
        self.trouble = ""
        self.rows: list[Changes] = []

    async def save(self, changes: Changes) -> tuple[Entry, ...]:
        await self.gate.wait()
        if self.trouble:
            raise StoreError(self.trouble)
        self.rows.append(changes)
        return ()

    async def load(self) -> object:
        from nodeorch.ports import Remembered

        return Remembered(desired={}, instances={}, serial=0, rebuilt=False)


async def sick(tmp_path: Path, rig: Rig) -> int:
    await rig.declare(spec())
    return (await rig.running()).pid


async def test_a_disk_that_hangs_holds_up_no_restart_but_every_creation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor, "SLOW_DISK", 0.05)
    store = SickStore()
    async with rigged(tmp_path, store=store) as rig:  # type: ignore[arg-type]
        pid = await sick(tmp_path, rig)
        store.gate.clear()
        declared = asyncio.create_task(rig.declare(spec("new")))
        await rig.until(lambda: rig.loop.world.busy.get("new.0.g1") == "create")
        old = rig.instance()
        assert old is not None
        rig.engine.die(old.record.container_id)  # restarted later than the creation was due
        await rig.until(lambda: (i := rig.instance()) and i.pid not in (0, pid))
        assert "new.0.g1" not in rig.calls("create") and not declared.done()
        store.gate.set()
        await rig.running("new.0.g1")
        await declared


async def test_a_full_disk_refuses_commands_before_they_act(tmp_path: Path) -> None:
    store = SickStore()
    async with rigged(tmp_path, store=store) as rig:  # type: ignore[arg-type]
        pid = await sick(tmp_path, rig)
        store.trouble = "the disk is full"
        old = rig.instance()
        assert old is not None
        rig.engine.die(old.record.container_id)
        await rig.until(lambda: rig.loop.world.store_trouble == "the disk is full")
        await rig.until(lambda: (i := rig.instance()) and i.pid not in (0, pid))
        with pytest.raises(StoreError, match="the disk is full"):
            await rig.command("stop")
        assert not rig.loop.world.workloads["web"].record.stopped
        store.trouble = ""
        rig.pass_time(0)
        await rig.until(lambda: not rig.loop.world.store_trouble)
        await rig.command("stop")
        await rig.until(lambda: (i := rig.instance()) and not i.running)
        notes = [note.why.words for row in store.rows for _, note in row.notes]
        assert "the disk is full" in notes and "the database takes writes again" in notes


async def test_an_update_is_not_condemned_by_a_full_disk(tmp_path: Path) -> None:
    store = SickStore()
    async with rigged(tmp_path, store=store) as rig:  # type: ignore[arg-type]
        await sick(tmp_path, rig)
        store.trouble = "the disk is full"
        with pytest.raises(StoreError):
            await rig.declare(spec(env={"V": "2"}, restart=QUICK))
        for _ in range(4):
            rig.pass_time(1)
            await rig.until(lambda: not rig.loop.world.busy)
        assert rig.loop.world.workloads["web"].record.target.generation == 2
        store.trouble = ""
        await rig.until(lambda: rig.instance("web.0.g2"))
        await rig.running("web.0.g2")


async def test_a_command_that_cannot_be_obeyed_says_why(tmp_path: Path) -> None:
    async with rigged(tmp_path) as rig:
        with pytest.raises(CommandRefused, match="no such workload"):
            await rig.command("stop", "nobody")


async def test_a_successor_on_a_host_port_starts_when_the_port_is_torn_down(tmp_path: Path) -> None:
    async with rigged(tmp_path) as rig:
        await rig.declare(spec(ports=PORT))
        old = (await rig.running()).record.container_id
        plain, torn_down = rig.engine.inspect, False

        async def inspect(container_id: str) -> Container:
            container = await plain(container_id)
            return replace(container, cleaned=torn_down or container_id != old)

        rig.engine.inspect = inspect  # type: ignore[method-assign]
        await rig.declare(spec(ports=PORT, command=("other",)))
        await rig.until(lambda: rig.loop.world.busy.get("web.0.g2") == "start")
        await asyncio.sleep(5 * executor.CLEAN_PAUSE)
        assert ("start", "web.0.g2") not in rig.engine.calls
        torn_down = True
        await rig.until(lambda: ("start", "web.0.g2") in rig.engine.calls)


async def test_a_port_that_is_never_torn_down_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(executor, "CLEAN_PATIENCE", 0.05)
    async with rigged(tmp_path) as rig:
        await rig.declare(spec(ports=PORT))
        old = (await rig.running()).record.container_id
        plain = rig.engine.inspect

        async def inspect(container_id: str) -> Container:
            return replace(await plain(container_id), cleaned=container_id != old)

        rig.engine.inspect = inspect  # type: ignore[method-assign]
        await rig.declare(spec(ports=PORT, command=("other",)))
        await rig.until(lambda: rig.loop.world.workloads["web"].record.failed)
        await rig.running()  # the way back needs no teardown but its own
        said = "\n".join(await rig.words())
    assert "web.0.g1 has ended, and the engine still holds its host port" in said


async def test_what_a_start_that_was_cut_short_left_is_ended_and_told(tmp_path: Path) -> None:
    async with rigged(tmp_path) as rig:
        await rig.declare(spec(restart=QUICK))
        first = await rig.running()
        own = first.record.container_id
        rig.cgroups.left[own] = 2
        rig.engine.faults.fail("start", words="container with given ID already exists")
        rig.engine.die(own)
        await rig.until(lambda: (i := rig.instance()) and i.pid not in (0, first.pid))
        said = "\n".join(await rig.words())
    assert "already exists; killed 2 processes that a start which was cut short had left" in said


async def test_a_removal_leaves_no_process_behind(tmp_path: Path) -> None:
    async with rigged(tmp_path) as rig:
        await rig.declare(spec())
        rig.cgroups.left[(await rig.running()).record.container_id] = 1
        await rig.tell(SpecsSeen(workloads={}, deleted=("web",)))
        await rig.until(lambda: not rig.loop.world.workloads)
    assert rig.cgroups.left == {}


async def test_what_runs_on_of_a_container_that_was_removed_by_hand_is_ended(
    tmp_path: Path,
) -> None:
    async with rigged(tmp_path) as rig:
        await rig.declare(spec())
        first = (await rig.running()).record.container_id
        rig.cgroups.left[first] = 1
        rig.engine.vanish(first)
        await rig.until(lambda: (i := rig.instance()) and i.record.container_id not in ("", first))
        assert rig.cgroups.left == {}


async def test_what_a_listing_does_not_have_any_more_is_swept(tmp_path: Path) -> None:
    async with rigged(tmp_path) as rig:
        await rig.declare(spec())
        own = (await rig.running()).record.container_id
        rig.pass_time(31)
        await rig.until(lambda: rig.cgroups.swept[-1] == {own})


async def test_hints_without_end_are_dropped_and_other_facts_are_not(tmp_path: Path) -> None:
    async with rigged(tmp_path) as rig:
        await rig.declare(spec())
        first = await rig.running()
        for _ in range(2 * supervisor.HINTS):
            rig.loop.put(Hint(container_id=first.record.container_id))
        assert rig.loop._inbox.qsize() <= supervisor.HINTS
        rig.engine.die(first.record.container_id, 1)
        await rig.until(lambda: (i := rig.instance()) and i.pid not in (0, first.pid))
