"""Where movable workloads are now: what this host runs, and what others report.

Reads the reports of hosts that are not lost, and the workloads here. Promises: what a host that is
only suspected holds still counts as held, but not as ready; what this host ran before it booted
counts as neither.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Set
from hashlib import blake2b
from math import inf

from msgspec import Struct

from nodeorch.decide.fleet.members import GATHER, PATIENCE
from nodeorch.decide.placement import Ask, Candidate
from nodeorch.decide.ready import is_ready
from nodeorch.decide.room import request, requested
from nodeorch.model.fleet import (
    Claim,
    Fleet,
    Hearing,
    Host,
    Report,
    Running,
    Standing,
    movable,
)
from nodeorch.model.placing import Scope
from nodeorch.model.world import Code, WorkloadState, World


class Copy(Struct, frozen=True):
    """A workload on one host."""

    slots: frozenset[int]
    ready: frozenset[int]
    digest: str = ""
    idle: bool = False
    seq: int = 0

    def serves(self, slots: Set[int], claim: Claim, instead: Copy | None) -> bool:
        """Whether another copy of those slots can be given up for this one: it is ready, and will
        not be replaced or restarted for what the other has behind it."""
        return self.ready >= slots and (
            self.is_current(claim) or not (instead and instead.is_current(claim))
        )

    def is_current(self, claim: Claim) -> bool:
        declared = claim.declared
        return self.digest == declared.digest and self.seq >= declared.operator_seq


def here(world: World, state: WorkloadState | None) -> Copy | None:
    """What this host holds of a workload; None: nothing, or only from before it booted.

    What is about to be given up is not held: that was decided, and others go by it. What is about
    to be restarted is not ready: nobody gives way to it.
    """
    if state is None or state.record.deleting:
        return None
    boot, seq = world.node.boot_id, state.record.operator_seq
    up = {
        i.record.slot
        for i in state.instances.values()
        if (i.running or i.record.up) and i.record.boot_id == boot
    }
    decided = state.record.held_boot == boot
    held = frozenset(slot for slot in state.slots if decided or slot in up)
    if not held:
        return None
    ready = {
        i.record.slot
        for i in state.instances.values()
        if is_ready(state, i) and i.record.operator_seq >= seq
    }
    return Copy(held, held & ready, _reached(state), seq=seq)


def _reached(state: WorkloadState) -> str:
    """Digest of the version that it has: while an update is under way, the one before."""
    return (state.record.previous or state.record.target).digest


def elsewhere(hosts: Iterable[Host], name: str, claim: Claim) -> dict[str, Copy]:
    """Host → what it holds, as far as it is a copy of this."""
    found = {}
    for host in hosts:
        running = host.report.running.get(name) if host.report else None
        if running is None or not running.slots or running.home in claim.rivals:
            continue
        if running.home == host.name != claim.home:
            continue  # it was its home once: it will end it, and has another version
        ready = frozenset(running.ready) if host.told else frozenset()
        found[host.name] = Copy(
            frozenset(running.slots), ready, running.digest, running.idle, running.seq
        )
    return found


def gone_at(host: Host, claim: Claim) -> float:
    """From when on a host's share of the workload is free for others."""
    if host.lost_at is None:
        return inf
    return max(host.lost_at, host.since + claim.declared.workload.failover.after)


def silent_at(host: Host, claim: Claim) -> float:
    """From when on a host does not keep a home from running what it declares; that it may be
    this host that is cut off is no reason not to."""
    if host.standing is not Standing.DOWN:
        return inf
    return host.since + max(GATHER, claim.declared.workload.failover.after)


def tells_until(fleet: Fleet, host: Host) -> float:
    """Until when a host may still tell what it runs; what it said before it was away does not
    count, nor does it take long after a link is up."""
    if host.lost or host.told or host.hearing is Hearing.SILENT:
        return 0.0
    if host.hearing is Hearing.ANSWERS:
        return fleet.started + PATIENCE if host.report is None else 0.0
    return max(fleet.started, host.since, host.hearing_since) + PATIENCE


def rank(name: str, host: str) -> bytes:
    """Rendezvous order (Thaler and Ravishankar 1998): alike on every host, even over hosts."""
    return blake2b(f"{name}/{host}".encode(), digest_size=8).digest()


def ask(name: str, claim: Claim) -> Ask:
    declared = claim.declared
    workload = declared.workload
    scope = workload.main.scope
    return Ask(
        name=name,
        slots=declared.replicas,
        memory=workload.resources.memory or 0,
        home="" if claim.orphan else claim.home,
        together=scope is Scope.HOST,
        every_host=scope is Scope.EVERY_HOST,
        constraints=workload.placement.constraints,
        spread=workload.placement.spread,
        avoid=workload.placement.avoid,
        prefer=workload.failover.prefer,
        ports=frozenset(p.host for p in workload.ports if p.host),
        priority=workload.main.priority,
    )


def candidates(world: World) -> dict[str, Candidate]:
    """The hosts that can be given work now, this one among them."""
    fleet = world.fleet
    reports = {
        h.name: h.report
        for h in fleet.hosts.values()
        if h.standing is Standing.UP and h.report is not None and not h.report.cordoned
    }
    reports[fleet.me] = report(world)
    views = {**fleet.views, **({fleet.me: fleet.view} if fleet.view else {})}
    forgotten: dict[str, set[str]] = {}
    for key in fleet.view.adrift if fleet.view else ():
        home, _, orphan = key.partition("/")
        forgotten.setdefault(home, set()).add(orphan)
    found = {}
    for name, seen in reports.items():
        view = views.get(name)
        own = view.declared if view else {}
        found[name] = Candidate(
            name=name,
            memory=max(0, seen.memory - seen.pinned),
            labels=seen.labels,
            # What a host has forgotten is run by others until somebody declares it.
            names=frozenset(own).union(forgotten.get(name, ())),
            ports=frozenset(
                p.host
                for one in own.values()
                if not movable(one.workload)
                for p in one.workload.ports
                if p.host
            ),
        )
    return found


def report(world: World) -> Report:
    """What this host tells the others of itself."""
    fleet = world.fleet
    pinned = 0
    running: dict[str, Running] = {}
    for name, state in world.workloads.items():
        stays = not state.record.home and not movable(state.workload)
        if stays:
            pinned += request(state) * (0 if state.record.stopped else state.replicas)
        if stays and state.record.slots is None:
            continue
        seat = fleet.seats.get(name)
        copy = here(world, state)
        if copy is None and (seat is None or seat.wait or not seat.slots):
            continue
        running[name] = _running(world, state, copy)
    return Report(
        host=fleet.me,
        version=fleet.version,
        boot=world.node.boot_id,
        labels=world.node.labels,
        memory=world.node.memory,
        pinned=pinned,
        requested=requested(world),
        workloads=len(world.workloads),
        running=running,
    )


def _running(world: World, state: WorkloadState, copy: Copy | None) -> Running:
    own, name = state.record, state.workload.name
    held = copy.slots if copy else frozenset(state.slots)
    trouble = own.failed.words if own.failed else (own.image_error or state.create_error or "")
    return Running(
        home=own.home or world.fleet.me,
        term=own.term,
        digest=_reached(state),
        slots=tuple(sorted(held)),
        ready=tuple(sorted(copy.ready)) if copy else (),
        idle=name in world.fleet.idle,
        wall=own.held_wall,
        trouble=trouble,
        failed=own.declared if _went_back(state) else "",
        seq=own.operator_seq,
    )


def _went_back(state: WorkloadState) -> bool:
    own = state.record
    return own.failed is not None and own.failed.code is Code.UPDATE_FAILED


def hosts_of(copies: Mapping[str, Copy], replicas: int) -> tuple[str, ...]:
    """Where each slot is held; "" for nowhere."""
    found = [""] * replicas
    for ready in (True, False):
        for name in sorted(copies):
            for slot in copies[name].ready if ready else copies[name].slots:
                if slot < replicas:
                    found[slot] = found[slot] or name
    return tuple(found)
