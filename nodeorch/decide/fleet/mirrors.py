"""What each home declares, what this host tells of itself, and which declaration counts.

Reads the views of all hosts and the workloads declared here. Promises: a view is replaced as a
whole and only by a newer one; what was removed on purpose has a grave and stays dead, whoever
comes back with it; what a host with a new database does not name was not deleted by it.

A newer view is one with a higher stamp; the grow-only sets of graves are merged (a two-phase set:
Shapiro et al., "Conflict-free replicated data types", 2011).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from msgspec.structs import replace

from nodeorch.decide.edit import put, say
from nodeorch.decide.fleet.graves import buried, grave_key, revived, union
from nodeorch.decide.fleet.members import depart
from nodeorch.model.facts import HostRemoved, ViewSeen
from nodeorch.model.fleet import (
    Claim,
    Declared,
    Fleet,
    FleetRecord,
    Grave,
    MemberStatus,
    Stamp,
    Standing,
    View,
    movable,
)
from nodeorch.model.world import Code, World


def view_seen(world: World, fact: ViewSeen, now: float) -> World:
    fleet, view = world.fleet, fact.view
    if view.host == fleet.me:
        return _own_view_seen(world, view)
    known, gone = fleet.views.get(view.host), fleet.record.departed.get(view.host)
    if view.host not in fleet.hosts or (gone and view.stamp.incarnation <= gone.term):
        return world
    if known is not None and known.stamp >= view.stamp:
        return world
    world = _with(world, views={**fleet.views, view.host: _with_orphans(known, view)})
    return _merge(world, view)


def _with_orphans(known: View | None, view: View) -> View:
    if known is None:
        return view
    former = known.orphans
    if known.lineage != view.lineage:
        former = {**known.orphans, **known.declared}
    kept = {
        name: declared
        for name, declared in former.items()
        if name not in view.declared and not buried(view.graves, view.host, name, declared.term)
    }
    return replace(view, orphans={**kept, **view.orphans}) if kept else view


def _own_view_seen(world: World, view: View) -> World:
    """Others know a later view of us than we do: our database is not what it was."""
    record = world.fleet.record
    if view.stamp <= record.stamp:
        return world
    stamp = Stamp(incarnation=view.stamp.incarnation + 1)
    world = _record(world, stamp=stamp)
    for name, declared in view.declared.items():
        state = world.workloads.get(name)
        if state is not None and not state.record.home and state.record.term < declared.term:
            world = put(world, replace(state, record=replace(state.record, term=declared.term)))
    return _merge(world, view)


def _merge(world: World, view: View) -> World:
    """What others buried is buried here too."""
    record = world.fleet.record
    graves = union(record.graves, view.graves)
    departed = union(record.departed, view.departed)
    if graves is not record.graves or departed is not record.departed:
        world = _record(world, graves=graves, departed=departed)
    for name, grave in view.departed.items():
        host = world.fleet.hosts.get(name)
        if host is None or host.standing is Standing.UP:
            continue
        known = world.fleet.views.get(name)
        if known is None or known.stamp.incarnation <= grave.term:
            world = depart(world, name, f"{grave.by} removed it", grave.wall, grave.term)
    me = world.fleet.me
    gone = departed.get(me)
    if gone is not None and world.fleet.record.stamp.incarnation <= gone.term:
        world = _record(world, stamp=Stamp(incarnation=gone.term + 1))
    return world


def removal_refusal(world: World, fact: HostRemoved) -> str | None:
    """Why a host cannot be removed; None when it can."""
    fleet, name = world.fleet, fact.host
    if not fleet.on:
        return "cannot leave: this host is in no fleet; see `nodeorch members`"
    if name == fleet.me:
        return None
    host = fleet.hosts.get(name)
    if host is None:
        return f"cannot remove {name}: the fleet has no such host; see `nodeorch members`"
    if host.standing in (Standing.UP, Standing.UNSUPERVISED):
        return (
            f"cannot remove {name}: it is {host.standing.value}; run `nodeorch cluster leave` there"
        )
    if host.serf is MemberStatus.ALIVE:
        return f"cannot remove {name}: Serf does not know yet that it is gone; wait some seconds"
    left = sorted(n for n, claim in fleet.claims.items() if claim.home == name)
    if left:
        words = ", ".join(left[:5]) + (" …" if len(left) > 5 else "")
        return (
            f"cannot remove {name}: it is the home of {words}, which would end with it; "
            f"first `nodeorch home take {left[0]}` on the host that shall be its home"
        )
    return None


def host_removed(world: World, fact: HostRemoved, now: float) -> World:
    if removal_refusal(world, fact) is not None:
        return world
    if fact.host != world.fleet.me:
        return depart(world, fact.host, f"removed by {fact.by}", fact.wall)
    record = world.fleet.record
    grave = Grave(term=record.stamp.incarnation, by=world.fleet.me, wall=fact.wall)
    world = _record(world, departed={**record.departed, world.fleet.me: grave})
    return say(world, Code.HOST_LEFT, f"this host leaves the fleet, by {fact.by}")


def publish(world: World, before: World, now: float) -> World:
    """Our own view, anew if what it says has changed; what is declared no more gets a grave."""
    fleet = world.fleet
    if fleet.view is not None and not _touched(world, before):
        return world
    world = _revive(world)
    old = fleet.view.declared if fleet.view else {}
    declared = dict(_declared(world, old))
    adrift = _adrift(world, declared)
    graves = _buried_now(world, old, declared, now)
    if graves is not fleet.record.graves:
        world = _record(world, graves=graves)
    record = world.fleet.record
    same = fleet.view is not None and (
        declared == old
        and fleet.view.graves is record.graves
        and fleet.view.departed is record.departed
        and fleet.view.adrift == adrift
        and fleet.view.stamp == record.stamp
    )
    if same:
        return world
    stamp = record.stamp
    if fleet.view is None or fleet.view.stamp == stamp:
        stamp = replace(stamp, revision=stamp.revision + 1)
        world = _record(world, stamp=stamp)
    view = View(
        host=fleet.me,
        lineage=record.lineage,
        stamp=stamp,
        declared=declared,
        graves=record.graves,
        departed=record.departed,
        adrift=adrift,
    )
    return _with(world, view=view)


def _revive(world: World) -> World:
    view = world.fleet.view
    forgotten = view.adrift if view else {}
    alive = {n: revived(world, s, forgotten) for n, s in world.workloads.items()}
    if all(alive[n] is s for n, s in world.workloads.items()):
        return world
    return replace(world, workloads=alive)


def _touched(world: World, before: World) -> bool:
    ours, was = world.fleet, before.fleet
    if ours.record is not was.record or ours.views is not was.views:
        return True
    if world.workloads is before.workloads:
        return False
    old = before.workloads
    if len(old) != len(world.workloads):
        return True
    return any(n not in old or old[n].record is not s.record for n, s in world.workloads.items())


def _adrift(world: World, declared: Mapping[str, Declared]) -> dict[str, Declared]:
    """All orphans that this host has heard of: others may have slept when one was lost."""
    fleet, found = world.fleet, dict[str, Declared]()
    for view in (fleet.view, *fleet.views.values()):
        if view is None:
            continue
        own = {grave_key(view.host, name): one for name, one in view.orphans.items()}
        for key, one in (view.adrift | own).items():
            home, _, name = key.partition("/")
            named = declared if home == fleet.me else _named(fleet, home)
            if named is None or name in named or buried(fleet.record.graves, home, name, one.term):
                continue
            if key not in found or _later(found[key]) < _later(one):
                found[key] = one
    return found


def _named(fleet: Fleet, home: str) -> Mapping[str, Declared] | None:
    """What a host of the fleet declares now; None: it is not known, or it is no host of it."""
    view = fleet.views.get(home) if home in fleet.hosts else None
    return view.declared if view else None


def _later(declared: Declared) -> tuple[int, int, str]:
    return declared.term, declared.generation, declared.digest


def _declared(world: World, old: Mapping[str, Declared]) -> Iterator[tuple[str, Declared]]:
    for name, state in world.workloads.items():
        own = state.record
        if own.home or own.deleting:
            continue
        target = own.target.workload
        withheld = bool(target.main.env) and not movable(target)
        fresh = Declared(
            workload=replace(target, main=replace(target.main, env={})) if withheld else target,
            digest=own.target.digest,
            generation=own.target.generation,
            term=own.term,
            image_digest=own.image_digest,
            stopped=own.stopped,
            scale=own.scale,
            operator_seq=own.operator_seq,
            withheld=withheld,
        )
        known = old.get(name)
        yield name, known if known == fresh else fresh


def _buried_now(
    world: World, old: Mapping[str, Declared], declared: Mapping[str, Declared], now: float
) -> dict[str, Grave]:
    me, graves = world.fleet.me, world.fleet.record.graves
    gone = {
        grave_key(me, name): Grave(term=was.term, by=me, wall=(world.wall_ahead or 0.0) + now)
        for name, was in old.items()
        if name not in declared and movable(was.workload)
    }
    return union(graves, gone)


def claims(world: World) -> World:
    """Which declaration of each movable workload counts, after views or graves have changed."""
    fleet = world.fleet
    found: dict[str, list[Claim]] = {}
    for home, name, one, orphan in _all_declared(fleet):
        if movable(one.workload) and not buried(fleet.record.graves, home, name, one.term):
            found.setdefault(name, []).append(Claim(home=home, declared=one, orphan=orphan))
    fresh = {name: _first(fleet, name, rivals) for name, rivals in found.items()}
    same = len(fresh) == len(fleet.claims) and all(
        fleet.claims.get(name) is claim for name, claim in fresh.items()
    )
    return world if same else _with(world, claims=fresh)


def _first(fleet: Fleet, name: str, found: list[Claim]) -> Claim:
    """The one that counts; the same object as before when it is the same."""
    claim = found[0]
    if len(found) > 1:
        claim, *others = sorted(found, key=lambda c: _rank(fleet, c))
        rivals = sorted({c.home for c in others if not c.orphan} - {claim.home})
        claim = replace(claim, rivals=tuple(rivals))
    known = fleet.claims.get(name)
    return known if known == claim else claim


def _all_declared(fleet: Fleet) -> Iterator[tuple[str, str, Declared, bool]]:
    """Home, name, declaration, and whether it is an orphan."""
    for view in (*([fleet.view] if fleet.view else ()), *fleet.views.values()):
        for name, one in view.declared.items():
            yield view.host, name, one, False
    for key, one in (fleet.view.adrift if fleet.view else {}).items():
        home, _, name = key.partition("/")
        yield home, name, one, True


def _rank(fleet: Fleet, claim: Claim) -> tuple[bool, bool, str]:
    """Our own declaration comes first; what has lost its home yields to what has one."""
    return (claim.home != fleet.me, claim.orphan, claim.home)


def _record(world: World, **changes: Any) -> World:
    record: FleetRecord = replace(world.fleet.record, **changes)
    return _with(world, record=record)


def _with(world: World, **changes: Any) -> World:
    return replace(world, fleet=replace(world.fleet, **changes))
