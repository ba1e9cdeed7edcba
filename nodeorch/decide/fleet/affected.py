"""Which movable workloads a fact can have moved: only those are judged anew.

Compares the fleet before and after a fact. Promise: what is left out would get the seat that it
has. A fact about one workload, or the report of one host, costs no look at all of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from nodeorch.decide.fleet.members import PATIENCE
from nodeorch.model.fleet import Host, Running, movable
from nodeorch.model.world import World


def affected(world: World, before: World, now: float) -> set[str] | None:
    """Names; None: all of them."""
    fleet, was = world.fleet, before.fleet
    if now < fleet.started + PATIENCE or fleet.brake is not was.brake:
        return None
    names = set(_here(world, before))
    room = _desires_differ(world, before)
    if fleet.claims is not was.claims:
        names |= _differ(was.claims, fleet.claims)
    if fleet.hosts is not was.hosts:
        for name in fleet.hosts.keys() | was.hosts.keys():
            old, host = was.hosts.get(name), fleet.hosts.get(name)
            if host is old:
                continue
            ran, runs = _running(old), _running(host)
            if _stands_anew(old, host):
                names |= ran.keys() | runs.keys()
                names |= {n for n, claim in fleet.claims.items() if claim.home == name}
                room = True
            else:
                names |= _differ(ran, runs)
                room = room or _room(old) != _room(host)
    if fleet.hosts is not was.hosts or fleet.views is not was.views:
        names |= set(_unclaimed(world))
    if room:
        names |= {name for name, seat in fleet.seats.items() if seat.open or seat.wait}
    return names


def _here(world: World, before: World) -> Iterator[str]:
    """Those that something happened to on this host."""
    old, new = before.workloads, world.workloads
    if old is new:
        return
    for name, state in new.items():
        if old.get(name) is not state and (state.record.home or movable(state.workload)):
            yield name
    yield from old.keys() - new.keys()


def _unclaimed(world: World) -> Iterator[str]:
    """Those that run here and have lost their claim: what ends them may come from any host."""
    for name, state in world.workloads.items():
        own = state.record
        if name not in world.fleet.claims and (own.home or own.slots is not None):
            yield name


def _desires_differ(world: World, before: World) -> bool:
    """Whether something else is to run on this host, of what moves or not."""
    old, new = before.workloads, world.workloads
    if old is new:
        return False
    return old.keys() != new.keys() or any(
        old[name].record is not state.record for name, state in new.items()
    )


def _differ(old: Mapping[str, object], new: Mapping[str, object]) -> set[str]:
    if old is new:
        return set()
    return {n for n, one in new.items() if old.get(n) != one} | (old.keys() - new.keys())


def _running(host: Host | None) -> Mapping[str, Running]:
    return host.report.running if host is not None and host.report is not None else {}


def _stands_anew(old: Host | None, new: Host | None) -> bool:
    if old is None or new is None:
        return True
    was = (old.standing, old.since, old.lost_at, old.told)
    return was != (new.standing, new.since, new.lost_at, new.told)


def _room(host: Host | None) -> tuple[object, ...]:
    """What a host has to give, and what it holds."""
    if host is None or host.report is None:
        return ()
    report = host.report
    held = {name: running.slots for name, running in report.running.items()}
    return report.memory, report.pinned, report.labels, report.cordoned, held
