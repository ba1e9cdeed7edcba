"""A storm over a fleet: hosts that die, networks that are cut, people who edit, all at random.

Engines and network are slow: an act takes effect some steps after it was asked for, and what a
host tells arrives late. At each step no decision may leave an *available* workload without a
copy, end at home what runs there, or take anything over under the brake. When the storm is over
and everything is there again, what is declared runs, once, and the rest nowhere.
"""

from __future__ import annotations

from collections.abc import Callable
from math import inf
from random import Random

from nodeorch.decide.fleet.graves import overruled, take_refusal
from nodeorch.model.actions import Action, StartContainer, StopContainer
from nodeorch.model.fleet import Claim, movable
from nodeorch.model.placing import Failback, Failover, FailoverMode, Scope
from nodeorch.model.world import Code
from tests.decide.fleetstory import STEP, Fleet, FleetHost
from tests.decide.story import Story, workload

STALE = 4.0
"""Seconds for which others may believe in what has just died."""
REST = 60.0
"""Seconds after a storm in which everything must be in its place again."""
QUIET = 10.0
GIVEN_UP = frozenset({Code.ELSEWHERE, Code.GIVEN_BACK})
"""Reasons of the fleet to end a copy: another one is ready."""


class SlowHost(FleetHost):
    """Its engine takes its time."""

    random = Random(0)
    watch: Callable[[FleetHost, Action], None] | None = None

    def boot(self, *, lost_disk: bool = False, reboot: bool = True) -> None:
        self.flight: list[tuple[float, Action]] = []
        super().boot(lost_disk=lost_disk, reboot=reboot)

    def settle(self, most: int = 60) -> Story:
        for at, action in [f for f in self.flight if f[0] <= self.now]:
            self.flight.remove((at, action))
            self.obey(action)
        for action in self.step():
            if self.watch is not None:
                self.watch(self, action)
            self.flight.append((self.now + self.random.choice((0.0, 0.2, 0.5, 1.0)), action))
        self.wake_at = self.plan().wake_at
        due = (self.wake_at, self.world.fleet.wake_at)
        assert all(at is None or at > self.now for at in due), f"a busy loop: {due}"
        return self


class FleetStorm(Fleet):
    kind = SlowHost

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        super().__init__(self.random.randint(2, 6))
        self.deleted: dict[str, str] = {}
        """Name → its home."""
        self.excused: dict[str, float] = {}
        """Workloads that may have no copy until then."""
        self.edited: dict[str, float] = {}
        self.moved_at: dict[tuple[str, str], float] = {}
        """(host, workload and slot) → when the fleet ended that copy there."""
        self.last_fault = 0.0
        self.log: list[str] = []
        for host in self.hosts.values():
            assert isinstance(host, SlowHost)
            host.random, host.watch = self.random, self._watch

    # what may happen ----------------------------------------------------------------------

    def begin(self) -> FleetStorm:
        for host in self.hosts.values():
            host.now = self.now
            host.boot(reboot=False)
        self.run(7.0)
        for name in self.hosts:
            for n in range(self.random.randint(1, 2)):
                self.edit(name, f"w{name[1:]}{'ab'[n]}")
        self.run(8.0)
        return self

    def rage(self, events: int) -> FleetStorm:
        for _ in range(events):
            event, weight = zip(*EVENTS.items(), strict=True)
            [verb] = self.random.choices(event, weight)
            host = self.random.choice(sorted(self.hosts))
            self.last_fault = self.now
            verb(self, host)
            self.run(self.random.choice((0.25, 0.5, 1.0, 3.0, 6.0, 12.0)))
        return self

    def note(self, words: str) -> None:
        self.log.append(f"{self.now:g} {words}")

    def excuse(self, name: str, seconds: float) -> None:
        self.excused[name] = max(self.excused.get(name, 0.0), self.now + seconds)

    def edit(self, host: str, name: str) -> None:
        there, random = self.hosts[host], self.random
        if not there.on:
            return
        scope = random.choice((*[Scope.HOST] * 5, Scope.FLEET, Scope.FLEET, Scope.EVERY_HOST))
        mode = random.choice((*[FailoverMode.AVAILABLE] * 6, FailoverMode.NONE))
        if name in there.files and random.random() < 0.7:
            old = there.files[name]
            scope, mode = old.main.scope, old.failover.mode
        spec = workload(
            name,
            image=f"localhost/web:{random.randint(1, 3)}",
            replicas=random.randint(2, 4) if scope is Scope.FLEET else random.randint(1, 2),
            scope=scope,
            failover=Failover(
                mode=mode,
                after=random.choice((0.0, 0.0, 3.0)),
                failback=random.choice(tuple(Failback)),
            ),
        )
        self.note(f"{host} declares {name}: {scope.value} {spec.failover}")
        self.deleted.pop(name, None)
        if name in self.edited and self.now - self.edited[name] < QUIET:
            self.excuse(name, STALE)  # an update upon an update gives up what is half done
        self.edited[name] = self.now
        there.specs(spec)

    def power_off(self, host: str) -> None:
        self.note(f"power off {host}")
        for name in self.names():
            if self.hosts[host].slots(name):
                self.excuse(name, STALE)
        self.kill(host)
        self.hosts[host].flight = []  # type: ignore[attr-defined]

    def power_on(self, host: str) -> None:
        if not self.hosts[host].power:
            self.note(f"power on {host}")
            self.hosts[host].daemon = True
            self.start(host)

    def lose_disk(self, host: str) -> None:
        there = self.hosts[host]
        if there.power:
            return
        self.note(f"power on {host} with an empty disk")
        for name, home in list(self.deleted.items()):
            if home == host:  # who slept over it may never learn of it
                del self.deleted[name]
        there.daemon = True
        self.start(host, lost_disk=True)

    def split(self, host: str) -> None:
        names = sorted(self.hosts)
        self.random.shuffle(names)
        at = self.random.randint(1, len(names) - 1)
        one_way = self.random.random() < 0.3
        self.note(f"cut {names[:at]} from {names[at:]}{' one way' if one_way else ''}")
        self.cut(names[:at], names[at:], one_way=one_way)

    def cut_pair(self, host: str) -> None:
        other = self.random.choice([h for h in self.hosts if h != host])
        self.note(f"cut {host} from {other}")
        self.cut([host], [other])

    def mend(self, host: str) -> None:
        self.note("heal")
        self.heal()

    def daemon_off(self, host: str) -> None:
        if self.hosts[host].on:
            self.note(f"daemon of {host} is killed")
            self.kill_daemon(host)
            self.hosts[host].flight = []  # type: ignore[attr-defined]

    def daemon_on(self, host: str) -> None:
        if self.hosts[host].power:
            self.note(f"daemon of {host} starts")
            self.start_daemon(host)

    def serf_toggle(self, host: str) -> None:
        self.hosts[host].serf = not self.hosts[host].serf
        self.note(f"Serf of {host}: {self.hosts[host].serf}")

    def change(self, host: str) -> None:
        files = sorted(self.hosts[host].files)
        self.edit(host, self.random.choice(files) if files else f"w{host[1:]}a")

    def remove(self, host: str) -> None:
        there = self.hosts[host]
        if there.on and there.files:
            name = self.random.choice(sorted(there.files))
            self.note(f"{host} deletes {name}")
            self.excuse(name, inf)
            self.deleted[name] = host
            self.delete(host, name)

    def operate(self, host: str) -> None:
        there = self.hosts[host]
        names = [n for n, s in there.world.workloads.items() if not s.record.home]
        if not there.on or not names:
            return
        name = self.random.choice(sorted(names))
        verb = self.random.choice(("stop", "start", "scale", "restart"))
        more = {"replicas": self.random.randint(0, 3)} if verb == "scale" else {}
        self.note(f"{host} {verb} {name} {more or ''}")
        # It is obeyed wherever a copy runs, as soon as that host is heard.
        self.excuse(name, inf)
        there.command(verb, name, **more)

    def crash(self, host: str) -> None:
        there = self.hosts[host]
        running = sorted(there.running()) if there.on else []
        if running:
            name = self.random.choice(running)
            self.note(f"{name} dies on {host}")
            self.excuse(name.split(".")[0], STALE)
            there.die(name)

    def take_home(self, host: str) -> None:
        world = self.hosts[host].world
        names = [n for n in world.fleet.claims if take_refusal(world, n, forced=False) is None]
        if self.hosts[host].on and names:
            name = self.random.choice(sorted(names))
            self.note(f"{host} takes {name}")
            self.deleted.pop(name, None)
            self.take(host, name)

    # what must not ------------------------------------------------------------------------

    def names(self) -> set[str]:
        return {n for host in self.hosts.values() for n in host.world.workloads}

    def run(self, seconds: float) -> Fleet:
        end = self.now + seconds
        while self.now < end:
            self.now += STEP
            before = {name: self.copies_now(name) for name in self.names()}
            braked = {h.name: h.world.fleet for h in self.hosts.values() if h.world.fleet.brake}
            on = [host for host in self.hosts.values() if host.on]
            self.random.shuffle(on)
            for host in on:
                host.now = max(host.now, self.now)
                self._serf(host)
                self._hear(host)
            for host in on:
                if self.random.random() < 0.7:
                    self._talk(host)
                host.tick()
                host.settle()
            self._check(before)
            for name, fleet in braked.items():
                after = self.hosts[name].world.fleet
                words = f"{name} takes over under the brake"
                assert after.brake is None or after.takeovers == fleet.takeovers, words
        return self

    def copies_now(self, name: str) -> int:
        return sum(len(host.slots(name)) for host in self.hosts.values())

    def _check(self, before: dict[str, int]) -> None:
        for name, count in before.items():
            if count and not self.copies_now(name) and self.excused.get(name, 0.0) < self.now:
                raise AssertionError(f"no copy of {name} anywhere at {self.now}")

    def _watch(self, host: FleetHost, action: Action) -> None:
        name, key = action.workload, (host.name, ".".join(action.key.split(".")[:2]))
        state = host.world.workloads.get(name)
        if isinstance(action, StopContainer) and action.why.code in GIVEN_UP and state:
            self.moved_at[key] = self.now
            claim = host.world.fleet.claims.get(name)
            home = not state.record.home and not overruled(host.world, state)
            if home and claim is not None:
                spread = claim.declared.workload.main.scope is not Scope.HOST
                words = f"{host.name} ends {name} at home: {action.why.words}"
                assert spread or claim.rivals, words
        if isinstance(action, StartContainer):
            moved = self.moved_at.get(key, 0.0)
            recent = moved > self.last_fault and self.now - moved < QUIET
            assert not recent, f"{host.name} starts {name}, which it has just given up"

    # what must be in the end --------------------------------------------------------------

    def calm(self) -> FleetStorm:
        self.note("calm")
        self.heal()
        for host in self.hosts.values():
            host.serf = True
            if not host.power:
                self.power_on(host.name)
            elif not host.daemon:
                self.daemon_on(host.name)
        self.last_fault = self.now
        self.run(REST)
        lines = {name: len(host.journal) for name, host in self.hosts.items()}
        self.run(QUIET)
        for name, host in self.hosts.items():
            late = [n.why.words for _, n in host.journal[lines[name] :]]
            assert not late, f"{name} has no rest: {late[:3]}"
        return self

    def judge(self) -> None:
        worlds = {name: host.world for name, host in self.hosts.items()}
        rivals = {n for w in worlds.values() for n, c in w.fleet.claims.items() if c.rivals}
        everywhere = {n: c for w in worlds.values() for n, c in w.fleet.claims.items()}
        first = {n: _key(c) for n, c in everywhere.items() if n not in rivals}
        for host, world in worlds.items():
            found = {n: _key(c) for n, c in world.fleet.claims.items() if n not in rivals}
            assert found == first, f"{host} disagrees: {found}, {first}"
        for name, home in self.deleted.items():
            if any(name in host.files for host in self.hosts.values()):
                continue
            assert not self.places(name), f"{name}, which {home} deleted, runs: {self.places(name)}"
            assert name not in first
        for name in first:
            self._judge_one(name, everywhere[name])
        for there in self.hosts.values():
            assert not there.world.fleet.brake
            for name, spec in there.files.items():
                state = there.world.workloads[name]
                if not movable(spec):
                    slots = list(range(state.replicas)) * (not state.record.stopped)
                    assert there.slots(name) == slots, f"{name} on {there.name}"
                elif not overruled(there.world, state) and name not in rivals:
                    assert first[name][0] == there.name, f"{name} is not {there.name}'s"

    def places(self, name: str) -> dict[str, list[int]]:
        found = {host.name: host.slots(name) for host in self.hosts.values()}
        return {host: slots for host, slots in found.items() if slots}

    def _judge_one(self, name: str, claim: Claim) -> None:
        places, slots = self.places(name), list(range(claim.declared.replicas))
        scope = claim.declared.workload.main.scope
        words = f"{name} of {claim.home} ({scope.value}) runs {places}, of {len(slots)}"
        if scope is Scope.EVERY_HOST:
            hosts = [h for h in self.hosts if not (claim.orphan and h == claim.home)]
            hosts = [h for h in hosts if h == claim.home or name not in self.hosts[h].files]
            wanted = {host: slots for host in hosts if slots}
            assert {h: s for h, s in places.items() if h in wanted} == wanted, words
        else:
            pinned = {h for h in places if self._own(h, name) and h != claim.home}
            mine = {h: s for h, s in places.items() if h not in pinned}
            assert sorted(s for held in mine.values() for s in held) == slots, words
            assert scope is Scope.FLEET or len(mine) <= 1, words
        image = claim.declared.workload.main.image
        for host in places:
            state = self.hosts[host].world.workloads[name]
            if not self._own(host, name):
                assert state.workload.main.image == image, f"{words}: old on {host}"

    def _own(self, host: str, name: str) -> bool:
        spec = self.hosts[host].files.get(name)
        return spec is not None and not movable(spec)


def _key(claim: Claim) -> tuple[str, str, bool, int]:
    declared = claim.declared
    return claim.home, declared.digest, claim.orphan, declared.term


EVENTS: dict[Callable[[FleetStorm, str], None], int] = {
    FleetStorm.power_off: 6,
    FleetStorm.power_on: 8,
    FleetStorm.lose_disk: 1,
    FleetStorm.split: 4,
    FleetStorm.cut_pair: 3,
    FleetStorm.mend: 7,
    FleetStorm.daemon_off: 2,
    FleetStorm.daemon_on: 4,
    FleetStorm.serf_toggle: 2,
    FleetStorm.change: 4,
    FleetStorm.remove: 2,
    FleetStorm.operate: 3,
    FleetStorm.crash: 2,
    FleetStorm.take_home: 2,
}


def storm(seed: int, events: int = 15) -> FleetStorm:
    fleet = FleetStorm(seed)
    try:
        fleet.begin().rage(events).calm().judge()
    except AssertionError as error:
        story = "\n  ".join(fleet.log)
        raise AssertionError(f"seed {seed}: {error}\n  {story}") from error
    return fleet
