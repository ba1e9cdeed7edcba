"""The hosts while places are given out: what is taken, and who may not be there."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from nodeorch.decide.placement_asks import Ask, Candidate, fits_labels, may_run
from nodeorch.decide.placement_rank import PRIME, Pool, cost, key, weight

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
        self.keys = [key("host", host.name) for host in self.hosts]
        self.weights = [weight(host.memory) for host in self.hosts]
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
            if ask.ports:
                self.hold_ports(ask, (host,))

    def hold_ports(self, ask: Ask, hosts: Iterable[str]) -> None:
        """Its host ports are taken on these."""
        for port in ask.ports:
            self._ports.setdefault(port, set()).update(hosts)

    def pool(self, ask: Ask) -> Pool:
        """Hosts with the labels that it wants."""
        wanted = tuple(sorted(ask.constraints.items()))
        pool = self._pools.get(wanted)
        if pool is None:
            members = [at for at, host in enumerate(self.hosts) if fits_labels(ask, host)]
            pool = self._pools[wanted] = Pool(members, self.keys, self.weights)
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


def find_host(table: Table, ask: Ask, need: int, taken: Counter[str]) -> str:
    """A host for so many bytes of it, "" if there is none; ``taken``: its replicas on each host.

    What is to be together goes home if it can.
    """
    barred = table.barred(ask)
    for name in (ask.home, *ask.prefer) if ask.together else ask.prefer:
        at = table.index.get(name)
        if at is None or at in barred or not table.fits(at, need):
            continue
        if may_run(ask, table.hosts[at]):
            return name
    pool = table.pool(ask)
    if pool.full_for is not None and need >= pool.full_for:
        return ""
    spread = _Spread(table, ask, taken)
    return _first(table, ask, need, barred, spread) or _best(table, ask, need, barred, spread)


class _Spread:
    """How many replicas there are already, by host and by what they are spread over."""

    def __init__(self, table: Table, ask: Ask, taken: Counter[str]) -> None:
        self._label = ask.spread
        self._hosts = taken
        self._values = Counter[str]()
        if ask.spread != "host":
            for name, count in taken.items():
                self._values[self._value(table.hosts[table.index[name]])] += count

    def _value(self, host: Candidate) -> str:
        return host.labels.get(self._label, "")

    def count(self, host: Candidate) -> tuple[int, int]:
        """The lower the better."""
        return self._values[self._value(host)] if self._values else 0, self._hosts[host.name]

    def least(self, table: Table, pool: Pool) -> tuple[int, int]:
        """What no host of the pool is better than."""
        if not self._values:
            return 0, 0
        values = {self._value(table.hosts[at]) for at in pool.members}
        return min((self._values[value] for value in values), default=0), 0


def _first(table: Table, ask: Ask, need: int, barred: set[int], spread: _Spread) -> str:
    """The first by rank that no other betters in spread, and that is not too full."""
    used, limit, hosts = table.used, table.limit, table.hosts
    pool = table.pool(ask)
    least = spread.least(table, pool)
    ranked = pool.ranked(
        key("workload", ask.name), lambda at: used[at] + need <= limit[at] and at not in barred
    )
    for at in ranked:
        host = hosts[at]
        if not _namesake(ask, host) and spread.count(host) == least:
            return host.name
    return ""


def _best(table: Table, ask: Ask, need: int, barred: set[int], spread: _Spread) -> str:
    """By spread; then the first by rank that is not too full, then the emptiest."""
    pool = table.pool(ask)
    fitting = [at for at in pool.members if table.fits(at, need)]
    if not fitting:
        pool.full_for = need  # so that the next one of its size need not look
    ask_key = key("workload", ask.name)

    def order(at: int) -> tuple[tuple[int, int], bool, float, float, int]:
        host = table.hosts[at]
        full = table.used[at] + need > table.limit[at]
        part = table.used[at] / table.memory[at] if full and table.memory[at] > 0 else 0.0
        rank = cost(table.keys[at] * ask_key % PRIME, table.weights[at])
        return spread.count(host), full, part, rank, at

    open_to = [at for at in fitting if at not in barred and not _namesake(ask, table.hosts[at])]
    return table.hosts[min(open_to, key=order)].name if open_to else ""


def _namesake(ask: Ask, host: Candidate) -> bool:
    """Whether the host declares another workload of that name."""
    return ask.name in host.names and host.name != ask.home
