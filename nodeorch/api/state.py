"""What the API needs of the daemon, as a protocol."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from nodeorch.meters import Meters
from nodeorch.model.actions import Plan
from nodeorch.model.change import Asked
from nodeorch.model.facts import Command, Fact
from nodeorch.model.view import FieldChange, HistoryView, RunView, StatsView, WorkloadView
from nodeorch.model.workload import Workload
from nodeorch.model.world import World
from nodeorch.ports import Clock, Engine, Entry, Store
from nodeorch.spec.settings import Settings

Subscription = AbstractAsyncContextManager["asyncio.Queue[Entry | None]"]
"""New journal entries as they are stored. Bounded: a reader too slow finds None and no more."""


class Supervisor(Protocol):
    @property
    def world(self) -> World:
        """The current world, frozen."""

    @property
    def plan(self) -> Plan:
        """The plan last computed."""

    @property
    def meters(self) -> Meters: ...

    @property
    def settings(self) -> Settings: ...

    @property
    def clock(self) -> Clock: ...

    @property
    def store(self) -> Store: ...

    @property
    def engine(self) -> Engine: ...

    def plan_for(self, world: World) -> Plan:
        """What would be done in that world; changes nothing."""

    def absorb(self, world: World, fact: Fact) -> World:
        """That world after the fact; changes nothing."""

    def refusal(self, world: World, command: Command) -> str | None:
        """Why the command cannot be obeyed in that world; None when it can."""

    def next_change(self) -> int:
        """A number for a change, given once."""

    async def submit(self, fact: Fact) -> None:
        """Return when absorbed and durably saved; raises CommandRefused, StoreError."""

    async def reload(
        self,
        *,
        deleted: tuple[str, ...] = (),
        forced: tuple[str, ...] = (),
        applied: tuple[str, ...] = (),
        by: str = "",
        change: Asked | None = None,
    ) -> None:
        """Read the workloads directory now; return when absorbed and saved; raises StoreError."""

    def subscribe(self) -> Subscription: ...

    async def until(self, predicate: Callable[[World], bool], timeout: float) -> bool:
        """Wait for a world that satisfies it, ``timeout`` seconds at most; whether it came."""

    def status(self, name: str | None = None) -> list[WorkloadView]:
        """All workloads, or the named one; none when there is no such."""

    def runs(self, name: str) -> list[RunView]:
        """A job's runs, newest first."""

    def status_json(self) -> bytes:
        """``status()`` encoded, kept between changes of the world."""

    def stats(self) -> StatsView:
        """What all instances use now. Asking makes the next samples come sooner."""

    def history(self, name: str) -> HistoryView:
        """The last hour of a workload's instances, also of those that are gone."""

    def why_now(self, name: str) -> list[str]:
        """What is decided now, and what is decided not to be done, as sentences."""

    async def take(self, name: str, by: str, force: bool = False) -> str:
        """Make this host the home of a workload of another one; what was done, in words.

        Raises CommandRefused (see decide/fleet/graves.py:take_refusal), PeerError, StoreError.
        """

    async def leave(self, host: str, by: str) -> str:
        """Remove a host from the fleet for good, this one too; what was done, in words.

        Raises CommandRefused (leave_refusal there), MembersError, PeerError, StoreError.
        """

    async def keys(self, verb: str, key: str) -> Mapping[str, int]:
        """As fleetports.Members.keys. Raises CommandRefused where there is no fleet,
        MembersError."""

    def diff(self, before: Workload | None, after: Workload | None) -> list[FieldChange]: ...
