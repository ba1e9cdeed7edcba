"""The placement of movable workloads on the hosts of a fleet.

What is held stays: only what lost its host, or is on one that may not run it, finds a new place.
So nothing moves for the sake of balance. Who is placed: by priority, those for every host first,
then those whose labels leave the fewest hosts (Haralick, Elliott 1980: fail first), then from the
largest to the smallest (first fit decreasing; Johnson 1973), so that the small fill what the large
leave. Where: constraints, names, ports, avoid and memory are hard; then ``prefer``,
then ``spread``, then the rank (rank.py) with bounded load.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from nodeorch.decide.placement.asks import Ask, Candidate, Placement, may_run
from nodeorch.decide.placement.search import Search
from nodeorch.decide.placement.table import Table


def place(
    asks: Sequence[Ask],
    hosts: Mapping[str, Candidate],
    before: Mapping[str, Sequence[str]] = {},
) -> Placement:
    """A place for each slot; ``before`` says on which host each is held now, "" for none.

    For what runs on every host ``before`` has the hosts that hold it. The order of asks and hosts
    does not matter; names of asks are unique.
    """
    table = Table(asks, hosts)
    waiting = [ask for ask in asks if not _stays(table, ask, before.get(ask.name, ()))]
    for ask in sorted(waiting, key=lambda ask: _turn(table, ask)):
        if ask.every_host:
            _everywhere(table, ask)
        elif ask.together:
            _together(table, ask)
        else:
            _apart(table, ask)
    return Placement(seats=table.seats, everywhere=table.everywhere)


def _turn(table: Table, ask: Ask) -> tuple[int, bool, int, int, str]:
    need = ask.memory * ask.slots if ask.together else ask.memory
    choice = len(table.pool(ask).members)
    return -ask.priority, not ask.every_host, choice, -need, ask.name


def _stays(table: Table, ask: Ask, held: Sequence[str]) -> bool:
    """Leave what is validly held where it is; whether that is all of it.

    For nearly all it is: they take a microsecond each here, the others several.
    """
    if len(held) != ask.slots or ask.every_host or (ask.together and len(set(held)) > 1):
        return _kept(table, ask, held)
    places = []
    for name in held:
        at = table.index.get(name)
        if at is None:
            return _kept(table, ask, held)
        host = table.hosts[at]
        if (ask.constraints or ask.name in host.names) and not may_run(ask, host):
            return _kept(table, ask, held)
        places.append(at)
    for at in places:
        table.used[at] += ask.memory
    if ask.ports:
        table.hold_ports(ask, held)
    table.seats[ask.name] = tuple(held)
    return True


def _kept(table: Table, ask: Ask, held: Sequence[str]) -> bool:
    index, hosts = table.index, table.hosts
    kept = [name if name in index and may_run(ask, hosts[index[name]]) else "" for name in held]
    if ask.every_host:
        here = tuple(sorted(set(filter(None, kept))))
        table.hold(ask, here, ask.slots)
        table.seats[ask.name] = ()
        table.everywhere[ask.name] = here
        return False
    del kept[ask.slots :]
    kept += [""] * (ask.slots - len(kept))
    if ask.together:
        host = _anchor(ask, kept)
        kept = [name if name == host else "" for name in kept]
    table.hold(ask, filter(None, kept))
    table.seats[ask.name] = tuple(kept)
    return "" not in kept


def _anchor(ask: Ask, kept: Sequence[str]) -> str:
    """The host that has them all, or is to have: home, else where most are."""
    if ask.home and ask.home in kept:
        return ask.home
    counts = Counter(filter(None, kept))
    return max(counts, key=lambda name: (counts[name], -kept.index(name)), default="")


def _everywhere(table: Table, ask: Ask) -> None:
    here = table.everywhere[ask.name]
    barred = table.barred(ask)
    new = [
        host.name
        for at, host in enumerate(table.hosts)
        if host.name not in here
        and at not in barred
        and table.fits(at, ask.memory * ask.slots)
        and may_run(ask, host)
    ]
    table.hold(ask, new, ask.slots)
    table.everywhere[ask.name] = tuple(sorted((*here, *new)))


def _together(table: Table, ask: Ask) -> None:
    """The missing ones join the others, if there are any and as long as there is room."""
    seats = table.seats[ask.name]
    host = next(filter(None, seats), "")
    if not host:
        search = Search(table, ask, ask.memory * ask.slots, Counter())
        host = search.find()
        if host:
            search.take(host, ask.slots)
            table.seats[ask.name] = (host,) * ask.slots
        return
    filled = list(seats)
    for slot, name in enumerate(seats):
        if not name and table.fits(table.index[host], ask.memory):
            filled[slot] = host
            table.hold(ask, (host,))
    table.seats[ask.name] = tuple(filled)


def _apart(table: Table, ask: Ask) -> None:
    filled = list(table.seats[ask.name])
    search = Search(table, ask, ask.memory, Counter(filter(None, filled)))
    for slot, name in enumerate(filled):
        if name:
            continue
        host = search.find()
        if not host:
            break
        search.take(host)
        filled[slot] = host
    table.seats[ask.name] = tuple(filled)
