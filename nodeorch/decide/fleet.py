"""A step of the fleet: after each fact, what this host makes of the others and what it then runs.

Reads the whole fleet. Promises: costs nothing while there is none, and little for a fact that is
about one workload. Order: standings, our own view, which declaration counts, who runs what, and
that laid over the workloads, as if a file had declared them.
"""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from nodeorch.decide.edit import say
from nodeorch.decide.graves import overruled
from nodeorch.decide.holding import hold, release, seated
from nodeorch.decide.members import judge
from nodeorch.decide.mirrors import claims, publish
from nodeorch.decide.seats import seats
from nodeorch.model.facts import (
    Fact,
    HostRemoved,
    LinkSeen,
    Loaded,
    MembersSeen,
    OpinionSeen,
    QuietSeen,
    ReportSeen,
    Tick,
    ViewSeen,
)
from nodeorch.model.fleet import FleetRecord, Host, Seat, Stamp, movable
from nodeorch.model.world import Code, Why, World

ABOUT_FLEET = (
    Loaded,
    MembersSeen,
    LinkSeen,
    OpinionSeen,
    ReportSeen,
    ViewSeen,
    QuietSeen,
    HostRemoved,
)


def remembered(world: World, fact: Loaded, now: float) -> World:
    """Take up the fleet as it was known; called with the workloads loaded."""
    if not world.fleet.on:
        return _alone(world)
    record = fact.fleet or FleetRecord()
    if not record.lineage:
        record = replace(record, lineage=fact.lineage, stamp=Stamp(incarnation=1))
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
    about_fleet = isinstance(fact, ABOUT_FLEET)
    due = world.fleet.wake_at is not None and world.fleet.wake_at <= now
    if about_fleet or due or isinstance(fact, Tick):
        world = judge(world, now)
    world = publish(world, before, now)
    if _declared_anew(world, before):
        world = claims(world)
    if not (about_fleet or due or isinstance(fact, Tick) or _moved(world, before)):
        return world
    found, wake_at = seats(world, now)
    world = _lay(world, found, now)
    times = [t for t in (world.fleet.wake_at, wake_at) if t is not None and t > now]
    return _with(world, seats=found, wake_at=min(times, default=None))


def _declared_anew(world: World, before: World) -> bool:
    fleet, was = world.fleet, before.fleet
    return (
        fleet.view is not was.view
        or fleet.views is not was.views
        or fleet.record.graves is not was.record.graves
    )


def _moved(world: World, before: World) -> bool:
    """Whether something happened to a movable workload here."""
    if world.fleet.claims is not before.fleet.claims:
        return True
    old, new = before.workloads, world.workloads
    if old is new:
        return False
    return any(
        (state.record.home or movable(state.workload)) and old.get(name) is not state
        for name, state in new.items()
    )


def _lay(world: World, found: dict[str, Seat], now: float) -> World:
    for name, seat in found.items():
        world = hold(world, name, world.fleet.claims[name], seat, now)
    for name, state in world.workloads.items():
        if state.record.deleting or name in found:
            continue
        if state.record.home:
            words = f"{state.record.home}, its home, declares it no more"
            world = release(world, name, Why(Code.DELETED, words))
        elif state.record.slots is not None and not overruled(world, state):
            world = seated(world, name, None)
    for name, state in world.workloads.items():
        taker = overruled(world, state) if not state.record.deleting else ""
        if taker and state.record.slots != ():
            words = f"its home is {taker} now: it was taken while this host was away"
            world = say(seated(world, name, ()), Code.HOME_TAKEN, words, name)
    return world


def _with(world: World, **changes: Any) -> World:
    return replace(world, fleet=replace(world.fleet, **changes))
