"""A step of the fleet: after each fact, what this host makes of the others and what it then runs.

Reads the whole fleet. Promises: costs nothing while there is none, and little for a fact that is
about one workload. Order: standings, our own view, which declaration counts, who runs what, and
that laid over the workloads, as if a file had declared them.
"""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from nodeorch.decide.edit import say
from nodeorch.decide.fleet.affected import affected
from nodeorch.decide.fleet.graves import overruled
from nodeorch.decide.fleet.holding import (
    hold,
    release,
    seated,
    still_elsewhere,
    still_needed,
    still_serves,
)
from nodeorch.decide.fleet.members import judge
from nodeorch.decide.fleet.mirrors import claims, publish
from nodeorch.decide.fleet.seats import seats
from nodeorch.model.facts import (
    Fact,
    HostRemoved,
    LinkSeen,
    Loaded,
    MembersSeen,
    OpinionSeen,
    QuietSeen,
    ViewSeen,
)
from nodeorch.model.fleet import FleetRecord, Host, Seat, Stamp
from nodeorch.model.world import Code, Why, World

ABOUT_HOSTS = (Loaded, MembersSeen, LinkSeen, OpinionSeen, ViewSeen, HostRemoved)
"""What a standing can follow from."""


def remembered(world: World, fact: Loaded, now: float) -> World:
    """Take up the fleet as it was known; called with the workloads loaded."""
    if not world.fleet.on:
        return _alone(world)
    record = fact.fleet or FleetRecord()
    if not record.lineage:
        # The wall clock keeps the stamps of two lineages apart; should it be wrong, the others
        # know a later view, and that settles it.
        stamp = Stamp(incarnation=max(1, int(fact.wall)))
        record = replace(record, lineage=fact.lineage, stamp=stamp)
    gone = record.departed.get(world.fleet.me)
    if gone is not None and record.stamp.incarnation <= gone.term:
        record = replace(record, stamp=Stamp(incarnation=gone.term + 1))
    hosts = {
        name: Host(name=name, address=known.address, port=known.port, since=now)
        for name, known in record.hosts.items()
    }
    return _with(world, record=record, hosts=hosts, views=fact.views, started=now)


def _alone(world: World) -> World:
    """This host is in no fleet, or not any more: it runs what it declares, and that alone."""
    for name, state in world.workloads.items():
        if state.record.home:
            world = release(world, name, Why(Code.DELETED, "this host is in no fleet any more"))
        elif state.record.slots is not None:
            world = seated(world, name, None)
    return world


def quiet_seen(world: World, fact: QuietSeen, now: float) -> World:
    return _with(world, idle=fact.idle)


def follow(world: World, before: World, fact: Fact, now: float) -> World:
    if not world.fleet.on:
        return world
    wake_at = world.fleet.wake_at
    due = wake_at is not None and wake_at <= now
    if due or isinstance(fact, ABOUT_HOSTS):
        world = judge(world, now)
    world = publish(world, before, now)
    if _declared_anew(world, before):
        world = claims(world)
    names = None if due or isinstance(fact, Loaded) else affected(world, before, now)
    if names is not None and not names:
        return _wake(world, now, wake_at)
    found, then = seats(world, now, names)
    if names is not None:
        kept = {n: s for n, s in world.fleet.seats.items() if n not in names}
        found, then = kept | found, _earlier(then, wake_at, now)
    world = _lay(world, found, names, now)
    old = world.fleet.seats
    world = _told_of_moves(world, old, found)
    if len(found) != len(old) or any(old.get(n) is not seat for n, seat in found.items()):
        world = _with(world, seats=found)
    return _wake(world, now, then)


def _told_of_moves(world: World, old: dict[str, Seat], found: dict[str, Seat]) -> World:
    """What moves between other hosts is a line here, too: `why` tells it on every host."""
    for name, seat in found.items():
        was = old.get(name)
        if was is None or was is seat or name in world.workloads:
            continue
        hosts, before = sorted(set(seat.hosts)), sorted(set(was.hosts))
        if seat.wait or was.wait or hosts == before or "" in hosts:
            continue
        words = f"belongs on {', '.join(hosts)}, no more on {', '.join(before)}: {seat.why.words}"
        world = say(world, Code.ELSEWHERE, words, name)
    return world


def _wake(world: World, now: float, other: float | None) -> World:
    wake_at = _earlier(world.fleet.wake_at, other, now)
    return world if wake_at == world.fleet.wake_at else _with(world, wake_at=wake_at)


def _earlier(one: float | None, other: float | None, now: float) -> float | None:
    return min((t for t in (one, other) if t is not None and t > now), default=None)


def _declared_anew(world: World, before: World) -> bool:
    fleet, was = world.fleet, before.fleet
    return (
        fleet.view is not was.view
        or fleet.views is not was.views
        or fleet.record.graves is not was.record.graves
    )


def _lay(world: World, found: dict[str, Seat], names: set[str] | None, now: float) -> World:
    for name in found if names is None else names & found.keys():
        world = hold(world, name, world.fleet.claims[name], found[name], now)
    for name, state in world.workloads.items():
        if state.record.deleting:
            continue
        if state.record.home:
            if name not in found and not still_needed(world, state):
                words = f"{state.record.home}, its home, declares it no more"
                world = release(world, name, Why(Code.DELETED, words))
        elif taker := overruled(world, state):
            if still_serves(world, state):
                continue
            if state.record.slots != ():
                words = f"its home is {taker} now: it was taken while this host was away"
                world = say(seated(world, name, ()), Code.HOME_TAKEN, words, name)
        elif name not in found and state.record.slots is not None:
            slots = tuple(range(state.replicas)) if still_elsewhere(world, name) else None
            world = seated(world, name, slots)
    return world


def _with(world: World, **changes: Any) -> World:
    return replace(world, fleet=replace(world.fleet, **changes))
