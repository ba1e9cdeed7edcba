"""The search for a host: preferences, spread, rank and load, with the hard rules kept."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from nodeorch.decide.placement.asks import Ask, Candidate, may_run
from nodeorch.decide.placement.rank import PRIME, cost, key
from nodeorch.decide.placement.table import Table


class Search:
    """Places for one workload, as long as no other is placed meanwhile."""

    def __init__(self, table: Table, ask: Ask, need: int, taken: Counter[str]) -> None:
        """``need``: bytes to be found on one host; ``taken``: its replicas on each host."""
        self._table = table
        self._ask = ask
        self._need = need
        self._taken = taken
        self._barred = table.barred(ask)
        self._pool = table.pool(ask)
        self._key = key("workload", ask.name)
        self._values = Counter[str]()
        """Replicas by the value of what they are spread over, unless that is the hosts."""
        if ask.spread != "host":
            for name, count in taken.items():
                self._values[self._value(table.hosts[table.index[name]])] += count
        self._ranked = self._by_rank()

    def find(self) -> str:
        """A host for one more; "" if there is none. What is to be together goes home if it can."""
        table, ask = self._table, self._ask
        for name in (ask.home, *ask.prefer) if ask.together else ask.prefer:
            at = table.index.get(name)
            if at is None or at in self._barred or not table.fits(at, self._need):
                continue
            if may_run(ask, table.hosts[at]):
                return name
        full_for = self._pool.full_for
        if full_for is not None and self._need >= full_for:
            return ""
        return self._first() or self._best()

    def take(self, host: str, replicas: int = 1) -> None:
        """So many replicas get their places on the host."""
        at = self._table.index[host]
        self._table.hold(self._ask, (host,), replicas)
        self._taken[host] += replicas
        if self._ask.ports:
            self._barred.add(at)
        if self._ask.spread != "host":
            self._values[self._value(self._table.hosts[at])] += replicas
            self._ranked = self._by_rank()  # what was passed over for its value may be next

    def _by_rank(self) -> Iterator[int]:
        used, limit, need, barred = self._table.used, self._table.limit, self._need, self._barred
        return self._pool.ranked(
            self._key, lambda at: used[at] + need <= limit[at] and at not in barred
        )

    def _first(self) -> str:
        """The first by rank that no other betters in spread, and that is not too full."""
        least = min((self._values[value] for value in self._all_values()), default=0)
        for at in self._ranked:
            host = self._table.hosts[at]
            if not self._namesake(host) and self._spread(host) == (least, 0):
                return host.name
        return ""

    def _best(self) -> str:
        """By spread; then the first by rank that is not too full, then the emptiest."""
        table, need = self._table, self._need
        fitting = [at for at in self._pool.members if table.fits(at, need)]
        if not fitting:
            self._pool.full_for = need  # so that the next one of its size need not look

        def order(at: int) -> tuple[tuple[int, int], bool, float, float, int]:
            full = table.used[at] + need > table.limit[at]
            part = table.used[at] / table.memory[at] if full and table.memory[at] > 0 else 0.0
            rank = cost(table.keys[at] * self._key % PRIME, table.weights[at])
            return self._spread(table.hosts[at]), full, part, rank, at

        open_to = [
            at for at in fitting if at not in self._barred and not self._namesake(table.hosts[at])
        ]
        return table.hosts[min(open_to, key=order)].name if open_to else ""

    def _namesake(self, host: Candidate) -> bool:
        """Whether the host declares another workload of that name."""
        return self._ask.name in host.names and host.name != self._ask.home

    def _spread(self, host: Candidate) -> tuple[int, int]:
        """The lower the better: replicas with the same value, and on the same host."""
        same = self._values[self._value(host)] if self._values else 0
        return same, self._taken[host.name]

    def _value(self, host: Candidate) -> str:
        return host.labels.get(self._ask.spread, "")

    def _all_values(self) -> frozenset[str]:
        if not self._values:
            return frozenset()
        values = self._pool.values.get(self._ask.spread)
        if values is None:
            values = frozenset(self._value(self._table.hosts[at]) for at in self._pool.members)
            self._pool.values[self._ask.spread] = values
        return values
