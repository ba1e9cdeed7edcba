"""Which hosts are there, which are gone, and whether it is rather us who are cut off.

Reads the fleet's hosts: what Serf lists, what is heard on the links, what other daemons say they
hear. Promises: a host is taken for lost only when most of those who could know hear nothing of it
(or Serf, where nobody else can know, says so), and never while most of the fleet has vanished at
once; a suspicion alone changes nothing that runs; whom one host hears is not lost.

The gossip's failure detector (SWIM: Das, Gupta, Motivala 2002) needs 5 to 9 seconds. The links are
a second witness: quicker, and harmless when wrong.
"""

from __future__ import annotations

from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from nodeorch.decide.edit import say
from nodeorch.model.facts import LinkSeen, MembersSeen, NameTaken, OpinionSeen, ReportSeen
from nodeorch.model.fleet import Fleet, Grave, Hearing, Host, HostRecord, MemberStatus, Standing
from nodeorch.model.world import Code, Why, World

GATHER = 0.75
"""Seconds for which a host has to count as down before it is taken for lost: beats are half a
second apart, so those that vanish together are all seen to be gone by then (the brake)."""
DEAF = 30.0
"""Seconds after which a host whose kernel answers, but neither its daemon nor its Serf, counts as
down all the same: nothing that runs there can be vouched for."""
PATIENCE = 5.0
"""Seconds after its start for which a host takes nobody for lost, and waits to hear what the
others run, before it starts what another may have taken over meanwhile. Links are up within one;
one that is off shows within two. By then it has fetched the views that it slept through, too."""
REGATHER = 3.0
"""Seconds after most of the fleet is there again for which nobody is taken for lost: the links of
a network that was mended come back one after the other."""
TOLD = 5
"""Hosts that are named in a sentence."""
TALK_PORT = 7444

_CODES = {
    Standing.UP: Code.HOST_UP,
    Standing.UNSUPERVISED: Code.HOST_UNSUPERVISED,
    Standing.DOWN: Code.HOST_DOWN,
}


def members_seen(world: World, fact: MembersSeen, now: float) -> World:
    fleet = world.fleet
    if fact.trouble:
        if not fleet.serf_trouble:
            world = say(world, Code.SERF_DOWN, fact.trouble)
        hosts = {n: replace(h, serf=None, serf_since=now) for n, h in fleet.hosts.items()}
        return _with(world, serf_trouble=fact.trouble, hosts=hosts)
    if fleet.serf_trouble:
        world = say(world, Code.SERF_UP, "Serf answers again")
    world = _with(world, serf_trouble="")
    listed = {member.name: member for member in fact.members}
    world = _own_name(world, listed[fleet.me].address if fleet.me in listed else "")
    for name, member in listed.items():
        if name == fleet.me:
            continue
        if member.status is MemberStatus.LEFT:
            world = depart(world, name, "it left the fleet")
            continue
        host = world.fleet.hosts.get(name)
        if host is None:
            if member.status is not MemberStatus.ALIVE:
                continue  # one that was removed, and Serf remembers it yet
            words = f"{name} joined the fleet, at {member.address}"
            world = say(world, Code.HOST_JOINED, words)
            host = Host(name=name, since=now)
        fresh = replace(
            host,
            address=member.address,
            port=_port(member.tags.get("port", "")),
            serf=member.status,
            serf_since=host.serf_since if host.serf is member.status else now,
            tags=member.tags,
        )
        world = _put(world, fresh)
    for name, host in world.fleet.hosts.items():
        if name not in listed and host.serf is not None:
            world = _put(world, replace(host, serf=None, serf_since=now))
    return world


def link_seen(world: World, fact: LinkSeen, now: float) -> World:
    host = world.fleet.hosts.get(fact.host)
    if host is None:
        if fact.hearing is not Hearing.HEARD:
            return world
        # It knows us before our Serf knows it; its certificate says that it is of the fleet.
        world = say(world, Code.HOST_JOINED, f"{fact.host} joined the fleet")
        host = Host(name=fact.host, since=now)
    fresh = replace(host, hearing=fact.hearing, hearing_since=now)
    if fact.hearing is not Hearing.HEARD:
        # What it last said is old from here on.
        none: frozenset[str] = frozenset()
        fresh = replace(fresh, told=False, says_silent=none, says_answers=none, says_hears=none)
    elif fact.run:
        if host.lost and host.run == fact.run:
            wrong = world.fleet.wrong_suspicions + 1
            world = _with(world, wrong_suspicions=wrong)
        fresh = replace(fresh, run=fact.run)
    return _put(world, fresh)


def opinion_seen(world: World, fact: OpinionSeen, now: float) -> World:
    host = world.fleet.hosts.get(fact.host)
    if host is None or host.hearing is not Hearing.HEARD:
        return world
    fresh = replace(
        host,
        says_silent=frozenset(fact.silent),
        says_answers=frozenset(fact.answers),
        says_hears=frozenset(fact.hears),
    )
    return _put(world, fresh)


def report_seen(world: World, fact: ReportSeen, now: float) -> World:
    host = world.fleet.hosts.get(fact.report.host)
    return world if host is None else _put(world, replace(host, report=fact.report, told=True))


def depart(world: World, name: str, words: str, wall: float = 0.0, term: int = 0) -> World:
    """A host leaves for good: it is no candidate, no witness, and nobody takes over from it."""
    fleet = world.fleet
    if name not in fleet.hosts:
        return world
    view = fleet.views.get(name)
    term = max(term, view.stamp.incarnation if view else 1)
    record = fleet.record
    record = replace(
        record,
        hosts={n: h for n, h in record.hosts.items() if n != name},
        departed={**record.departed, name: Grave(term=term, by=fleet.me, wall=wall)},
    )
    world = _with(
        world,
        record=record,
        hosts={n: h for n, h in fleet.hosts.items() if n != name},
        views={n: v for n, v in fleet.views.items() if n != name},
    )
    return say(world, Code.HOST_LEFT, f"{name}: {words}")


def judge(world: World, now: float) -> World:
    """Standings, the brake, and who is lost; sets ``fleet.wake_at``."""
    fleet = world.fleet
    wakes: list[float] = []
    for name, host in fleet.hosts.items():
        verdict = _verdict(fleet, host, now)
        if verdict.look_at is not None:
            wakes.append(verdict.look_at)
        world = _stand(world, world.fleet.hosts[name], verdict, now)
    world = _brake(world, now)
    for name in fleet.hosts:
        host = world.fleet.hosts[name]
        if host.standing is Standing.UP:
            world = _found(world, host)
        elif host.standing is Standing.SUSPECTED and not host.noted:
            if now < host.since + GATHER:
                wakes.append(host.since + GATHER)
            else:
                world = _note_suspicion(world, host)
        elif host.standing is Standing.DOWN and not host.lost:
            # Where Serf is the only witness, it has taken its time already.
            gathered = host.since + (GATHER if fleet.links else 0.0)
            due = max(gathered, fleet.started + PATIENCE, regathered_at(world.fleet))
            if now < due:
                wakes.append(due)
            elif world.fleet.brake is None and _is_known(world, host):
                world = _lose(world, host, now)
    wake_at = min(wakes, default=None)
    return world if wake_at == world.fleet.wake_at else _with(world, wake_at=wake_at)


def regathered_at(fleet: Fleet) -> float:
    """When links have had the time to come back after this host was cut off."""
    return fleet.freed and fleet.freed + REGATHER


class _Verdict(Struct, frozen=True):
    standing: Standing
    words: str
    look_at: float | None = None


def _verdict(fleet: Fleet, host: Host, now: float) -> _Verdict:
    failed = host.serf is MemberStatus.FAILED
    if not fleet.links:
        if failed:
            return _Verdict(Standing.DOWN, "Serf says that it failed")
        standing = Standing.UP if host.serf is MemberStatus.ALIVE else Standing.UNKNOWN
        return _Verdict(standing, "")
    if host.hearing is Hearing.HEARD:
        return _Verdict(Standing.UP, "")
    silent, answers, hears = _opinions(fleet, host)
    if 2 * len(silent) > len(silent) + len(answers) + len(hears):
        return _Verdict(Standing.DOWN, f"nothing is heard of it by {_listed(silent)}")
    if failed and not hears:
        if not answers:
            return _Verdict(Standing.DOWN, "Serf says that it failed, and nobody hears it")
        due = max(host.serf_since, host.hearing_since) + DEAF
        if now >= due:
            words = f"neither its daemon nor its Serf have answered for {DEAF:g} s"
            return _Verdict(Standing.DOWN, words)
        words = "its kernel answers, neither its daemon nor its Serf do"
        return _Verdict(Standing.UNSUPERVISED, words, due)
    if host.hearing is Hearing.NEVER:
        return _Verdict(Standing.UNKNOWN, "not heard since this daemon started")
    if host.hearing is Hearing.ANSWERS and not hears:
        return _Verdict(Standing.UNSUPERVISED, "the host answers, its daemon does not")
    others = (hears | answers) - {fleet.me}
    words = f"not heard here; still heard by {_listed(others)}" if others else "not heard"
    return _Verdict(Standing.SUSPECTED, words)


def _listed(hosts: set[str]) -> str:
    named = ", ".join(sorted(hosts)[:TOLD])
    return named if len(hosts) <= TOLD else f"{named} and {len(hosts) - TOLD} more"


def _opinions(fleet: Fleet, host: Host) -> tuple[set[str], set[str], set[str]]:
    """Who hears nothing of it, who gets an answer from its kernel only, who hears it; those who
    could not know are in none."""
    silent, answers, hears = set(), set(), set()
    if host.hearing is Hearing.SILENT:
        silent.add(fleet.me)
    elif host.hearing is Hearing.ANSWERS:
        answers.add(fleet.me)
    for other in fleet.hosts.values():
        if other.hearing is not Hearing.HEARD or other.name == host.name:
            continue
        if host.name in other.says_silent:
            silent.add(other.name)
        elif host.name in other.says_answers:
            answers.add(other.name)
        elif host.name in other.says_hears:
            hears.add(other.name)
    return silent, answers, hears


def _stand(world: World, host: Host, verdict: _Verdict, now: float) -> World:
    if host.standing is verdict.standing:
        return (
            world
            if host.words == verdict.words
            else _put(world, replace(host, words=verdict.words))
        )
    fresh = replace(host, standing=verdict.standing, since=now, words=verdict.words, noted=False)
    world = _put(world, fresh)
    code = _CODES.get(verdict.standing)
    if code is None:
        return world
    words = f": {verdict.words}" if verdict.words else ""
    return say(world, code, f"{host.name} is {verdict.standing.value}{words}")


def _note_suspicion(world: World, host: Host) -> World:
    """One that lasts: for a moment each host is alone with what it does not hear."""
    words = f"{host.name} is suspected: {host.words}"
    return say(_put(world, replace(host, noted=True)), Code.HOST_SUSPECTED, words)


def _brake(world: World, now: float) -> World:
    """Most of those who were there vanished at once: it is us who are cut off.

    Where only one other was there, that cannot be told, and there is no brake.
    """
    fleet = world.fleet
    there = [h for h in fleet.hosts.values() if not h.lost and not _was_lost(fleet, h)]
    vanished = sorted(h.name for h in there if _vanished(fleet, h))
    braked = len(there) > 1 and 2 * len(vanished) > len(there)
    if not braked:
        if fleet.brake is None:
            return world
        words = "most hosts are there again: work is taken over as before"
        return say(_with(world, brake=None, freed=now), Code.CUT_OFF_OVER, words)
    words = (
        f"{len(vanished)} of {len(there)} hosts vanished at once ({', '.join(vanished[:5])}"
        f"{' …' if len(vanished) > 5 else ''}): it is rather this one that is cut off"
    )
    if fleet.brake is not None and fleet.brake.words == words:
        return world
    fresh = _with(world, brake=Why(code=Code.CUT_OFF, words=words))
    told = f"{words}; nothing is taken over"
    return say(fresh, Code.CUT_OFF, told) if fleet.brake is None else fresh


def _vanished(fleet: Fleet, host: Host) -> bool:
    if host.standing is Standing.DOWN:
        return True
    return fleet.links and host.hearing is Hearing.SILENT


def _was_lost(fleet: Fleet, host: Host) -> bool:
    """Before this daemon started, and it has not been heard since."""
    known = fleet.record.hosts.get(host.name)
    return known is not None and known.lost


def _is_known(world: World, host: Host) -> bool:
    """Whether what is known of its workloads can be trusted: it was heard since this host
    booted, or most of the fleet is here to know better."""
    fleet = world.fleet
    known = fleet.record.hosts.get(host.name)
    if known is not None and known.heard_boot == world.node.boot_id:
        return True
    here = 1 + sum(1 for h in fleet.hosts.values() if h.standing is Standing.UP)
    return 2 * here > len(fleet.hosts) + 1


def _lose(world: World, host: Host, now: float) -> World:
    world = _put(world, replace(host, lost_at=now))
    return _remember(world, host.name, lost=True)


def _found(world: World, host: Host) -> World:
    if host.lost:
        world = _put(world, replace(host, lost_at=None))
    return _remember(world, host.name, lost=False, heard_boot=world.node.boot_id)


def _remember(world: World, name: str, **changes: Any) -> World:
    known = world.fleet.record.hosts[name]
    fresh = replace(known, **changes)
    if fresh == known:
        return world
    wall = (world.wall_ahead or 0.0) + world.fleet.hosts[name].since
    record = world.fleet.record
    hosts = {**record.hosts, name: replace(fresh, heard_wall=wall)}
    return _with(world, record=replace(record, hosts=hosts))


def name_taken(world: World, fact: NameTaken, now: float) -> World:
    if fact.host == world.fleet.me:
        return _own_name(world, fact.address or world.fleet.address)
    if not fact.address:
        return world
    words = f"two hosts use the name {fact.host}, one of them at {fact.address}"
    return say(world, Code.NAME_TAKEN, f"{words}; give one a name of its own and join it again")


def _own_name(world: World, address: str) -> World:
    """Serf lists one host of each name; it should be this one."""
    fleet = world.fleet
    taken = address if address and fleet.address and address != fleet.address else ""
    if taken == fleet.name_taken:
        return world
    world = _with(world, name_taken=taken)
    if not taken:
        return world
    words = (
        f"another host, at {taken}, uses the name {fleet.me}; "
        "this one is not seen by the others: give it a name of its own and join again"
    )
    return say(world, Code.NAME_TAKEN, words)


def _put(world: World, host: Host) -> World:
    """Store a host, and remember it if it is new or has moved."""
    world = _with(world, hosts={**world.fleet.hosts, host.name: host})
    record = world.fleet.record
    known = record.hosts.get(host.name)
    if known is not None and (known.address, known.port) == (host.address, host.port):
        return world
    fresh = HostRecord(address=host.address, port=host.port)
    if known is not None:
        fresh = replace(known, address=host.address, port=host.port)
    return _with(world, record=replace(record, hosts={**record.hosts, host.name: fresh}))


def _port(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 5 else TALK_PORT


def _with(world: World, **changes: Any) -> World:
    return replace(world, fleet=replace(world.fleet, **changes))
