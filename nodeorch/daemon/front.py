"""What the API may see and ask: one face over the loop, the spec files and the samples."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager

import msgspec
from msgspec.structs import replace

from nodeorch.daemon.fleetdesk import FleetDesk
from nodeorch.daemon.reread import tidy
from nodeorch.daemon.specfiles import SpecFiles
from nodeorch.daemon.stats import Stats
from nodeorch.daemon.supervisor import Supervisor
from nodeorch.decide.jobview import run_views
from nodeorch.decide.status import Sample, Surroundings, workload_view
from nodeorch.decide.template import diff
from nodeorch.meters import Meters
from nodeorch.model.actions import Hold, Plan
from nodeorch.model.change import Asked
from nodeorch.model.facts import Fact
from nodeorch.model.view import HistoryView, RunView, StatsView, WorkloadView
from nodeorch.model.world import World
from nodeorch.ports import Clock, Engine, Entry, Prober, Shelf, Store, StoreError
from nodeorch.spec.settings import Settings

FRESH = 0.25
"""Seconds for which an encoded status may be served again while the world has not changed."""


class Front:
    def __init__(
        self,
        supervisor: Supervisor,
        settings: Settings,
        files: SpecFiles,
        engine: Engine,
        prober: Prober,
        samples: Callable[[], Mapping[str, Sample]],
        stats: Stats,
        meters: Meters,
        shelf: Shelf,
        desk: FleetDesk,
    ) -> None:
        self.settings = settings
        self.engine = engine
        self.meters = meters
        self.plan_for = supervisor.plan_for
        self.absorb = supervisor.absorb
        self.refusal = supervisor.refusal
        self.until = supervisor.until
        self.next_change = supervisor.next_change
        self.diff = diff
        self.leave = desk.leave
        self.keys = desk.keys
        self._desk = desk
        self._supervisor = supervisor
        self._files = files
        self._prober = prober
        self._samples = samples
        self._stats = stats
        self._shelf = shelf
        self._tidied: dict[str, int] = {}
        """Workload → its latest generation when its config files were last looked through."""
        self._reading = asyncio.Lock()
        self._encoded: tuple[World, float, bytes] | None = None

    @property
    def world(self) -> World:
        return self._supervisor.world

    @property
    def plan(self) -> Plan:
        return self._supervisor.plan

    @property
    def clock(self) -> Clock:
        return self._supervisor.clock

    @property
    def store(self) -> Store:
        return self._supervisor.store

    def subscribe(self) -> AbstractAsyncContextManager[asyncio.Queue[Entry | None]]:
        return self._supervisor.subscribe()

    async def submit(self, fact: Fact) -> None:
        await self._supervisor.submit(fact)

    async def reload(
        self,
        *,
        deleted: tuple[str, ...] = (),
        forced: tuple[str, ...] = (),
        applied: tuple[str, ...] = (),
        by: str = "",
        change: Asked | None = None,
        taken: tuple[str, ...] = (),
    ) -> None:
        """Read the workloads directory now; absorbed and saved when it returns."""
        async with self._reading:  # passes are absorbed in the order in which they were read
            seen = await asyncio.to_thread(self._files.read)
            said = replace(
                seen,
                deleted=deleted,
                forced=forced,
                applied=applied,
                by=by,
                change=change,
                taken=taken,
            )
            await self._supervisor.submit(said)
            await self._tidy()

    async def take(self, name: str, by: str, force: bool = False) -> str:
        return await self._desk.take(name, by, force, self.reload)

    async def _tidy(self) -> None:
        """Config files that no generation needs any more."""
        latest = {name: state.record.latest for name, state in self.world.workloads.items()}
        changed = [name for name, number in latest.items() if self._tidied.get(name) != number]
        with contextlib.suppress(OSError, StoreError):  # another pass follows
            await tidy(self._shelf, self.store, self.world, changed)
            self._tidied = latest

    def status(self, name: str | None = None) -> list[WorkloadView]:
        """All workloads by name, or the named one; none when there is no such."""
        world, around = self.world, self._around()
        if name is not None:
            state = world.workloads.get(name)
            return [workload_view(world, state, around)] if state else []
        return [workload_view(world, world.workloads[n], around) for n in sorted(world.workloads)]

    def status_json(self) -> bytes:
        now, kept = self.clock.now(), self._encoded
        if kept is not None and kept[0] is self.world and now - kept[1] < FRESH:
            return kept[2]
        encoded = msgspec.json.encode(self.status())
        self._encoded = (self.world, now, encoded)
        return encoded

    def runs(self, name: str) -> list[RunView]:
        state = self.world.workloads.get(name)
        return run_views(self.world, state, self._around()) if state else []

    def stats(self) -> StatsView:
        return self._stats.live(self.world, self._around())

    def history(self, name: str) -> HistoryView:
        return self._stats.hour(self.world, name, self._around())

    def why_now(self, name: str) -> list[str]:
        """What is under way and what is decided not to be done, as sentences."""
        now = self.clock.now()
        lines = [
            f"{verb} {key.partition('#')[0]}: under way"
            for key, verb in self.world.busy.items()
            if _about(key, name)
        ]
        for hold in self.plan.holds:
            if hold.workload == name:
                lines.append(_held(hold, now))
        return lines

    def _around(self) -> Surroundings:
        return Surroundings(
            now=self.clock.now(),
            wall=self.clock.wall(),
            samples=self._samples(),
            probes=self._prober.results(),
            holds={hold.instance or hold.workload: hold for hold in self.plan.holds},
        )


def _about(key: str, name: str) -> bool:
    return key.partition(".")[0].partition("#")[0] == name


def _held(hold: Hold, now: float) -> str:
    who = f"{hold.instance}: " if hold.instance else ""
    wait = f"; looked at again in {hold.until - now:.1f}s" if hold.until else ""
    return f"{who}{hold.why.words}{wait}"
