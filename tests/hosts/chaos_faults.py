"""What happens to a fleet: faults and edits, drawn from a seeded die, and what they amount to."""

from __future__ import annotations

import contextlib
import random
import signal
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from tests.hosts.fleet import Fleet
from tests.hosts.watch import serving

HOLD = (1.0, 12.0)
"""Seconds that a fault lasts."""
CALM = (0.0, 6.0)
"""Seconds between two faults; often the first has not been dealt with yet."""


@dataclass(frozen=True)
class Part:
    """A workload as it is declared at present."""

    name: str
    home: str
    copies: int
    port: int | None = None
    """It is watched there."""
    more: str = ""
    workload: str = ""
    colour: int = 0

    def text(self) -> str:
        workload = f'{self.workload}\nenv = {{ COLOUR = "{self.colour}" }}'
        return serving(self.name, self.port, self.more, workload)


def company(hosts: list[str]) -> dict[str, Part]:
    """On each host one that fails over and one that does not; one of the fleet, one everywhere."""
    available = '[failover]\nmode = "available"\n'
    parts = [Part(f"a{n}", host, 1, 18100 + n, available) for n, host in enumerate(hosts)]
    parts += [Part(f"n{n}", host, 1) for n, host in enumerate(hosts)]
    parts += [
        Part("fleet", hosts[-1], 2, workload='scope = "fleet"\nreplicas = 2'),
        Part("every", hosts[0], len(hosts), workload='scope = "every-host"'),
    ]
    return {part.name: part for part in parts}


@dataclass
class Plight:
    """What is amiss with the fleet at a moment."""

    dumb: dict[str, str] = field(default_factory=dict)
    """Host → why it cannot act: off, frozen, its daemon stopped."""
    cut: set[tuple[str, str]] = field(default_factory=set)
    """From, to."""
    lossy: bool = False

    def majority(self, hosts: list[str]) -> bool:
        """More than half of the hosts can act and all hear each other."""
        able = [host for host in hosts if host not in self.dumb]

        def heard_by(one: str) -> list[str]:
            return [o for o in able if (one, o) not in self.cut and (o, one) not in self.cut]

        return not self.lossy and any(2 * len(heard_by(one)) > len(hosts) for one in able)


@dataclass(frozen=True)
class Moment:
    """Something happened, CLOCK_MONOTONIC seconds."""

    at: float
    words: str
    majority: bool
    off: frozenset[str]
    """Hosts that have lost power at this moment or before, and are off."""
    edited: str = ""
    """The workload that was changed."""


class Chaos:
    def __init__(self, fleet: Fleet, parts: dict[str, Part], dice: random.Random) -> None:
        self.fleet = fleet
        self.parts = parts
        self.dice = dice
        self.plight = Plight()
        self.moments: list[Moment] = []
        self.counts: Counter[str] = Counter()
        self.program: list[tuple[int, Callable[[], None]]] = [
            (8, self.power_off),
            (1, self.all_power_off),
            (4, self.freeze),
            (5, self.cut_one),
            (3, self.cut_some),
            (3, self.one_way),
            (2, self.lose),
            (2, self.flap),
            (4, self.kill_daemon),
            (3, self.stop_daemon),
            (2, self.kill_serf),
            (2, self.stop_serf),
            (2, self.kill_engine),
            (4, self.edit),
            (2, self.delete),
        ]

    def run(self, faults: int) -> None:
        """Returns right after the last: what is measured then is the whole way back."""
        weights = [weight for weight, _ in self.program]
        for n in range(faults):
            if n:
                self._wait(CALM)
            _, act = self.dice.choices(self.program, weights)[0]
            self.counts[act.__name__.replace("_", " ")] += 1
            act()

    def heal(self) -> None:
        """Everything is whole again, as far as hands can make it."""
        self.fleet.heal()
        for host in self.fleet.hosts:
            self.fleet.start(host)
            self._signal(host, "nodeorchd", signal.SIGCONT)
            self._signal(host, "serf", signal.SIGCONT)
        self.plight = Plight()
        self._note("healed")

    # -- helpers ---------------------------------------------------------------------------

    def _note(self, words: str, edited: str = "") -> None:
        off = frozenset(host for host, why in self.plight.dumb.items() if why == "off")
        majority = self.plight.majority(self.fleet.hosts)
        self.moments.append(Moment(time.monotonic(), words, majority, off, edited))

    def _wait(self, span: tuple[float, float]) -> None:
        time.sleep(self.dice.uniform(*span))

    def _host(self) -> str:
        return self.dice.choice(self.fleet.hosts)

    def _signal(self, host: str, service: str, number: signal.Signals) -> None:
        # The service may be on its way up; the fault is void then.
        with contextlib.suppress(AssertionError, OSError):
            self.fleet.signal(host, service, number)

    # -- to hosts --------------------------------------------------------------------------

    def power_off(self) -> None:
        self._power_off([self._host()])

    def all_power_off(self) -> None:
        self._power_off(self.fleet.hosts)

    def _power_off(self, hosts: list[str]) -> None:
        for host in hosts:
            self.plight.dumb[host] = "off"
            self._note(f"{host} loses power")
            self.fleet.kill(host)
        self._wait(HOLD)
        for host in hosts:
            self.fleet.start(host)
            del self.plight.dumb[host]
            self._note(f"{host} has power")

    def freeze(self) -> None:
        host = self._host()
        self.plight.dumb[host] = "frozen"
        self._note(f"{host} is frozen")
        self.fleet.freeze(host)
        self._wait(HOLD)
        self.fleet.start(host)
        del self.plight.dumb[host]
        self._note(f"{host} goes on")

    # -- to the network --------------------------------------------------------------------

    def cut_one(self) -> None:
        self._cut([self._host()])

    def cut_some(self) -> None:
        self._cut(self.dice.sample(self.fleet.hosts, len(self.fleet.hosts) // 2))

    def _cut(self, group: list[str]) -> None:
        self.fleet.cut(*group)
        rest = [host for host in self.fleet.hosts if host not in group]
        self.plight.cut = {pair for a in group for b in rest for pair in ((a, b), (b, a))}
        self._note(f"{', '.join(group)} cut off")
        self._mend()

    def one_way(self) -> None:
        a, b = self.dice.sample(self.fleet.hosts, 2)
        self.fleet.one_way(a, b)
        self.plight.cut = {(a, b)}
        self._note(f"{b} does not hear {a}")
        self._mend()

    def lose(self) -> None:
        percent = self.dice.choice((5, 15, 30))
        self.fleet.loss(percent)
        self.plight.lossy = True
        self._note(f"{percent} % of all packets are lost")
        self._mend()

    def _mend(self) -> None:
        self._wait(HOLD)
        self.fleet.heal()
        self.plight.cut, self.plight.lossy = set(), False
        self._note("the network is whole")

    def flap(self) -> None:
        host = self._host()
        rest = [other for other in self.fleet.hosts if other != host]
        self.plight.cut = {pair for other in rest for pair in ((host, other), (other, host))}
        self._note(f"the link of {host} flaps")
        self.fleet.flap(host, self.dice.randint(2, 6), self.dice.choice((0.3, 1.0, 2.5)))
        self.plight.cut = set()
        self._note("the network is whole")

    # -- to services -----------------------------------------------------------------------

    def kill_daemon(self) -> None:
        self._kill("nodeorchd")

    def kill_serf(self) -> None:
        self._kill("serf")

    def kill_engine(self) -> None:
        self._kill("podman")

    def _kill(self, service: str) -> None:
        host = self._host()
        self._note(f"{service} on {host} is killed")
        self._signal(host, service, signal.SIGKILL)

    def stop_daemon(self) -> None:
        host = self._host()
        self.plight.dumb[host] = "daemon stopped"
        self._stop(host, "nodeorchd")
        del self.plight.dumb[host]
        self._note(f"nodeorchd on {host} goes on")

    def stop_serf(self) -> None:
        self._stop(self._host(), "serf")

    def _stop(self, host: str, service: str) -> None:
        self._note(f"{service} on {host} is stopped")
        self._signal(host, service, signal.SIGSTOP)
        self._wait(HOLD)
        self._signal(host, service, signal.SIGCONT)

    # -- to what is declared ---------------------------------------------------------------

    def declare(self, part: Part) -> None:
        self.parts[part.name] = part
        self.fleet.write_spec(part.home, part.name, part.text())

    def edit(self) -> None:
        part = self.parts[self.dice.choice(sorted(self.parts))]
        self._note(f"{part.name} is edited", part.name)
        self.declare(replace(part, colour=part.colour + 1))

    def delete(self) -> None:
        """Of those that are not watched; declared again a moment later, or never."""
        names = sorted(name for name, part in self.parts.items() if part.port is None)
        if not names:
            return
        part = self.parts.pop(self.dice.choice(names))
        self._note(f"{part.name} is deleted", part.name)
        self.fleet.remove_spec(part.home, part.name)
        if self.dice.random() < 0.5:
            self._wait(CALM)
            self._note(f"{part.name} is declared again", part.name)
            self.declare(part)
