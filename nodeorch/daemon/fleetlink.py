"""Keeps the outside of the fleet in step with the world: what Serf and the peers are told.

Level-triggered, after each step of the loop. What is the same object as before costs nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

from nodeorch.decide.fleet.copies import report
from nodeorch.decide.status import Sample
from nodeorch.fleetports import FleetOut, Members, Peers
from nodeorch.model.facts import QuietSeen
from nodeorch.model.fleet import Fleet, Report, Stamp, View
from nodeorch.model.placing import Failback
from nodeorch.model.world import World
from nodeorch.ports import Clock, Inbox

QUIET = 2.0
"""Percent of one CPU below which a workload has next to nothing to do."""
QUIET_FOR = 60.0
"""Seconds of that, until it counts as idle."""
LOOK = 10.0
"""Seconds between two looks: usage is sampled as often."""


class FleetLink:
    def __init__(self, members: Members, peers: Peers, run: str, port: int, version: str) -> None:
        self._members = members
        self._peers = peers
        self._tags = {"port": str(port), "run": run, "version": version}
        self._seen: Fleet | None = None
        self._reported: World | None = None
        self._report = Report(host="")
        self._views: Mapping[str, View] = {}
        self._of: tuple[object, object] = (None, None)
        self._hosts: Mapping[str, tuple[str, int]] = {}
        self._hints: Mapping[str, Stamp] = {}
        self._refused: frozenset[str] = frozenset()

    def sync(self, world: World) -> None:
        fleet = world.fleet
        self._look_at_fleet(fleet)
        self._look_at_self(world)
        self._peers.sync(
            FleetOut(self._hosts, self._report, self._views, self._hints, self._refused)
        )
        if fleet.view is not None:
            stamp = fleet.view.stamp
            self._tags["view"] = f"{stamp.incarnation}.{stamp.revision}"
            self._members.sync(self._tags)

    def _look_at_fleet(self, fleet: Fleet) -> None:
        if fleet is self._seen:
            return
        before, self._seen = self._seen, fleet
        if self._of != (fleet.views, fleet.view):
            self._of = (fleet.views, fleet.view)
            own = {fleet.me: fleet.view} if fleet.view is not None else {}
            self._views = {**fleet.views, **own}
        if before is None or before.hosts is not fleet.hosts:
            hosts = {h.name: (h.address, h.port) for h in fleet.hosts.values() if h.address}
            hints = {h.name: stamp for h in fleet.hosts.values() if (stamp := _stamp(h.tags))}
            self._hosts = self._hosts if hosts == self._hosts else hosts
            self._hints = self._hints if hints == self._hints else hints
        refused = fleet.record.departed.keys() - fleet.hosts.keys() - {fleet.me}
        if refused != self._refused:
            self._refused = frozenset(refused)

    def _look_at_self(self, world: World) -> None:
        before = self._reported
        if before is not None and before.workloads is world.workloads:
            ours, theirs = world.fleet, before.fleet
            if ours.seats is theirs.seats and ours.idle is theirs.idle:
                return
        self._reported = world
        fresh = report(world)
        self._report = self._report if fresh == self._report else fresh


def _stamp(tags: Mapping[str, str]) -> Stamp | None:
    """Of the view, as a host's tag tells it; None for what is none: others write tags."""
    incarnation, _, revision = tags.get("view", "").partition(".")
    if not (incarnation.isascii() and incarnation.isdigit()):
        return None
    if not (revision.isascii() and revision.isdigit()) or len(incarnation + revision) > 30:
        return None
    return Stamp(int(incarnation), int(revision))


async def watch_quiet(
    world: Callable[[], World],
    samples: Callable[[], Mapping[str, Sample]],
    clock: Clock,
    put: Inbox,
    every: float = LOOK,
) -> None:
    """Tells which copies here have had next to nothing to do; for ever."""
    since: dict[str, float] = {}
    told: frozenset[str] = frozenset()
    while True:
        await asyncio.sleep(every)
        now, seen = clock.now(), world()
        quiet = set(_quiet(seen, samples()))
        since = {name: since.get(name, now) for name in quiet}
        idle = frozenset(name for name, at in since.items() if now - at >= QUIET_FOR)
        if idle != told:
            told = idle
            put(QuietSeen(idle=idle))


def _quiet(world: World, samples: Mapping[str, Sample]) -> list[str]:
    found = []
    for name, state in world.workloads.items():
        if not state.record.home or state.workload.failover.failback is not Failback.IDLE:
            continue
        used = [samples[i].cpu_percent for i in state.instances if i in samples]
        known = [percent for percent in used if percent is not None]
        if known and len(known) == len(state.instances) and sum(known) < QUIET:
            found.append(name)
    return found
