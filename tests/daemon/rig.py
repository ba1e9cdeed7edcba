"""The real loop, executor and store, with a scripted engine and a clock that can be put forward."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

from msgspec.structs import replace

from nodeorch.adapters.probes import HookCaller
from nodeorch.adapters.seal import Seal
from nodeorch.adapters.shelf import FileShelf
from nodeorch.adapters.sqlite import SqliteStore
from nodeorch.daemon.enginelink import EngineLink
from nodeorch.daemon.executor import Executor
from nodeorch.daemon.supervisor import Supervisor
from nodeorch.daemon.watches import Watches
from nodeorch.files import read_regular
from nodeorch.meters import ProbeMeter
from nodeorch.model.facts import Command, Fact, ProbeSeen, SpecsSeen, Tick
from nodeorch.model.workload import Workload
from nodeorch.model.world import Instance, Node, World
from nodeorch.ports import ProbeResult, ProbeTarget, Store
from tests.decide.story import workload
from tests.fakes import FakeCgroups, FakeDeaths, FakeEngine
from tests.lab.wait import async_wait_for

IMAGE = "localhost/bb:1"


class RigClock:
    def __init__(self) -> None:
        self.ahead = 0.0

    def now(self) -> float:
        return time.monotonic() + self.ahead

    def wall(self) -> float:
        return time.time()


class RigProber:
    """Remembers what is to be probed; a test gives the verdicts."""

    def __init__(self) -> None:
        self.wanted: dict[tuple[str, str], ProbeTarget] = {}
        self.meter = ProbeMeter()

    def sync(self, wanted: Mapping[tuple[str, str], ProbeTarget]) -> None:
        self.wanted = dict(wanted)

    def results(self) -> Mapping[tuple[str, str], ProbeResult]:
        return {}

    def keep(self, workloads: Iterable[str]) -> None:
        self.meter.keep(workloads)

    async def close(self) -> None:
        self.wanted = {}


class NoUsages:
    def sync(self, wanted: Mapping[str, tuple[str, int]]) -> None:
        pass


def spec(name: str = "web", **parts: object) -> Workload:
    return workload(name, IMAGE, **parts)


class Rig:
    def __init__(self, state: Path, engine: FakeEngine, store: Store, *, deaf: bool) -> None:
        self.engine = engine
        self.clock = RigClock()
        self.prober = RigProber()
        deaths = FakeDeaths(lambda fact: None if deaf else self.loop.put(fact), engine)
        cgroups = self.cgroups = FakeCgroups(engine, self.clock.now)
        world = World(node=Node(name="h1", boot_id="boot-1", memory=1 << 40))
        self.loop = Supervisor(world, store, self.clock, Watches(deaths, self.prober, NoUsages()))
        hooks = HookCaller(engine.exec, read_regular)
        self._executor = Executor(
            engine,
            cgroups,
            deaths,
            Seal(state),
            hooks,
            FileShelf(state / "files", read_regular),
            self.clock,
            self.loop.put,
        )
        self._link = EngineLink(engine, self.loop.put)
        self.loop.on_silence = self._link.doubt
        self._files: dict[str, Workload] = {}

    async def run(self) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(self.loop.run(self._executor))
            group.create_task(self._link.run())

    async def declare(self, *specs: Workload) -> None:
        self._files |= {spec.name: spec for spec in specs}
        await self.tell(SpecsSeen(workloads=dict(self._files)))

    async def tell(self, fact: Fact) -> None:
        await self.loop.submit(fact)

    async def command(self, verb: str, name: str = "web") -> None:
        await self.tell(Command(verb=verb, workload=name, by="a test"))

    def pass_time(self, seconds: float) -> None:
        self.clock.ahead += seconds
        self.loop.put(Tick())

    def probed(self, name: str, kind: str, passed: bool, words: str = "") -> None:
        """A verdict for a probe that the loop asked for."""
        target = self.prober.wanted[name, kind]
        self.loop.put(ProbeSeen(name, target.container_id, kind, passed, words))

    def instance(self, name: str = "web.0.g1") -> Instance | None:
        state = self.loop.world.workloads.get(name.partition(".")[0])
        return state.instances.get(name) if state else None

    async def until(self, cond: Callable[[], object], deadline: float = 10.0) -> None:
        try:
            await async_wait_for(cond, deadline)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.engine.calls}\n{self.loop.world}") from None

    async def running(self, name: str = "web.0.g1") -> Instance:
        await self.until(lambda: (i := self.instance(name)) and i.running and i.pid)
        found = self.instance(name)
        assert found is not None
        return found

    def calls(self, operation: str) -> list[str]:
        return [name for done, name in self.engine.calls if done == operation]

    async def words(self) -> list[str]:
        return [f"{e.why.code}: {e.why.words}" for e in await self.loop.store.entries()]


@asynccontextmanager
async def rigged(
    state: Path, engine: FakeEngine | None = None, *, deaf: bool = False, store: Store | None = None
) -> AsyncIterator[Rig]:
    """A loop on the state directory. ``deaf``: no word of deaths comes from the kernel."""
    own = SqliteStore(state / "nodeorch.db")
    await own.open()
    rig = Rig(state, engine or FakeEngine(), store or own, deaf=deaf)
    await rig.loop.load()
    task = asyncio.create_task(rig.run())
    try:
        yield rig
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        await own.close()


def without(name: str) -> Callable[..., tuple[object, ...]]:
    """A listing's lie: this container is not there."""
    return lambda containers: tuple(c for c in containers if c.name != name)


__all__ = ["Rig", "replace", "rigged", "spec", "without"]
