"""Where in the fleet a workload is: who declares it, who runs it, where it belongs and why.

Reads the claims, the seats that were worked out, and what hosts report. Promises: a workload that
runs elsewhere, or here for another host, comes with the reason in words; what a lost host said
last is never shown as running.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from msgspec.structs import replace

from nodeorch.decide.fleet.graves import last_home, mirrored, overruled
from nodeorch.decide.ready import is_ready
from nodeorch.model.fleet import Fleet, Host, Running, Seat, Standing, movable
from nodeorch.model.placing import Scope
from nodeorch.model.view import WorkloadView
from nodeorch.model.world import Code, WorkloadState, World

if TYPE_CHECKING:
    from nodeorch.decide.status import Surroundings


def home_of(world: World, name: str) -> str:
    """The host that declares it; empty: none that is known."""
    fleet = world.fleet
    state = world.workloads.get(name)
    if state is not None:
        return state.record.home or overruled(world, state) or fleet.me
    claim = fleet.claims.get(name)
    if claim is not None:
        return claim.home
    homes = mirrored(world, name)
    return last_home(homes) if homes else ""


def holders(world: World, name: str, home: str) -> dict[str, Running]:
    """Hosts that run it, or are about to, as far as they tell; this one among them."""
    found = {}
    for host in telling(world.fleet):
        running = host.report.running.get(name) if host.report else None
        if running is not None and running.home == home and running.slots:
            found[host.name] = running if host.told else replace(running, ready=())
    state = world.workloads.get(name)
    if state is not None and (state.record.home or world.fleet.me) == home:
        found |= own(world, state)
    return dict(sorted(found.items()))


def telling(fleet: Fleet) -> Iterator[Host]:
    """Hosts whose last report may still be true."""
    gone = (Standing.LEFT, Standing.UNKNOWN)
    return (h for h in fleet.hosts.values() if not h.lost and h.standing not in gone)


def own(world: World, state: WorkloadState) -> dict[str, Running]:
    """This host, if it runs some of it or is about to."""
    if state.record.deleting or state.record.stopped or not state.slots:
        return {}
    ready = {i.record.slot for i in state.instances.values() if is_ready(state, i)}
    running = Running(
        home=state.record.home or world.fleet.me,
        term=state.record.term,
        digest=state.record.target.digest,
        slots=state.slots,
        ready=tuple(sorted(ready & set(state.slots))),
        wall=state.record.held_wall,
    )
    return {world.fleet.me: running}


def standing_of(fleet: Fleet, host: str) -> Standing:
    if host == fleet.me:
        return Standing.UP
    if host not in fleet.hosts:
        return Standing.LEFT if host in fleet.record.departed else Standing.UNKNOWN
    return fleet.hosts[host].standing


def placement(world: World, name: str, refused: Mapping[str, str]) -> list[str]:
    """Where it belongs and why, and which hosts cannot run it, as seats.refused says:
    a line each."""
    seat = world.fleet.seats.get(name)
    if seat is None:
        return []
    no = [f"cannot run on {host}: {why}" for host, why in sorted(refused.items())]
    return [*_belongs(seat), *no]


def _belongs(seat: Seat) -> list[str]:
    why = seat.why.words
    places = [host for host in dict.fromkeys(seat.hosts) if host]
    homeless = seat.hosts.count("")
    if seat.wait:
        return [f"its place is not decided yet: {why}"]
    if not places:
        return [f"finds no place: {why}" if homeless else why]
    lacking = f"{homeless} of {len(seat.hosts)} replicas find no place"
    belongs = f"belongs on {listed(places)}"
    return [belongs if why == belongs else f"{belongs}: {why}", *([lacking] if homeless else [])]


def in_fleet(
    world: World, state: WorkloadState, view: WorkloadView, around: Surroundings
) -> WorkloadView:
    """The view of one host, completed by what the others tell."""
    record, me = state.record, world.fleet.me
    home = home_of(world, view.name)
    held = holders(world, view.name, home)
    view = replace(view, home=record.home, hosts=list(held))
    if record.deleting or record.stopped or world.shutdown:
        return view
    if record.home:
        words = [_for_whom(world, state, around), view.reason]
        return replace(view, reason="; ".join(filter(None, words)))
    if not movable(state.workload) or state.workload.main.scope is Scope.EVERY_HOST:
        return view
    elsewhere = {slot for host, r in held.items() if host != me for slot in r.ready}
    here = {i.slot for i in view.instances if i.ready and i.slot in state.slots}
    if not state.workload.is_job:
        wanted = set(range(state.replicas))
        view = replace(view, desired=len(wanted), ready=len(wanted & (elsewhere | here)))
    if view.desired and not state.slots:
        word, reason = _elsewhere(world, state, home)
        return replace(view, state=word, reason=reason)
    if view.state == "running" and view.ready < view.desired:
        return replace(view, state="degraded", reason=_lacking(world, view.name, held))
    return view


def _elsewhere(world: World, state: WorkloadState, home: str) -> tuple[str, str]:
    """State and reason of a workload of ours of which nothing shall run here."""
    name = state.workload.name
    runs = runs_on(world, name, home)
    seat = world.fleet.seats.get(name)
    if runs:
        return "elsewhere", runs
    pending = seat is None or seat.wait or not any(seat.hosts)
    reason = _belongs(seat)[0] if seat is not None else "its place is worked out"
    return ("pending" if pending else "elsewhere"), reason


def runs_on(world: World, name: str, home: str) -> str:
    """ "runs on h3 since …: h1 was down"; empty: no other host runs it."""
    held = holders(world, name, home)
    others = {host: running for host, running in held.items() if host != world.fleet.me}
    if not others:
        return ""
    since = min(running.wall for running in others.values())
    when = f" since {_shown(since)}" if since else ""
    seat = world.fleet.seats.get(name)
    why = f": {seat.why.words}" if seat is not None else ""
    return f"runs on {listed(list(others))}{when}{why}{_troubles(others)}"


def _lacking(world: World, name: str, held: Mapping[str, Running]) -> str:
    """Why what shall run is not all ready, though all of it is here."""
    others = {host: running for host, running in held.items() if host != world.fleet.me}
    waiting = [host for host, r in others.items() if len(r.ready) < len(r.slots)]
    if waiting:
        return f"not all that runs on {listed(waiting)} is ready{_troubles(others)}"
    seat = world.fleet.seats.get(name)
    return (_belongs(seat) if seat is not None else ["the place of a replica is worked out"])[-1]


def _troubles(held: Mapping[str, Running]) -> str:
    return "".join(f"; on {h}: {r.trouble}" for h, r in held.items() if r.trouble)


def _for_whom(world: World, state: WorkloadState, around: Surroundings) -> str:
    home, fleet = state.record.home, world.fleet
    seat = fleet.seats.get(state.workload.name)
    why = f": {seat.why.words}" if seat is not None else ""
    if not state.slots:
        return f"is given up here{why}"
    if standing_of(fleet, home) is not Standing.UP:
        return f"runs here for {home}{which_is(fleet, home, around)}"
    if seat is not None and seat.why.code is Code.TAKEN_OVER:
        return seat.why.words
    return f"runs here for {home}{why}"


def which_is(fleet: Fleet, home: str, around: Surroundings) -> str:
    """ ", which is down since 2024-05-01 10:00:00 UTC" """
    host = fleet.hosts.get(home)
    if host is None:
        return ", which is no host of the fleet any more"
    since = around.wall - (around.now - host.since)
    when = f" since {_shown(since)}" if host.since else ""
    return f", which is {host.standing.value}{when}"


def _shown(wall: float) -> str:
    return f"{datetime.fromtimestamp(wall, UTC):%Y-%m-%d %H:%M:%S} UTC"


def listed(names: list[str]) -> str:
    """ "h1", "h1 and h2", "h1, h2 and h3" """
    return " and ".join(filter(None, (", ".join(names[:-1]), *names[-1:])))
