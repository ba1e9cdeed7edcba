"""Who owns a name: terms, and the graves of what was removed on purpose.

Reads the fleet's record. Promises: a declaration with a term that is buried never counts again;
to declare a buried name anew gives it a higher term. The graves are a grow-only set, merged
with the others' (Shapiro et al., "Conflict-free replicated data types", 2011).
"""

from __future__ import annotations

from collections.abc import Mapping

from msgspec.structs import replace

from nodeorch.decide.edit import say
from nodeorch.model.fleet import Declared, Grave, Standing
from nodeorch.model.world import Code, WorkloadState, World

KEPT = 1000
"""Graves of workloads, and of hosts, that are remembered; the oldest are forgotten."""


def grave_key(home: str, name: str) -> str:
    return f"{home}/{name}"


def buried(graves: Mapping[str, Grave], home: str, name: str, term: int) -> bool:
    grave = graves.get(grave_key(home, name))
    return grave is not None and term <= grave.term


def next_term(world: World, name: str) -> int:
    """Of a workload that is declared here anew."""
    grave = world.fleet.record.graves.get(grave_key(world.fleet.me, name))
    return grave.term + 1 if grave else 1


def overruled(world: World, state: WorkloadState) -> str:
    """The host that took our workload over for good; empty: it is ours."""
    if state.record.home or not world.fleet.on:
        return ""
    me, name = world.fleet.me, state.workload.name
    grave = world.fleet.record.graves.get(grave_key(me, name))
    return grave.by if grave and state.record.term <= grave.term and grave.by != me else ""


def heir_is_silent(world: World, home: str, name: str) -> bool:
    """A workload was taken from its home, and it is not known yet what the taker makes of it: its
    grave has come by another way than the view of who dug it."""
    fleet = world.fleet
    seen: set[str] = set()
    while home not in seen:
        seen.add(home)
        key = grave_key(home, name)
        grave = fleet.record.graves.get(key)
        if grave is None or grave.by not in fleet.hosts:
            return False
        view = fleet.views.get(grave.by)
        if view is None or key not in view.graves:
            return True
        home = grave.by
    return False


def revived(world: World, state: WorkloadState, forgotten: Mapping[str, Declared]) -> WorkloadState:
    """What this host has buried itself and declares all the same has come to life anew; what it
    had forgotten and declares again is the same, so that its grave will hold both."""
    if state.record.home or state.record.deleting:
        return state
    me = world.fleet.me
    key = grave_key(me, state.workload.name)
    grave, former = world.fleet.record.graves.get(key), forgotten.get(key)
    term = max(state.record.term, former.term if former else 0)
    if grave is not None and grave.by == me:
        term = max(term, grave.term + 1)
    if term == state.record.term:
        return state
    return replace(state, record=replace(state.record, term=term))


def union(ours: dict[str, Grave], theirs: Mapping[str, Grave]) -> dict[str, Grave]:
    """The same object when nothing is new."""
    fresh = {k: g for k, g in theirs.items() if k not in ours or ours[k].term < g.term}
    if not fresh:
        return ours
    merged = {**ours, **fresh}
    if len(merged) > KEPT:
        oldest = sorted(merged, key=lambda k: (merged[k].wall, k))
        for key in oldest[: len(merged) - KEPT]:
            del merged[key]
        if fresh.keys().isdisjoint(merged):
            return ours  # what they remember yet is forgotten here
    return merged


def mirrored(world: World, name: str) -> dict[str, Declared]:
    """Home → its declaration of the name, as far as it counts; orphans too."""
    fleet = world.fleet
    found = {}
    for key, one in (fleet.view.adrift if fleet.view else {}).items():
        if key.partition("/")[2] == name:
            found[key.partition("/")[0]] = one
    for home, view in fleet.views.items():
        known = view.declared.get(name) or view.orphans.get(name)
        if known is not None:
            found[home] = known
    graves = fleet.record.graves
    return {home: one for home, one in found.items() if not buried(graves, home, name, one.term)}


def last_home(homes: Mapping[str, Declared]) -> str:
    """Of several that declare a name, the one that counts."""
    return min(homes, key=lambda home: (-homes[home].term, home))


def take_refusal(world: World, name: str, *, forced: bool) -> str | None:
    """Why this host cannot become the home of a workload; None when it can."""
    fleet = world.fleet
    if not fleet.on:
        return f"cannot take {name}: this host is in no fleet; see `nodeorch members`"
    state = world.workloads.get(name)
    if state is not None and not state.record.home and not overruled(world, state):
        return f"cannot take {name}: this host is its home already"
    homes = mirrored(world, name)
    if not homes:
        return f"cannot take {name}: no other host declares it; see `nodeorch home list`"
    for home in homes:
        view, host = fleet.views.get(home), fleet.hosts.get(home)
        if view is None or name not in view.declared:
            continue  # its home has forgotten it
        if host is None or host.lost:
            continue
        if host.standing in (Standing.UP, Standing.UNSUPERVISED):
            return f"cannot take {name}: its home {home} is {host.standing.value}; change it there"
        if not forced:
            return (
                f"cannot take {name}: nobody knows yet whether its home {home} is gone "
                f"({host.words or host.standing.value}); wait, or say --force"
            )
    home = last_home(homes)
    if homes[home].withheld:
        return (
            f"cannot take {name}: its env was never told to other hosts, since it may run on "
            f"{home} alone; write its spec anew, here"
        )
    return None


def taken(world: World, name: str, now: float) -> World:
    """This host becomes the home: what others declared under that name is buried."""
    me, record = world.fleet.me, world.fleet.record
    wall = (world.wall_ahead or 0.0) + now
    homes = mirrored(world, name)
    fresh = {
        grave_key(home, name): Grave(term=one.term, by=me, wall=wall) for home, one in homes.items()
    }
    own = record.graves.get(grave_key(me, name))
    world = replace(
        world,
        fleet=replace(world.fleet, record=replace(record, graves=union(record.graves, fresh))),
    )
    state = world.workloads.get(name)
    if own is not None and state is not None and not state.record.home:
        record_ = replace(state.record, term=own.term + 1, slots=None)
        states = {**world.workloads, name: replace(state, record=record_, settled=False)}
        world = replace(world, workloads=states)
    words = f"this host is its home now; it was {', '.join(sorted(homes))}"
    return say(world, Code.HOME_TAKEN, words, name)
