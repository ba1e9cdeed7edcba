"""Who runs what: the part of each movable workload that belongs on this host.

Reads the claims (mirrors.py), where copies are (copies.py), who is lost and
whether most of the fleet has vanished (members.py). Promises, for `available` ones:

- a copy that runs is given up only when another one, which stays, is ready: never are there none;
- which of two stays is the same for every host that looks: the home's, else the first in rank;
- nothing is taken over while this host is rather cut off itself, nor before the workload's delay;
- what is decided once is not decided again by itself: nothing moves because it could.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from math import inf

from msgspec.structs import replace

from nodeorch.decide.fleet.copies import (
    Copy,
    ask,
    candidates,
    elsewhere,
    gone_at,
    here,
    hosts_of,
    rank,
    silent_at,
    tells_until,
)
from nodeorch.decide.fleet.members import PATIENCE, regathered_at
from nodeorch.decide.placement import Placement, place, refusals
from nodeorch.model.fleet import Claim, Fleet, Host, Seat, Standing
from nodeorch.model.placing import Failback, Scope
from nodeorch.model.world import Code, Why, WorkloadState, World


class Look:
    """One look at the fleet: what all workloads are judged by; placed only when one needs it."""

    def __init__(self, world: World, now: float) -> None:
        self.world = world
        self.fleet: Fleet = world.fleet
        self.now = now
        self.is_new = now < self.fleet.started + PATIENCE
        """Someone may yet tell what happened while this host was away: a deletion, say."""
        told = [tells_until(self.fleet, host) for host in self.fleet.hosts.values()]
        told.append(regathered_at(self.fleet))
        self.waits = any(at > now for at in told)
        """Others may yet tell that they run it."""
        self.wake_at = min((at for at in told if at > now), default=None)
        self._placement: Placement | None = None
        self._holders: dict[str, list[Host]] | None = None

    def copies(self, name: str, claim: Claim) -> dict[str, Copy]:
        """Host → what it holds of a workload, this one among them."""
        hosts = self.fleet.hosts.values() if self._holders is None else self._holders.get(name, ())
        found = elsewhere((h for h in hosts if not self.is_gone(h, claim)), name, claim)
        state = self.world.workloads.get(name)
        own = here(self.world, state)
        if own is not None and state is not None and self._is_copy(state, claim):
            found[self.fleet.me] = own
        return found

    def _is_copy(self, state: WorkloadState, claim: Claim) -> bool:
        return bool(state.record.home) or claim.home == self.fleet.me

    def index(self) -> None:
        """Many are going to be looked at: who reports what, the other way round."""
        self._holders = {}
        for host in self.fleet.hosts.values():
            for name in host.report.running if host.report else ():
                self._holders.setdefault(name, []).append(host)

    @property
    def placement(self) -> Placement:
        if self._placement is None:
            self.index()
            asks = [ask(name, claim) for name, claim in self.fleet.claims.items()]
            before = {name: self._before(name, claim) for name, claim in self.fleet.claims.items()}
            self._placement = place(asks, candidates(self.world), before)
        return self._placement

    def _before(self, name: str, claim: Claim) -> tuple[str, ...]:
        replicas = claim.declared.replicas
        held = hosts_of(self.copies(name, claim), replicas)
        if any(held) or claim.declared.workload.main.scope is not Scope.HOST:
            return held
        return ("" if self.home_gone(claim) else claim.home,) * replicas

    def home_gone(self, claim: Claim) -> bool:
        """Whether another host is to run what its home does not."""
        if claim.orphan:
            return True
        if claim.home == self.fleet.me:
            return False
        host = self.fleet.hosts.get(claim.home)
        return host is not None and self.is_gone(host, claim)  # None: its view comes with it

    def is_gone(self, host: Host, claim: Claim) -> bool:
        """Whether it is lost, and has been for the workload's delay: it holds nothing."""
        return self.past(gone_at(host, claim))

    def may_run(self, host: str, claim: Claim) -> bool:
        """Whether what another host holds keeps its home from running it."""
        return not self.past(silent_at(self.fleet.hosts[host], claim))

    def past(self, at: float) -> bool:
        if self.now < at < inf:
            self.wake(at)
        return at <= self.now

    def wake(self, at: float) -> None:
        self.wake_at = at if self.wake_at is None else min(self.wake_at, at)


def seats(
    world: World, now: float, names: Iterable[str] | None = None
) -> tuple[dict[str, Seat], float | None]:
    """The seats of these claims, or of all, and when one of them may change without a fact."""
    look = Look(world, now)
    if names is None:
        look.index()
    claims, before = world.fleet.claims, world.fleet.seats
    found = {}
    for name in claims if names is None else names:
        claim = claims.get(name)
        if claim is None:
            continue
        seat = _seat(look, name, claim)
        # What is the same object costs others nothing.
        found[name] = before[name] if before.get(name) == seat else seat
    if look.is_new:
        look.wake(world.fleet.started + PATIENCE)
    return found, look.wake_at


def _seat(look: Look, name: str, claim: Claim) -> Seat:
    declared = claim.declared
    if not declared.replicas:
        words = f"{'stopped' if declared.stopped else 'scaled to 0'} on its home {claim.home}"
        return Seat((), Why(Code.ELSEWHERE, words))
    return _BY_SCOPE[declared.workload.main.scope](look, name, claim)


def _host_seat(look: Look, name: str, claim: Claim) -> Seat:
    """All replicas are on one host."""
    copies, me = look.copies(name, claim), look.fleet.me
    if claim.home == me and not claim.orphan:
        return _at_home(look, name, claim, copies)
    own = copies.get(me)
    others = {host: copy for host, copy in copies.items() if host != me}
    if own is not None:
        return _keep_or_give_back(look, name, claim, own, others)
    if others:
        words = (
            "its home runs it" if claim.home in others else f"it was taken over from {claim.home}"
        )
        return _away(claim, words, others)
    resumed = _was_ours(look, name, claim)
    if look.waits or (resumed and look.is_new):
        return _undecided(claim)
    if not resumed:
        if not look.home_gone(claim):
            return _away(claim, f"its home {claim.home} is to run it", {})
        if look.fleet.brake is not None:
            return _away(claim, f"nothing is taken over: {look.fleet.brake.words}", {})
    chosen = me if resumed else _first(look.placement.seats.get(name, ()))
    if not chosen:
        nowhere = ("",) * claim.declared.replicas
        return Seat((), Why(Code.NO_PLACE, "no host can run it"), nowhere, open=True)
    if chosen != me:
        words = f"{_cause(look, claim)}, and {chosen} is the first that can run it"
        seat = _away(claim, words, {chosen: Copy(_all(claim), frozenset())})
        return replace(seat, open=True)
    words = f"runs here for {claim.home}: {_cause(look, claim)}"
    return _full(claim, me, Why(Code.TAKEN_OVER, words))


def _at_home(look: Look, name: str, claim: Claim, copies: Mapping[str, Copy]) -> Seat:
    me = look.fleet.me
    others = {host: c for host, c in copies.items() if host != me and look.may_run(host, claim)}
    unlike = _unlike(look.world, claim)
    words = f"runs on its home, though {unlike}" if unlike else "runs on its home"
    at_home = _full(claim, me, Why(Code.PLACED, words))
    if me in copies:
        return at_home
    if look.waits:
        return _undecided(claim)
    if not others:
        return at_home
    failback = claim.declared.workload.failover.failback
    stays = failback is Failback.NEVER or (
        failback is Failback.IDLE and not all(copy.idle for copy in others.values())
    )
    if not stays:
        words = f"returns to its home (failback = {failback.value}) from {_names(others)}"
        return _full(claim, me, Why(Code.PLACED, words))
    until = "until it is idle there " if failback is Failback.IDLE else ""
    words = f"it stays {until}where it was taken over (failback = {failback.value})"
    return _away(claim, words, others)


def _keep_or_give_back(
    look: Look, name: str, claim: Claim, own: Copy, others: Mapping[str, Copy]
) -> Seat:
    """A copy here of what another host declares."""
    me, wanted = look.fleet.me, _all(claim)
    home = others.get(claim.home) if not claim.orphan else None
    if home is not None and home.serves(wanted, claim, own):
        words = f"{claim.home}, its home, runs it again"
        return Seat((), Why(Code.GIVEN_BACK, words), (claim.home,) * len(wanted))
    better = [
        host
        for host, copy in others.items()
        if host != claim.home
        and copy.serves(wanted, claim, own)
        and _place(name, host, copy, claim) < _place(name, me, own, claim)
    ]
    if better:
        first = min(better, key=lambda host: rank(name, host))
        words = f"{first} runs it too, and comes first"
        return Seat((), Why(Code.GIVEN_BACK, words), (first,) * len(wanted))
    return _full(claim, me, Why(Code.TAKEN_OVER, f"runs here for {claim.home}"))


def _place(name: str, host: str, copy: Copy, claim: Claim) -> tuple[bool, bytes]:
    """Of two copies the one with the lower place stays: alike for every host that looks, and by
    what does not change from one moment to the next. Two that hear of each other late must not
    each give way to the other."""
    return not copy.is_current(claim), rank(name, host)


def _was_ours(look: Look, name: str, claim: Claim) -> bool:
    """It ran here before this host booted, and neither its home nor another has it now."""
    state = look.world.workloads.get(name)
    if state is None or state.record.home != claim.home or not state.record.held_wall:
        return False
    home = look.fleet.hosts.get(claim.home)
    return home is None or home.standing is not Standing.UP


def _fleet_seat(look: Look, name: str, claim: Claim) -> Seat:
    """Replicas are spread: each slot is held by one host."""
    copies, me = look.copies(name, claim), look.fleet.me
    wanted = claim.declared.replicas
    if look.waits and me not in copies:
        return _undecided(claim)
    winners = [_winner(name, slot, claim, copies) for slot in range(wanted)]
    lacking = not all(winners)
    if lacking and look.fleet.brake is None and not look.waits:
        placed = look.placement.seats.get(name, ())
        winners = [
            won or (placed[slot] if slot < len(placed) else "") for slot, won in enumerate(winners)
        ]
    own = copies.get(me)
    slots = tuple(
        slot
        for slot in range(wanted)
        if winners[slot] == me or _keeps(slot, claim, own, copies.get(winners[slot]))
    )
    hosts = tuple(winners)
    if not slots:
        why = Why(Code.ELSEWHERE, f"its replicas are on {_names(winners)}")
        return Seat((), why, hosts, open=lacking)
    words = f"{_numbered(slots)} of {wanted} here"
    return Seat(slots, Why(Code.PLACED, words), hosts, open=lacking)


def _numbered(slots: tuple[int, ...]) -> str:
    """ "replica 0", "replicas 0, 2" """
    return f"replica{'s' * (len(slots) > 1)} {', '.join(map(str, slots))}"


def _winner(name: str, slot: int, claim: Claim, copies: Mapping[str, Copy]) -> str:
    holders = [host for host, copy in copies.items() if slot in copy.slots]
    return min(holders, key=lambda host: _place(name, host, copies[host], claim), default="")


def _keeps(slot: int, claim: Claim, own: Copy | None, winner: Copy | None) -> bool:
    """Whether a slot that is another's is kept here: that one cannot stand in for it yet."""
    if own is None or slot not in own.slots:
        return False
    return winner is None or not winner.serves({slot}, claim, own)


def _every_host_seat(look: Look, name: str, claim: Claim) -> Seat:
    me = look.fleet.me
    own = look.fleet.view.declared if look.fleet.view else {}
    if claim.home != me and name in own:
        words = "this host declares a workload of that name itself"
        return Seat((), Why(Code.NO_PLACE, words))
    if claim.orphan and claim.home == me:
        return Seat((), Why(Code.NO_PLACE, "this host has forgotten it; declare it anew"))
    if words := _unlike(look.world, claim):
        return Seat((), Why(Code.NO_PLACE, words))
    words = f"every host runs it; {claim.home} declares it"
    return _full(claim, me, Why(Code.PLACED, words))


def _unlike(world: World, claim: Claim) -> str:
    """Which label of this host is not as the workload wants it; empty: all are."""
    labels = world.node.labels
    for label, values in claim.declared.workload.placement.constraints.items():
        if labels.get(label) not in values:
            seen = labels.get(label, "not set")
            return f"label {label} is {seen} here, not {' or '.join(values)}"
    return ""


_BY_SCOPE = {
    Scope.HOST: _host_seat,
    Scope.FLEET: _fleet_seat,
    Scope.EVERY_HOST: _every_host_seat,
}


def refused(world: World, name: str, now: float) -> dict[str, str]:
    """Host → why it cannot run one more replica of a movable workload; for people."""
    claim = world.fleet.claims.get(name)
    if claim is None:
        return {}
    look = Look(world, now)
    asks = [ask(n, c) for n, c in world.fleet.claims.items()]
    words = refusals(ask(name, claim), candidates(world), look.placement, asks)
    gone = {
        host.name: f"{host.standing.value}: {host.words}" if host.words else host.standing.value
        for host in world.fleet.hosts.values()
        if host.standing is not Standing.UP
    }
    return {**words, **gone}


def _all(claim: Claim) -> frozenset[int]:
    return frozenset(range(claim.declared.replicas))


def _full(claim: Claim, host: str, why: Why) -> Seat:
    slots = tuple(range(claim.declared.replicas))
    return Seat(slots, why, (host,) * len(slots))


def _away(claim: Claim, words: str, copies: Mapping[str, Copy]) -> Seat:
    return Seat((), Why(Code.ELSEWHERE, words), hosts_of(copies, claim.declared.replicas))


def _undecided(claim: Claim) -> Seat:
    words = "the other hosts have not told yet whether they run it"
    return Seat((), Why(Code.ELSEWHERE, words), ("",) * claim.declared.replicas, wait=True)


def _cause(look: Look, claim: Claim) -> str:
    if claim.orphan:
        return f"{claim.home} does not know of it any more"
    host = look.fleet.hosts.get(claim.home)
    return f"{claim.home} is down ({host.words})" if host else f"{claim.home} is gone"


def _names(hosts: Iterable[str]) -> str:
    return ", ".join(sorted({host for host in hosts if host})) or "no host"


def _first(hosts: Iterable[str]) -> str:
    return next((host for host in hosts if host), "")
