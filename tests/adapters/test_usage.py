"""The sampler of cgroups: everything in its period, a few at a time, and only news as facts."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from nodeorch.adapters import usage
from nodeorch.adapters.cgroup import CgroupReader
from nodeorch.adapters.clock import SystemClock
from nodeorch.adapters.usage import Sample, UsageSampler
from nodeorch.model.facts import Fact, LimitsSeen, OomSeen
from nodeorch.model.view import Pressure
from nodeorch.model.world import Limits
from nodeorch.ports import Usage
from tests.lab.wait import async_wait_for


class FakeCgroups:
    """Counts the reads; what it tells can be changed by id."""

    def __init__(self) -> None:
        self.reads: Counter[tuple[str, str]] = Counter()
        self.kills: dict[str, int] = {}
        self.memory: dict[str, int] = {}
        self.cpu = 0.0
        self.at = 100.0
        self.stalled: dict[str, float] = {}
        self.gone: set[str] = set()
        self.known: set[str] = set()
        """Like the real one, it learns from a pid where a container's cgroup is."""

    def limits(self, pid: int, container_id: str) -> Limits | None:
        self.reads["limits", container_id] += 1
        self.known.add(container_id)
        if container_id in self.gone:
            return None
        return Limits(memory=self.memory.get(container_id, 64 << 20))

    def usage(self, pid: int, container_id: str) -> Usage | None:
        self.reads["usage", container_id] += 1
        if container_id in self.gone:
            return None
        return Usage(1000, self.cpu, 0, self.at, dict(self.stalled))

    def oom_kills(self, container_id: str) -> int | None:
        self.reads["oom", container_id] += 1
        lost = container_id in self.gone or container_id not in self.known
        return None if lost else self.kills.get(container_id, 0)


class FakeClock:
    def __init__(self) -> None:
        self.step = 0.0
        self.time = 0.0

    def now(self) -> float:
        self.time += self.step
        return self.time

    def wall(self) -> float:
        return 0.0


class Bench:
    """A sampler whose slices are made by hand."""

    def __init__(self) -> None:
        self.cgroups, self.clock = FakeCgroups(), FakeClock()
        self.facts: list[Fact] = []
        self.told: list[tuple[str, Sample]] = []
        self.sampler = UsageSampler(
            self.cgroups, self.clock, self.facts.append, lambda *told: self.told.append(told)
        )
        self.sampler.close()

    def slices(self, number: int) -> list[Fact]:
        """The facts of so many slices."""
        before = len(self.facts)
        for _ in range(number):
            self.sampler._slice()
            self.sampler.close()
        return self.facts[before:]

    def period(self, seconds: float) -> list[Fact]:
        return self.slices(round(seconds / usage.SLICE))


@pytest.fixture
async def bench() -> Bench:
    return Bench()


async def test_a_new_instance_is_read_at_once_and_its_limits_told(bench: Bench) -> None:
    bench.sampler.sync({"web.0.g1": ("a", 10)})
    assert bench.slices(1) == [LimitsSeen("web.0.g1", "a", Limits(memory=64 << 20))]
    sample = bench.sampler.samples()["web.0.g1"]
    assert (sample.memory, sample.memory_limit, sample.cpu_percent) == (1000, 64 << 20, None)


async def test_each_is_read_in_its_period_and_the_work_is_even(bench: Bench) -> None:
    names = {f"w{n}": (f"id{n}", n + 1) for n in range(100)}
    bench.sampler.sync(names)
    bench.slices(1)
    bench.cgroups.reads.clear()
    most = 0
    for _ in range(120):  # 60 s
        before = bench.cgroups.reads.total()
        bench.slices(1)
        most = max(most, bench.cgroups.reads.total() - before)
    for container_id, _ in names.values():
        assert 5 <= bench.cgroups.reads["usage", container_id] <= 7
        assert 29 <= bench.cgroups.reads["oom", container_id] <= 31
        assert 1 <= bench.cgroups.reads["limits", container_id] <= 3
    assert most <= 100 * (0.5 / 2 + 0.5 / 10 + 0.5 / 30) + 3


async def test_a_slice_ends_when_its_time_is_up(bench: Bench) -> None:
    bench.sampler.sync({f"w{n}": (f"id{n}", n + 1) for n in range(100)})
    bench.clock.step = usage.BUDGET / 10
    bench.slices(1)
    assert 5 <= bench.cgroups.reads.total() <= 10
    bench.clock.step = 0
    bench.slices(1)
    assert len(bench.sampler.samples()) == 100


async def test_cpu_percent_is_of_the_time_between_two_samples(bench: Bench) -> None:
    bench.sampler.sync({"web": ("a", 10)})
    bench.slices(1)
    bench.cgroups.cpu, bench.cgroups.at = 5.0, 110.0
    bench.period(10)
    assert bench.sampler.samples()["web"].cpu_percent == 50.0


async def test_pressure_is_of_the_time_between_two_samples(bench: Bench) -> None:
    bench.cgroups.stalled = {"cpu": 3.0, "memory": 7.0}
    bench.sampler.sync({"web": ("a", 10)})
    bench.slices(1)
    assert bench.sampler.samples()["web"].pressure == Pressure()
    bench.cgroups.stalled = {"cpu": 5.5, "memory": 7.0, "io": 1.0}
    bench.cgroups.at = 110.0
    bench.period(10)
    assert bench.sampler.samples()["web"].pressure == Pressure(cpu=25.0, memory=0.0)
    bench.period(10)  # no time has passed: what was known stays
    assert bench.sampler.samples()["web"].pressure == Pressure(cpu=25.0, memory=0.0)
    # Another run counts from nothing.
    bench.cgroups.stalled, bench.cgroups.at = {"cpu": 0.1}, 120.0
    bench.sampler.sync({"web": ("a", 77)})
    bench.slices(1)
    assert bench.sampler.samples()["web"].pressure == Pressure()


async def test_each_sample_is_recorded(bench: Bench) -> None:
    bench.sampler.sync({"web": ("a", 10), "db": ("b", 11)})
    bench.period(20)
    reads = bench.cgroups.reads
    told = Counter(name for name, _ in bench.told)
    assert told == {"web": reads["usage", "a"], "db": reads["usage", "b"]}
    assert min(told.values()) >= 2
    assert bench.told[-1][1] in bench.sampler.samples().values()


async def test_while_somebody_looks_samples_come_sooner(bench: Bench) -> None:
    bench.sampler.sync({"web": ("a", 10)})
    bench.slices(1)
    bench.sampler.watched()
    bench.cgroups.reads.clear()
    bench.period(10)
    assert bench.cgroups.reads["usage", "a"] == 5
    bench.clock.time += usage.WATCHED  # nobody looked again
    bench.cgroups.reads.clear()
    bench.period(20)
    assert bench.cgroups.reads["usage", "a"] == 2


async def test_oom_kills_are_told_when_the_count_changes(bench: Bench) -> None:
    bench.cgroups.kills["adopted"] = 2
    bench.sampler.sync({"web": ("a", 10), "old": ("adopted", 11)})
    first = [fact for fact in bench.slices(1) if isinstance(fact, OomSeen)]
    assert first == [OomSeen("old", "adopted", 2)]
    bench.cgroups.kills["a"] = 1
    assert bench.period(2) == [OomSeen("web", "a", 1)]
    assert bench.period(4) == []
    # Another run of the same container counts from nothing.
    bench.cgroups.kills["a"] = 1
    bench.sampler.sync({"web": ("a", 77), "old": ("adopted", 11)})
    assert OomSeen("web", "a", 1) in bench.slices(1)


async def test_limits_are_told_when_they_change_and_now_and_then(bench: Bench) -> None:
    bench.sampler.sync({"web": ("a", 10)})
    bench.slices(1)
    assert bench.period(60) == []
    bench.cgroups.memory["a"] = 32 << 20
    assert bench.period(30) == [LimitsSeen("web", "a", Limits(memory=32 << 20))]
    told = bench.period(300)
    assert told == [LimitsSeen("web", "a", Limits(memory=32 << 20))]


async def test_what_is_gone_tells_nothing_and_what_is_unwanted_is_not_read(bench: Bench) -> None:
    bench.cgroups.gone.add("a")
    bench.sampler.sync({"web": ("a", 10), "db": ("b", 11)})
    assert [fact.container_id for fact in bench.slices(1) if isinstance(fact, LimitsSeen)] == ["b"]
    bench.sampler.sync({"db": ("b", 11)})
    bench.cgroups.reads.clear()
    bench.period(30)
    assert {container_id for _, container_id in bench.cgroups.reads} == {"b"}
    bench.sampler.sync({})
    assert bench.sampler.samples() == {}


async def test_an_unchanged_sync_disturbs_nothing(bench: Bench) -> None:
    wanted = {f"w{n}": (f"id{n}", n + 1) for n in range(10)}
    bench.sampler.sync(wanted)
    bench.slices(1)
    bench.cgroups.reads.clear()
    for _ in range(20):  # 10 s
        bench.sampler.sync(dict(wanted))
        bench.slices(1)
    assert {bench.cgroups.reads["usage", f"id{n}"] for n in range(10)} == {1}


async def test_by_itself_on_the_loop_and_real_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The real reader on a tree of cgroup v2 files, driven by the loop's timer."""
    monkeypatch.setattr(usage, "SLICE", 0.02)
    container_id, pid = "f" * 64, 4242
    write = _tree(tmp_path, container_id, pid)
    facts: list[Fact] = []
    reader = CgroupReader(str(tmp_path / "cgroup"), str(tmp_path / "proc"))
    sampler = UsageSampler(reader, SystemClock(), facts.append)
    sampler.sync({"web.0.g1": (container_id, pid)})
    await async_wait_for(lambda: "web.0.g1" in sampler.samples())
    assert [type(fact) for fact in facts] == [LimitsSeen]
    write("memory.events", "oom 1\noom_kill 3\n")
    await async_wait_for(lambda: OomSeen("web.0.g1", container_id, 3) in facts)
    sampler.close()


def _tree(root: Path, container_id: str, pid: int) -> Callable[[str, str], None]:
    where = root / "cgroup" / "machine" / f"libpod-{container_id}"
    os.makedirs(where)
    os.makedirs(root / "proc" / str(pid))
    (root / "cgroup" / "cgroup.controllers").write_text("cpu memory pids\n")
    (root / "proc" / str(pid) / "cgroup").write_text(f"0::/machine/libpod-{container_id}\n")

    def write(name: str, text: str) -> None:
        (where / name).write_text(text)

    write("memory.max", "67108864\n")
    write("memory.current", "5000\n")
    write("memory.stat", "inactive_file 1000\n")
    write("cpu.stat", "usage_usec 1000\n")
    write("memory.events", "oom 0\noom_kill 0\n")
    return write


def test_the_clock_is_the_one_that_runs_while_the_host_sleeps() -> None:
    before = time.clock_gettime(time.CLOCK_BOOTTIME)
    now = SystemClock().now()
    assert before <= now <= time.clock_gettime(time.CLOCK_BOOTTIME)
    assert abs(SystemClock().wall() - time.time()) < 60
