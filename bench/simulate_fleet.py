"""A made-up fleet: hosts of several sizes in zones, and workloads such as people declare."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from hashlib import sha256
from random import Random
from typing import NamedTuple

from msgspec.structs import replace

from nodeorch.decide.fleet.copies import ask
from nodeorch.decide.placement import Ask, Candidate
from nodeorch.model.fleet import Claim, Declared, Stamp, View
from nodeorch.model.placing import Failover, FailoverMode, Placement, Scope
from nodeorch.model.workload import MIB, Main, Port, Resources, Workload

ZONES = ("a", "b", "c")
HOST_GIB = (16, 16, 32, 64)
SIZES_MIB = (64, 64, 128, 128, 256, 512, 1024, 2048)
PORTS = range(8000, 8020)


class Made(NamedTuple):
    """A fleet, and what it is to run."""

    hosts: dict[str, Candidate]
    views: dict[str, View]
    asks: list[Ask]

    def filled(self, share: float) -> dict[str, Candidate]:
        """The hosts, of such a size that the asks request this share of all their memory."""
        factor = asked(self.asks) / share / sum(host.memory for host in self.hosts.values())
        return {
            name: replace(host, memory=int(host.memory * factor))
            for name, host in self.hosts.items()
        }

    @property
    def homeless(self) -> list[Ask]:
        """The asks, of workloads that may not simply stay at home."""
        return [replace(one, home="") for one in self.asks]


def make(hosts: int, workloads: int, seed: int) -> Made:
    random = Random(seed)
    names = [f"host{i:04}" for i in range(hosts)]
    declared: dict[str, dict[str, Declared]] = {name: {} for name in names}
    asks = []
    for i in range(workloads):
        home = names[i % hosts]
        one = _declare(_workload(i, names, random))
        declared[home][one.workload.name] = one
        asks.append(ask(one.workload.name, Claim(home=home, declared=one)))
    views = {
        name: View(host=name, lineage=_hex(name)[:16], stamp=Stamp(1, len(held)), declared=held)
        for name, held in declared.items()
    }
    return Made({name: _host(at, name, random) for at, name in enumerate(names)}, views, asks)


def _host(at: int, name: str, random: Random) -> Candidate:
    memory = random.choice(HOST_GIB) * 1024 * MIB
    return Candidate(name, memory, labels={"zone": ZONES[at % len(ZONES)]})


def _declare(workload: Workload) -> Declared:
    digest = _hex(workload.name)
    return Declared(workload, digest, generation=1, image_digest=f"sha256:{digest}")


def _hex(name: str) -> str:
    return sha256(name.encode()).hexdigest()


def _workload(number: int, hosts: Sequence[str], random: Random) -> Workload:
    """Six of seven are one container that fails over; a few have labels, ports, foes, wishes."""
    name = f"w{number:05}"
    spread_out = random.random() < 1 / 7
    one_in = lambda n: random.random() < 1 / n  # noqa: E731
    main = Main(
        name=name,
        image=f"registry.example/team/{name}:1.0",
        scope=Scope.FLEET if spread_out else Scope.HOST,
        replicas=random.randint(2, 4) if spread_out else 1,
        env={"LEVEL": "info", "UPSTREAM": f"http://w{number // 2:05}:8080"},
    )
    ports = (Port(container=8080, host=random.choice(PORTS)),) if one_in(50) else ()
    failover = Failover(
        mode=FailoverMode.NONE if spread_out else FailoverMode.AVAILABLE,
        prefer=tuple(random.sample(hosts, 2)) if one_in(20) and len(hosts) > 1 else (),
    )
    placement = Placement(
        constraints={"zone": (random.choice(ZONES),)} if one_in(10) and not spread_out else {},
        spread="zone" if spread_out and one_in(2) else "host",
        avoid=(f"w{number - 1:05}",) if number and one_in(20) else (),
    )
    return Workload(
        main=main,
        resources=Resources(memory=random.choice(SIZES_MIB) * MIB),
        ports=ports,
        failover=failover,
        placement=placement,
    )


def asked(asks: Sequence[Ask]) -> int:
    """Bytes that all replicas request in sum."""
    return sum(one.memory * one.slots for one in asks)


def placed(asks: Sequence[Ask], seats: Mapping[str, Sequence[str]]) -> tuple[int, int]:
    """Replicas that have a place, and the bytes that they request."""
    counts = {one.name: sum(map(bool, seats[one.name])) for one in asks}
    return sum(counts.values()), sum(one.memory * counts[one.name] for one in asks)


def most(asks: Sequence[Ask], room: int) -> tuple[int, int]:
    """No packing places more replicas, nor more bytes, were the room in one piece and no rule."""
    count, left = 0, room
    for memory in sorted(one.memory for one in asks for _ in range(one.slots)):
        left -= memory
        if left < 0:
            break
        count += 1
    return count, min(room, asked(asks))


def moves(before: Mapping[str, Sequence[str]], after: Mapping[str, Sequence[str]]) -> int:
    """Replicas that are on a host on which they were not, or on none."""
    return sum(
        (Counter(held) - Counter(after[name])).total() for name, held in before.items() if any(held)
    )
