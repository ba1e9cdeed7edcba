"""The hosts while places are given out: what is taken, and who may not be there."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from nodeorch.decide.placement_asks import Ask, Candidate, fits_labels, may_run
from nodeorch.decide.placement_rank import Pool, key, weight

SLACK = 4
"""A host is given at most 1 + 1/SLACK of the fleet's mean share of its memory, as long as there is
another (Mirrokni, Thorup, Zadimoghaddam: Consistent hashing with bounded loads, 2016)."""
EMPTY = 2
"""A host of which less than 1/EMPTY is taken is never too full."""


class Table:
    """Room, seats and who keeps whom off."""

    def __init__(self, asks: Sequence[Ask], hosts: Mapping[str, Candidate]) -> None:
        self.hosts = [hosts[name] for name in sorted(hosts)]
        self.index = {host.name: at for at, host in enumerate(self.hosts)}
        self.memory = [host.memory for host in self.hosts]
        self.used = [0] * len(self.hosts)
        self.seats: dict[str, tuple[str, ...]] = {}
        self.everywhere: dict[str, tuple[str, ...]] = {}
        self._homes: dict[str, str] = {}
        self._foes: dict[str, set[str]] = {}
        self._ports: dict[int, set[str]] = {}
        self._keys = [key("host", host.name) for host in self.hosts]
        self._weights = [weight(host.memory) for host in self.hosts]
        self._pools: dict[tuple[tuple[str, tuple[str, ...]], ...], Pool] = {}
        demand = sum(ask.memory * ask.slots * (len(hosts) if ask.every_host else 1) for ask in asks)
        room = max(1, sum(max(0, memory) for memory in self.memory))
        self.limit = [
            min(memory, max(memory // EMPTY, memory * demand * (SLACK + 1) // (SLACK * room)))
            for memory in self.memory
        ]
        for ask in asks:
            if ask.avoid:
                self._avoids(ask)
        if self._foes:
            self._homes = {ask.name: ask.home for ask in asks}

    def _avoids(self, ask: Ask) -> None:
        for other in ask.avoid:
            self._foes.setdefault(ask.name, set()).add(other)
            self._foes.setdefault(other, set()).add(ask.name)

    def hold(self, ask: Ask, hosts: Iterable[str], replicas: int = 1) -> None:
        """So many of its replicas take room on each of these."""
        for host in hosts:
            self.used[self.index[host]] += ask.memory * replicas
            for port in ask.ports:
                self._ports.setdefault(port, set()).add(host)

    def pool(self, ask: Ask) -> Pool:
        """Hosts with the labels that it wants."""
        wanted = tuple(sorted(ask.constraints.items()))
        pool = self._pools.get(wanted)
        if pool is None:
            members = [at for at, host in enumerate(self.hosts) if fits_labels(ask, host)]
            pool = self._pools[wanted] = Pool(members, self._keys, self._weights)
        return pool

    def fits(self, at: int, need: int) -> bool:
        """Whether so many bytes are free; what requests none finds room anywhere."""
        return need == 0 or self.used[at] + need <= self.memory[at]

    def barred(self, ask: Ask) -> set[int]:
        """Hosts on which one that it avoids runs, or one that holds its host ports."""
        foes = self._foes.get(ask.name)
        if not foes and not ask.ports:
            return set()
        names: set[str] = set()
        for foe in foes or ():
            names.update(self.seats.get(foe, ()), self.everywhere.get(foe, ()))
        for port in ask.ports:
            names.update(self._ports.get(port, ()))
        barred = {self.index[name] for name in names if name}
        for at, host in enumerate(self.hosts):
            if ask.ports & host.ports or any(self.pinned(foe, host) for foe in foes or ()):
                barred.add(at)
        return barred

    def pinned(self, name: str, host: Candidate) -> bool:
        """Whether the host has a workload of that name which runs nowhere else."""
        return name in host.names and self._homes.get(name) != host.name


def one_host(table: Table, ask: Ask, need: int) -> str:
    """A place for all of it: its home, else a preferred host, else the first by rank that has
    room; "" for none."""
    barred = table.barred(ask)
    for name in (ask.home, *ask.prefer):
        at = table.index.get(name)
        if at is None or at in barred or not table.fits(at, need):
            continue
        if may_run(ask, table.hosts[at]):
            return name
    return _first(table, ask, need, barred, Counter())


def next_host(table: Table, ask: Ask, taken: Counter[str]) -> str:
    """A place for one more replica; ``taken`` says how many there are on each host. "" for none."""
    barred = table.barred(ask)
    if ask.prefer or ask.spread != "host":
        return _best(table, ask, ask.memory, barred, taken)
    return _first(table, ask, ask.memory, barred, taken)


def _first(table: Table, ask: Ask, need: int, barred: set[int], taken: Counter[str]) -> str:
    """The first by rank without one of its replicas that is not too full; else the best."""
    pool = table.pool(ask)
    if pool.full_for is not None and need >= pool.full_for:
        return ""
    used, limit, hosts = table.used, table.limit, table.hosts
    for at in pool.ranked(key("workload", ask.name)):
        if used[at] + need <= limit[at] and at not in barred:
            host = hosts[at]
            if host.name not in taken and (ask.name not in host.names or host.name == ask.home):
                return host.name
    return _best(table, ask, need, barred, taken)


def _best(table: Table, ask: Ask, need: int, barred: set[int], taken: Counter[str]) -> str:
    """By preference, then by spread, then the first by rank that is not too full, then the one
    with the smallest part of its memory taken."""
    pool = table.pool(ask)
    if pool.full_for is not None and need >= pool.full_for:
        return ""
    fitting = [at for at in pool.members if table.fits(at, need)]
    if not fitting:
        pool.full_for = need
        return ""
    label = "" if ask.spread == "host" else ask.spread
    prefer = {name: rank for rank, name in enumerate(ask.prefer)}
    values = Counter[str]()
    for name, count in taken.items():
        values[table.hosts[table.index[name]].labels.get(label, "")] += count

    rank = {at: rank for rank, at in enumerate(pool.ranked(key("workload", ask.name)))}

    def order(at: int) -> tuple[int, int, int, bool, float, int]:
        host = table.hosts[at]
        full = table.used[at] + need > table.limit[at]
        return (
            prefer.get(host.name, len(prefer)),
            values[host.labels.get(label, "")] if label else 0,
            taken[host.name],
            full,
            table.used[at] / table.memory[at] if full and table.memory[at] > 0 else 0.0,
            rank[at],
        )

    open_to = [
        at
        for at in fitting
        if at not in barred
        and (ask.name not in table.hosts[at].names or table.hosts[at].name == ask.home)
    ]
    return table.hosts[min(open_to, key=order)].name if open_to else ""
