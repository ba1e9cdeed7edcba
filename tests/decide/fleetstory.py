"""A fleet in a story: several hosts, each a :class:`Story`, and the network between them.

``Fleet`` has the clock. Hosts that can hear each other have links; each tells the others its
report and opinion, and fetches views that are newer than its own from whoever has them. After
each look it refuses what must never be: a workload of mode *available* that was ready somewhere
and is nowhere, unless a power-off or a person took it away.
"""

from __future__ import annotations

from collections.abc import Iterable

from msgspec.structs import replace

from nodeorch.decide.fleet.copies import report
from nodeorch.decide.fleet.graves import mirrored, take_refusal
from nodeorch.model.facts import (
    EngineSeen,
    Fact,
    HostRemoved,
    LinkSeen,
    Listed,
    Loaded,
    MembersSeen,
    OpinionSeen,
    ReportSeen,
    SpecsSeen,
    Tick,
    ViewSeen,
)
from nodeorch.model.fleet import Fleet as FleetState
from nodeorch.model.fleet import Hearing, Member, MemberStatus, Standing, View
from nodeorch.model.workload import Workload
from nodeorch.model.world import Node, Note, State, World
from tests.decide.story import Story

SILENT_AFTER = 2.0
SERF_AFTER = 7.0
STEP = 0.25


class FleetHost(Story):
    """One host; ``disk`` is what survives it."""

    def __init__(self, name: str, *specs: Workload, memory: int, labels: dict[str, str]) -> None:
        super().__init__(*specs, memory=memory, boot_id=f"{name}-1")
        self.name = name
        self.boots = 1
        self.runs = 1
        self.power = True
        self.daemon = True
        self.serf = True
        self.left = False
        self.taken_by = ""
        """The address of a stranger that uses the name."""
        self.labels = labels
        self.memory = memory
        self.heard_at: dict[str, float] = {}
        self.told: dict[str, object] = {}
        self.journal: list[tuple[float, Note]] = []
        self.links = True
        self.alone = False
        self.wake_at: float | None = None
        self.world = self._fresh()

    @property
    def on(self) -> bool:
        return self.power and self.daemon

    def _drain(self) -> None:
        self.journal += [(self.now, note) for note in self.world.notes]
        super()._drain()

    def tick(self) -> None:
        """Time tells only what something waits for."""
        due = (self.world.fleet.wake_at, self.wake_at)
        if any(at is not None and at <= self.now for at in due):
            self.wake_at = None
            self.tell(Tick())

    def settle(self, most: int = 60) -> Story:
        super().settle(most)
        self.wake_at = self.plan().wake_at
        return self

    def _fresh(self) -> World:
        node = Node(
            name=self.name,
            boot_id=f"{self.name}-{self.boots}",
            memory=self.memory,
            labels=self.labels,
        )
        if self.alone:
            return World(node=node, wall_ahead=1e9)
        address = f"10.0.0.{self.name[1:]}"
        fleet = FleetState(me=self.name, address=address, version="1", links=self.links)
        return World(node=node, fleet=fleet, wall_ahead=1e9)

    def boot(self, *, lost_disk: bool = False, reboot: bool = True) -> None:
        """Start the daemon on what the disk holds; after a reboot nothing runs."""
        old = self.world
        self.runs += 1
        if reboot:
            self.boots += 1
            for key, container in self.containers.items():
                self.containers[key] = replace(container, state=State.EXITED, pid=0, exit_code=0)
        if lost_disk:
            self.containers = {}
            self.files = {}
        self.heard_at, self.told = {}, {}
        self.world = self._fresh()
        desired = {} if lost_disk else {n: s.record for n, s in old.workloads.items()}
        instances = {i.name: i.record for s in old.workloads.values() for i in s.instances.values()}
        self.tell(
            Loaded(
                desired=desired,
                instances={} if lost_disk else instances,
                serial=0 if lost_disk else old.serial,
                fleet=None if lost_disk else old.fleet.record,
                views={} if lost_disk else dict(old.fleet.views),
                lineage=f"{self.name}-{self.boots}",
                wall=1e9 + self.now,
            )
        )
        self.tell(SpecsSeen(workloads=dict(self.files)))
        self.tell(EngineSeen(answering=True, words="answers"))
        self.relist()

    def once(self, key: str, fact: Fact) -> None:
        """Adapters tell only what has changed."""
        if self.told.get(key) != fact:
            self.told[key] = fact
            self.tell(fact)

    def ready(self, name: str) -> int:
        state = self.world.workloads.get(name)
        if state is None or not self.power:
            return 0
        running = self.running()
        return sum(1 for i in state.instances.values() if i.name in running)

    def slots(self, name: str) -> list[int]:
        """Of containers that run, whatever the daemon knows of them."""
        if not self.power:
            return []
        found = (c.name.split(".") for c in self.containers.values() if c.state is State.RUNNING)
        return sorted(int(slot) for own, slot, _ in found if own == name)


class Fleet:
    kind: type[FleetHost] = FleetHost

    def __init__(
        self,
        count: int = 3,
        *,
        memory: int = 1 << 40,
        labels: dict[str, dict[str, str]] | None = None,
    ) -> None:
        self.now = 1000.0
        self.hosts = {
            f"h{n}": self.kind(f"h{n}", memory=memory, labels=(labels or {}).get(f"h{n}", {}))
            for n in range(1, count + 1)
        }
        self.cuts: set[tuple[str, str]] = set()
        """(from, to) that cannot be heard."""
        self.failed_at: dict[tuple[str, str], float] = {}
        self.never_none: set[str] = set()
        """Workloads that must have a copy from now on."""

    def up(self) -> Fleet:
        for host in self.hosts.values():
            host.now = self.now
            host.boot(reboot=False)
        return self.run(6.0)

    def declare(self, host: str, *specs: Workload) -> Fleet:
        self.hosts[host].specs(*specs)
        return self

    def delete(self, host: str, name: str) -> Fleet:
        del self.hosts[host].files[name]
        self.hosts[host].tell(SpecsSeen(workloads=dict(self.hosts[host].files), deleted=(name,)))
        return self

    # what happens to hosts ----------------------------------------------------------------

    def kill(self, *names: str) -> Fleet:
        for name in names:
            self.hosts[name].power = False
            for key, container in self.hosts[name].containers.items():
                fresh = replace(container, state=State.EXITED, pid=0, exit_code=0)
                self.hosts[name].containers[key] = fresh
        return self

    def start(self, *names: str, lost_disk: bool = False) -> Fleet:
        for name in names:
            host = self.hosts[name]
            host.power = True
            host.now = self.now
            host.boot(lost_disk=lost_disk)
        return self

    def cut(self, one: Iterable[str], other: Iterable[str], *, one_way: bool = False) -> Fleet:
        for a in one:
            for b in other:
                self.cuts.add((a, b))
                if not one_way:
                    self.cuts.add((b, a))
        return self

    def heal(self) -> Fleet:
        self.cuts.clear()
        return self

    def kill_daemon(self, *names: str) -> Fleet:
        for name in names:
            self.hosts[name].daemon = False
        return self

    def start_daemon(self, *names: str) -> Fleet:
        for name in names:
            self.hosts[name].daemon = True
            self.hosts[name].now = self.now
            self.hosts[name].boot(reboot=False)
        return self

    def take(self, host: str, name: str) -> Fleet:
        """As the desk does: its home's file is written here."""
        there = self.hosts[host]
        assert take_refusal(there.world, name, forced=True) is None
        homes = mirrored(there.world, name)
        there.files[name] = homes[min(homes, key=lambda h: (-homes[h].term, h))].workload
        there.tell(SpecsSeen(workloads=dict(there.files), taken=(name,), by="ann"))
        return self

    def leave(self, name: str) -> Fleet:
        """The host leaves; its daemon goes on until it is told that it is alone."""
        self.hosts[name].tell(HostRemoved(host=name, by="ann"))
        self.run(1)
        self.hosts[name].left = True
        return self

    # time ---------------------------------------------------------------------------------

    def run(self, seconds: float) -> Fleet:
        end = self.now + seconds
        while self.now < end:
            self.now += STEP
            on = [host for host in self.hosts.values() if host.on]
            for host in on:
                host.now = max(host.now, self.now)
                self._serf(host)
                self._hear(host)
            for _ in range(4):
                for host in on:
                    self._talk(host)
                    host.tick()
                    host.settle()
            self._judge()
        return self

    def _hears(self, host: FleetHost, other: str) -> bool:
        """A link is one connection: it needs both directions."""
        there = self.hosts[other]
        return there.daemon and not (there.left or host.left) and self._reaches(host.name, other)

    def _reaches(self, one: str, other: str) -> bool:
        pair = ((other, one), (one, other))
        return self.hosts[other].power and not any(way in self.cuts for way in pair)

    def _serf(self, host: FleetHost) -> None:
        if not host.serf:
            host.once("serf", MembersSeen(trouble="connection refused"))
            return
        members = []
        for name, other in self.hosts.items():
            key = (host.name, name)
            if host.left and name != host.name:
                continue
            reachable = name == host.name or self._gossips(host.name, name)
            if reachable:
                self.failed_at.pop(key, None)
            else:
                self.failed_at.setdefault(key, self.now + SERF_AFTER)
            failed = self.failed_at.get(key, self.now + 1) <= self.now
            status = MemberStatus.FAILED if failed else MemberStatus.ALIVE
            if other.left:
                status = MemberStatus.LEFT
            address = other.taken_by or other.world.fleet.address
            members.append(Member(name=name, address=address, status=status))
        host.once("serf", MembersSeen(members=tuple(members)))

    def _gossips(self, one: str, other: str) -> bool:
        """Serf asks others to ask."""
        if not self.hosts[other].serf:
            return False
        return self._reaches(one, other) or any(
            self.hosts[third].serf and self._reaches(one, third) and self._reaches(third, other)
            for third in self.hosts
            if third not in (one, other)
        )

    def _hear(self, host: FleetHost) -> None:
        for name in self.hosts:
            pair = (host.world.fleet.hosts, self.hosts[name].world.fleet.hosts)
            if name == host.name or (name not in pair[0] and host.name not in pair[1]):
                continue  # neither knows the other
            if self._hears(host, name):
                host.heard_at[name] = self.now
                run = f"{name}-{self.hosts[name].runs}"
                host.once(f"link {name}", LinkSeen(name, Hearing.HEARD, run=run))
            elif self.now - host.heard_at.setdefault(name, self.now) >= SILENT_AFTER:
                for key in ("opinion", "report"):  # both are said anew on the next link
                    host.told.pop(f"{key} {name}", None)
                answers = not self.hosts[name].left and self._reaches(host.name, name)
                hearing = Hearing.ANSWERS if answers else Hearing.SILENT
                host.once(f"link {name}", LinkSeen(name, hearing, words="no beat"))

    def _talk(self, host: FleetHost) -> None:
        for name, other in self.hosts.items():
            known = host.world.fleet.hosts.get(name)
            if known is None or known.hearing is not Hearing.HEARD:
                continue
            if not self._hears(host, name):
                continue
            states = other.world.fleet.hosts
            by: dict[Hearing, tuple[str, ...]] = {
                kind: tuple(sorted(n for n, h in states.items() if h.hearing is kind))
                for kind in Hearing
            }
            opinion = OpinionSeen(
                name,
                silent=by[Hearing.SILENT],
                answers=by[Hearing.ANSWERS],
                hears=by[Hearing.HEARD],
            )
            host.once(f"opinion {name}", opinion)
            host.once(f"report {name}", ReportSeen(report(other.world)))
            for view in self._views(other):
                known = host.world.fleet.views.get(view.host)
                mine = host.world.fleet.view
                if view.host == host.name:
                    known = mine
                if known is None or known.stamp < view.stamp:
                    host.tell(ViewSeen(view=view, via=name))

    def _views(self, other: FleetHost) -> list[View]:
        own = other.world.fleet.view
        return [*([own] if own else []), *other.world.fleet.views.values()]

    def _judge(self) -> None:
        for name in self.never_none:
            assert self.copies(name), f"no copy of {name} anywhere at {self.now}"

    # looking ------------------------------------------------------------------------------

    def copies(self, name: str) -> dict[str, int]:
        """Host → replicas that run."""
        found = {host.name: host.ready(name) for host in self.hosts.values()}
        return {host: count for host, count in found.items() if count}

    def where(self, name: str) -> list[str]:
        return sorted(self.copies(name))

    def standing(self, host: str, other: str) -> Standing:
        return self.hosts[host].world.fleet.hosts[other].standing

    def told(self, host: str) -> list[str]:
        return self.hosts[host].words

    def relist(self) -> None:
        for host in self.hosts.values():
            host.tell(Listed(containers=tuple(host.containers.values()), begun=host.now))
