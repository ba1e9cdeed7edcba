"""The hosts while places are given out: what is taken, and who may not be there."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from nodeorch.decide.placement.asks import Ask, Candidate, fits_labels
from nodeorch.decide.placement.rank import Pool, key, weight

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
        self._pinned: dict[str, list[str]] = {}
        """Workload that another avoids → hosts that have one of that name which runs nowhere else.
        """
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
            self._look_for_pinned(asks)
        if any(ask.ports for ask in asks):
            for host in self.hosts:
                for port in host.ports:
                    self._ports.setdefault(port, set()).add(host.name)

    def _avoids(self, ask: Ask) -> None:
        for other in ask.avoid:
            self._foes.setdefault(ask.name, set()).add(other)
            self._foes.setdefault(other, set()).add(ask.name)

    def _look_for_pinned(self, asks: Sequence[Ask]) -> None:
        homes = {ask.name: ask.home for ask in asks if ask.name in self._foes}
        for host in self.hosts:
            for name in host.names & self._foes.keys():
                if homes.get(name) != host.name:
                    self._pinned.setdefault(name, []).append(host.name)

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
        names: set[str] = set()
        for foe in self._foes.get(ask.name, ()):
            names.update(self.seats.get(foe, ()), self.everywhere.get(foe, ()))
        for foe in ask.avoid:
            names.update(self._pinned.get(foe, ()))
        for port in ask.ports:
            names.update(self._ports.get(port, ()))
        return {self.index[name] for name in names if name}
