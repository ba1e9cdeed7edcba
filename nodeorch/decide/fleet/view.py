"""What a person is told of the fleet: its hosts, their troubles, and who declares what.

Reads the fleet and what hosts report. Promises: every host that is known is listed, with the
reason of its standing; two that run or declare one thing are told.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from nodeorch.decide.fleet.graves import buried
from nodeorch.decide.fleet.whereabouts import (
    holders,
    home_of,
    listed,
    own,
    placement,
    runs_on,
    standing_of,
    telling,
    which_is,
)
from nodeorch.decide.moments import rfc3339
from nodeorch.decide.room import requested
from nodeorch.model.fleet import (
    Declared,
    Fleet,
    Hearing,
    Host,
    HostRecord,
    Running,
    Standing,
    movable,
)
from nodeorch.model.fleetview import HomeView, MemberView
from nodeorch.model.placing import Scope
from nodeorch.model.world import World

if TYPE_CHECKING:
    from nodeorch.decide.status import Surroundings

THERE = (Standing.UP, Standing.UNSUPERVISED, Standing.SUSPECTED)
"""What a host runs that has one of these may run on."""

Key = tuple[str, str]
"""(home, name): hosts may each have a workload of one name that stays where it is."""


def members(world: World, around: Surroundings) -> list[MemberView]:
    """All hosts by name, this one among them; none while it is alone."""
    fleet = world.fleet
    if not fleet.on:
        return []
    found = [_me(world, around), *(_member(fleet, h, around) for h in fleet.hosts.values())]
    return sorted(found, key=lambda view: view.name)


def _me(world: World, around: Surroundings) -> MemberView:
    fleet, memory = world.fleet, world.node.memory
    return MemberView(
        name=fleet.me,
        me=True,
        address=fleet.address,
        state=Standing.UP.value,
        since=_wall(fleet.started, around),
        role="member",
        reason="",
        lost=False,
        heard=True,
        seen_at=rfc3339(around.wall),
        version=fleet.version,
        memory_total=memory,
        memory_free=max(0, memory - requested(world)),
        workloads=len(world.workloads),
        labels=world.node.labels,
    )


def _member(fleet: Fleet, host: Host, around: Surroundings) -> MemberView:
    heard = host.hearing is Hearing.HEARD
    record, report = fleet.record.hosts.get(host.name), host.report
    return MemberView(
        name=host.name,
        me=False,
        address=host.address or (record.address if record else ""),
        state=host.standing.value,
        since=_wall(host.since, around),
        role="member",
        reason=host.words,
        lost=host.lost,
        heard=heard,
        seen_at=_last_seen(host, record, around),
        version=(report.version if report else "") or host.tags.get("version", ""),
        memory_total=report.memory if report else None,
        memory_free=max(0, report.memory - report.requested) if report and heard else None,
        workloads=report.workloads if report else None,
        labels=report.labels if report else {},
    )


def _last_seen(host: Host, record: HostRecord | None, around: Surroundings) -> str | None:
    """When it was last known to be up. Of one that is lost the record says it."""
    if host.hearing is Hearing.HEARD:
        return rfc3339(around.wall)
    if host.run and not host.lost and host.standing is not Standing.UP:
        return _wall(host.since, around)
    return rfc3339(record.heard_wall if record else 0.0)


def warnings(world: World) -> list[str]:
    """What of the fleet a person must know."""
    fleet = world.fleet
    found = []
    if fleet.name_taken:
        found.append(
            f"another host, at {fleet.name_taken}, has the name {fleet.me}, too; "
            "rename one of them: [node] name"
        )
    if fleet.brake is not None:
        found.append(f"nothing is taken over: {fleet.brake.words}")
    if fleet.serf_trouble:
        found.append(f"Serf does not answer: {fleet.serf_trouble}")
    return found


def homes(world: World, around: Surroundings) -> list[HomeView]:
    """Every workload that may move or is declared elsewhere, by name, then by home."""
    fleet = world.fleet
    if not fleet.on:
        return []
    held: defaultdict[Key, dict[str, Running]] = defaultdict(dict)
    for host, name, running in _told(world):
        held[running.home, name][host] = running
    found = []
    for (home, name), (declared, orphan) in _declared(world).items():
        where = held[home, name]
        state = world.workloads.get(name)
        if state is not None and (state.record.home or fleet.me) == home:
            where |= own(world, state)
        found.append(_home(world, home, declared, where, orphan))
    return sorted(found, key=lambda view: (view.name, view.home))


def home_view(world: World, name: str) -> HomeView | None:
    """Of a workload that another host declares; of several, the declaration that counts."""
    home = home_of(world, name)
    if not home or home == world.fleet.me:
        return None
    declared, orphan = _declared(world)[home, name]
    return _home(world, home, declared, holders(world, name, home), orphan)


def why_absent(
    world: World, view: HomeView, refused: Mapping[str, str], around: Surroundings
) -> list[str]:
    """Of a workload that is declared elsewhere and is not here: why."""
    lines = [f"its home is {view.home}{which_is(world.fleet, view.home, around)}"]
    lines += [runs_on(world, view.name, view.home) or "no host says that it runs it"]
    if not view.movable:
        lines.append("it stays on its home: its [failover] mode is none")
    elif world.fleet.brake is not None and view.home_state != Standing.UP.value:
        lines.append(f"nothing is taken over: {world.fleet.brake.words}")
    return [*lines, *view.conflicts, *placement(world, view.name, refused)]


def _declared(world: World) -> dict[Key, tuple[Declared, bool]]:
    """What is listed as of the fleet, and whether its home does not know of it any more."""
    fleet, graves = world.fleet, world.fleet.record.graves
    found: dict[Key, tuple[Declared, bool]] = {}
    for home, view in fleet.views.items():
        if home != fleet.me:
            found |= {(home, name): (declared, True) for name, declared in view.orphans.items()}
            found |= {(home, name): (declared, False) for name, declared in view.declared.items()}
    found = {key: f for key, f in found.items() if not buried(graves, *key, f[0].term)}
    if fleet.view is not None:
        for name, declared in fleet.view.declared.items():
            if movable(declared.workload):
                found[fleet.me, name] = declared, False
    for name, claim in fleet.claims.items():
        found[claim.home, name] = claim.declared, claim.orphan
    return found


def _home(
    world: World, home: str, declared: Declared, held: dict[str, Running], orphan: bool
) -> HomeView:
    fleet, name = world.fleet, declared.workload.name
    moves = movable(declared.workload)
    seat = fleet.seats.get(name) if moves else None
    gone = home != fleet.me and home not in fleet.hosts
    stays = not moves and standing_of(fleet, home) in THERE  # and is in no report
    everywhere = declared.workload.main.scope is Scope.EVERY_HOST
    ready = [slot for running in held.values() for slot in running.ready]
    return HomeView(
        name=name,
        home=home,
        home_state=standing_of(fleet, home).value,
        term=declared.term,
        failover=declared.workload.failover.mode.value,
        scope=declared.workload.main.scope.value,
        movable=moves,
        hosts=sorted(held) or ([home] if stays else []),
        ready=len(ready if everywhere else set(ready)) if held or moves else None,
        desired=declared.replicas * (len(held) if everywhere and held else 1),
        reason=seat.why.words if seat is not None else "" if moves else "it stays on its home",
        orphaned=orphan or gone,
        conflicts=_conflicts(world, home, declared, held),
    )


def _conflicts(
    world: World, home: str, declared: Declared, held: Mapping[str, Running]
) -> list[str]:
    name, found = declared.workload.name, []
    claim = world.fleet.claims.get(name)
    if claim is not None and claim.home != home and movable(declared.workload):
        found.append(
            f"{claim.home} declares {name}, too, with term {claim.declared.term}: that one counts"
        )
    if declared.workload.main.scope is not Scope.EVERY_HOST:
        slots: defaultdict[int, list[str]] = defaultdict(list)
        for host, running in held.items():
            for slot in running.slots:
                slots[slot].append(host)
        found += [
            f"{listed(sorted(hosts))} both run replica {slot}"
            for slot, hosts in sorted(slots.items())
            if len(hosts) > 1
        ]
    return found


def _told(world: World) -> Iterator[tuple[str, str, Running]]:
    """(host, workload, what it says of it)."""
    for host in telling(world.fleet):
        for name, running in host.report.running.items() if host.report else ():
            if running.slots:
                yield host.name, name, running


def _wall(since: float, around: Surroundings) -> str | None:
    """A boot time of this host, as it is shown; None: it is not known."""
    return rfc3339(around.wall - (around.now - since)) if since else None
