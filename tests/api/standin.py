"""A stand-in for the daemon: the real core, an engine that obeys at a word, a store in memory."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from nodeorch.daemon.history import History
from nodeorch.daemon.stats import Stats
from nodeorch.decide.absorb import absorb
from nodeorch.decide.commands import refusal
from nodeorch.decide.jobview import run_views
from nodeorch.decide.plan import plan
from nodeorch.decide.results import begin
from nodeorch.decide.status import Surroundings, workload_view
from nodeorch.decide.template import diff
from nodeorch.model import actions
from nodeorch.model.actions import Action, Plan
from nodeorch.model.change import Asked
from nodeorch.model.facts import Command, Done, Fact, SpecsSeen
from nodeorch.model.view import (
    FieldChange,
    HistoryView,
    HostStats,
    Pressure,
    RunView,
    StatsView,
    WorkloadView,
)
from nodeorch.model.workload import Workload
from nodeorch.model.world import (
    Code,
    Container,
    Engine,
    Limits,
    Node,
    State,
    Why,
    World,
)
from nodeorch.ports import (
    CommandRefused,
    Entry,
    StoreError,
)
from nodeorch.spec.load import load_text
from nodeorch.spec.settings import PathSettings, Settings
from tests.api.nought import WALL, StandInClock, no_meters
from tests.api.pretended import MemoryStore, ScriptedEngine

FOREVER = 1e12
QUEUE = 16


class Sample(Struct, frozen=True):
    memory: int | None = None
    cpu_percent: float | None = None
    pressure: Pressure = Pressure()
    at: float = 0.0


HOST = HostStats(2, 4 << 30, 1 << 30, Pressure(cpu=52.8, memory=0.0, io=3.21))


class StandIn:
    def __init__(self, directory: Path) -> None:
        self.settings = Settings(paths=PathSettings(workloads=str(directory)))
        self.clock = StandInClock()
        self.store = MemoryStore()
        self.engine = ScriptedEngine()
        self.plan = Plan()
        self.meters = no_meters(self.clock.now())
        self.samples: dict[str, Sample] = {}
        self.probes: dict[Any, Any] = {}
        self.looks = 0
        self.past = History()
        self._stats = Stats(self._looked, lambda: HOST, self.past)
        self.reject: dict[str, str] = {}
        self.stall: asyncio.Event | None = None
        engine = Engine(answering=True, words="answering", listed_at=1.0, list_due=FOREVER)
        node = Node(name="h1", memory=8 << 30)
        self.world = World(node=node, engine=engine, wall_ahead=WALL)
        self._changed = asyncio.Event()
        self._subscribers: set[asyncio.Queue[Entry | None]] = set()
        self._directory = directory
        self._containers = 0
        self._numbers = 0
        self.waiting = 0
        """How many wait for a world."""
        self.keys_of: dict[str, int] = {}
        """Key of the gossip → how many hosts have it."""
        self.fails: Exception | None = None
        """What the next request to Serf or to another host comes to."""
        self.wished: list[tuple[object, ...]] = []
        """What was asked of the fleet."""

    # what the API asks

    def plan_for(self, world: World) -> Plan:
        return plan(world, self.clock.now())

    def absorb(self, world: World, fact: Fact) -> World:
        return replace(absorb(world, fact, self.clock.now()), notes=())

    def refusal(self, world: World, command: Command) -> str | None:
        return refusal(world, command)

    def next_change(self) -> int:
        self._numbers += 1
        return self._numbers

    async def submit(self, fact: Fact) -> None:
        if isinstance(fact, Command) and (words := refusal(self.world, fact)):
            raise CommandRefused(words)
        if self.stall is not None:
            await self.stall.wait()
        if self.store.broken is not None:
            raise StoreError(self.store.broken)
        self.tell(fact)

    async def reload(
        self,
        *,
        deleted: tuple[str, ...] = (),
        forced: tuple[str, ...] = (),
        applied: tuple[str, ...] = (),
        by: str = "",
        change: Asked | None = None,
    ) -> None:
        workloads = {}
        for path in self._directory.glob("[!.]*.toml"):
            workload, problems = load_text(path.read_bytes(), str(path), stem=path.stem)
            assert workload is not None, problems
            workloads[path.stem] = workload
        rejected = {k: v for k, v in self.reject.items() if k in workloads}
        for name in rejected:
            del workloads[name]
        await self.submit(
            SpecsSeen(
                workloads,
                rejected,
                deleted=deleted,
                forced=forced,
                applied=applied,
                by=by,
                change=change,
            )
        )

    @contextlib.asynccontextmanager
    async def subscribe(self) -> AsyncIterator[asyncio.Queue[Entry | None]]:
        queue: asyncio.Queue[Entry | None] = asyncio.Queue(QUEUE + 1)
        self._subscribers.add(queue)
        try:
            yield queue
        finally:
            self._subscribers.discard(queue)

    async def until(self, predicate: Callable[[World], bool], timeout: float) -> bool:
        self.waiting += 1
        try:
            async with asyncio.timeout(timeout):
                while not predicate(self.world):
                    self._changed.clear()
                    await self._changed.wait()
                return True
        except TimeoutError:
            return False
        finally:
            self.waiting -= 1

    def runs(self, name: str) -> list[RunView]:
        around = Surroundings(now=self.clock.now(), wall=self.clock.wall())
        state = self.world.workloads.get(name)
        return run_views(self.world, state, around) if state else []

    def stats(self) -> StatsView:
        return self._stats.live(self.world, self._around())

    def history(self, name: str) -> HistoryView:
        return self._stats.hour(self.world, name, self._around())

    def _looked(self) -> None:
        self.looks += 1

    def _around(self) -> Surroundings:
        return Surroundings(
            now=self.clock.now(),
            wall=self.clock.wall(),
            samples=self.samples,
            probes=self.probes,
            holds={h.instance or h.workload: h for h in self.plan.holds},
        )

    def status(self, name: str | None = None) -> list[WorkloadView]:
        around = self._around()
        return [
            workload_view(self.world, state, around)
            for key, state in sorted(self.world.workloads.items())
            if name in (None, key)
        ]

    def status_json(self) -> bytes:
        return msgspec.json.encode(self.status())

    def why_now(self, name: str) -> list[str]:
        return [h.why.words for h in self.plan.holds if h.workload == name]

    async def take(self, name: str, by: str, force: bool = False) -> str:
        self._wish("take", name, by, force)
        return f"{name}: its home is h1"

    async def leave(self, host: str, by: str) -> str:
        self._wish("leave", host, by)
        return f"{host} has left"

    async def keys(self, verb: str, key: str) -> dict[str, int]:
        self._wish(verb, key)
        return self.keys_of if verb == "list" else {}

    def _wish(self, *words: object) -> None:
        if self.fails is not None:
            raise self.fails
        self.wished.append(words)

    def diff(self, before: Workload | None, after: Workload | None) -> list[FieldChange]:
        return diff(before, after)

    # what tests do

    def tell(self, fact: Fact) -> None:
        self.put(absorb(self.world, fact, self.clock.now()))

    def put(self, world: World) -> None:
        """A new world: its notes go to the journal, its versions to the store."""
        for note in world.notes:
            self.note(note.why, note.workload, note.instance, note.details)
        for name, state in world.workloads.items():
            kept = self.store.kept.setdefault(name, [])
            target = state.record.target
            if target.generation not in [version.generation for _, version in kept]:
                kept.insert(0, (self.clock.wall(), target))
        self.world = replace(world, notes=())
        self.plan = plan(self.world, self.clock.now())
        self._changed.set()

    def note(
        self,
        why: Why,
        workload: str = "",
        instance: str = "",
        details: dict[str, str | int | float | bool | None] | None = None,
    ) -> None:
        entry = Entry(
            seq=len(self.store.journal) + 1,
            wall=self.clock.wall(),
            why=why,
            workload=workload,
            instance=instance,
            details=details or {},
        )
        self.store.journal.append(entry)
        for queue in list(self._subscribers):
            if queue.qsize() >= QUEUE:
                queue.put_nowait(None)
                self._subscribers.discard(queue)
            else:
                queue.put_nowait(entry)

    def say(self, words: str, workload: str = "") -> None:
        self.note(Why(code=Code.STARTED, words=words), workload)

    def declare(self, *texts: str) -> None:
        """Put specs into the directory and accept them."""
        workloads = {n: s.workload for n, s in self.world.workloads.items()}
        for text in texts:
            workload, problems = load_text(text, "spec.toml")
            assert workload is not None, problems
            (self._directory / f"{workload.name}.toml").write_text(text)
            workloads[workload.name] = workload
        self.tell(SpecsSeen(workloads))

    def obey(self) -> None:
        """The engine does all that is planned, at once."""
        for _ in range(50):
            pending = plan(self.world, self.clock.now()).actions
            if not pending:
                return
            for action in pending:
                self.put(begin(self.world, action, self.clock.now()))
                self.tell(self._done(action))
        raise AssertionError(f"no end of actions: {pending}")

    def _done(self, action: Action) -> Done:
        if isinstance(action, actions.EnsureImage):
            return Done(action, image_id="i" * 64, image_digest="sha256:" + "d" * 64)
        if isinstance(action, actions.RemoveContainer):
            return Done(action)
        if isinstance(action, actions.UpdateLimits):
            return Done(action, limits=Limits(memory=action.resources.memory))
        state = State.CREATED
        if isinstance(action, actions.CreateContainer):
            self._containers += 1
            container_id = f"{self._containers:064x}"
        else:
            container_id = action.container_id
        pid = 0
        if isinstance(action, actions.StartContainer):
            state, pid = State.RUNNING, 4000 + self._containers
        elif isinstance(action, actions.StopContainer):
            state = State.EXITED
        container = Container(
            id=container_id,
            name=action.key,
            state=state,
            pid=pid,
            started_wall=self.clock.wall() - 192.0 if pid else 0.0,
            started=self.clock.now() - 192.0 if pid else 0.0,
            address="10.88.0.2" if pid else "",
            sealed=True,
        )
        return Done(action, container=container)
