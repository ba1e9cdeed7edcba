"""All other daemons: links with them, what is heard of each, and one timer for all of it.

Of each pair, the host whose name comes first in the alphabet begins the link. Where there is none,
connections are tried: that one is accepted shows that the host lives and that a link may be begun.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
from math import inf
from pathlib import Path

from msgspec import Struct

from nodeorch.adapters.peers.client import Caller, Unwelcome
from nodeorch.adapters.peers.door import Door
from nodeorch.adapters.peers.hearing import LATE, Ear, Pace
from nodeorch.adapters.peers.knock import ACCEPTED, ACKNOWLEDGED, Knocks
from nodeorch.adapters.peers.link import Link, Unfit
from nodeorch.adapters.peers.names import Names
from nodeorch.adapters.peers.pull import Puller
from nodeorch.adapters.peers.routes import Joins, Renewals, Routes
from nodeorch.adapters.peers.tell import Teller
from nodeorch.adapters.peers.tls import Contexts
from nodeorch.fleetports import FleetOut, Mirror, PeerError
from nodeorch.model.facts import LinkSeen, OpinionSeen, ReportSeen
from nodeorch.model.fleet import Beat, Have, Hearing, Hello, Message, Report, Told
from nodeorch.ports import Clock, Inbox

log = logging.getLogger(__name__)

AGAIN = (0.5, 1.0)
"""Seconds until a link is begun anew, at random: hosts that start together do not keep time."""
AGAIN_REFUSED = 5.0
"""The same where certificates or names do not fit: only people can mend that."""
COMPARE = 30.0
"""Seconds between two comparisons of all views with another host, each in turn."""
RARELY = 10.0
"""Seconds between two lines of log about the same host."""


class Identity(Struct, frozen=True):
    """Who this daemon is, and where it listens."""

    host: str
    cluster: str
    address: str
    port: int
    lineage: str
    run: str
    boot: str
    version: str
    files: Path
    """The folder of ca.crt, node.crt and node.key."""


class _Peer:
    """A host of the fleet."""

    __slots__ = ("again", "dialling", "ear", "opinion", "report", "told")

    def __init__(self, now: float) -> None:
        self.ear = Ear(now)
        self.told = (Hearing.NEVER, "")
        self.opinion: Beat | None = None
        self.report: Report | None = None
        self.dialling: asyncio.Task[None] | None = None
        self.again = -inf

    def repeat(self, host: str, put: Inbox) -> None:
        """Tell again what it last said on this link."""
        if self.opinion is not None:
            said = self.opinion
            put(OpinionSeen(host, said.silent, said.answers, said.hears))
        if self.report is not None:
            put(ReportSeen(self.report))


class TlsPeers:
    """fleetports.Peers. Use it inside the running loop only, after start().

    ``joins`` is given the body of POST /v1/join and the address that it came from, ``renewals`` the
    host of the certificate and the body of POST /v1/certificate; both raise PeerError to refuse.
    """

    def __init__(
        self,
        identity: Identity,
        put: Inbox,
        mirror: Mirror,
        joins: Joins,
        renewals: Renewals,
        clock: Clock,
    ) -> None:
        self.out = FleetOut({}, Report(identity.host), {})
        self.port = identity.port
        self._me = identity
        self._put = put
        self._mirror = mirror
        self._clock = clock
        self._issue = (joins, renewals)
        self._peers: dict[str, _Peer] = {}
        self._links: dict[str, Link] = {}
        self._names = Names(put, clock.now)
        self._teller = Teller(self._links)
        self._logged: dict[str, float] = {}
        self._pace = Pace()
        self._beat_at = 0.0
        self._compare_at = 0.0
        self._planned = inf
        self._timer: asyncio.TimerHandle | None = None
        self._comparing: asyncio.Task[None] | None = None
        self._closed = False

    async def start(self) -> None:
        """Listen. Raises OSError, ssl.SSLError."""
        self._contexts = Contexts(self._me.files)
        routes = Routes(self, self._me.files, self._mirror, *self._issue)
        self._door = Door(self._contexts.server, routes, self._is_address)
        self.port = self._door.listen(self._me.address, self._me.port)
        self._caller = Caller(self._contexts.client, self._address)
        self._knocks = Knocks()
        now = self._clock.now()
        self._puller = Puller(
            self._caller.ask, self._mirror, self._put, self._me.host, self._linked, self._clock.now
        )
        self._beat_at, self._compare_at = now, now + COMPARE
        self._arm(now)

    def sync(self, out: FleetOut) -> None:
        if self._closed:
            return
        before, self.out = self.out, out
        if out.hosts is not before.hosts:
            self._meet()
        if out.views is not before.views:
            self._teller.views(out.views)
            self._puller.ours(out.views)
        if out.report is not before.report:
            self._teller.report(out.report)
        if out.hints is not before.hints:
            for host, stamp in out.hints.items():
                self._puller.offer(host, {host: stamp})
        if out.refused is not before.refused:
            for link in [link for host, link in self._links.items() if host in out.refused]:
                link.dismiss("it has left the fleet")
        if self._teller.due < self._planned:
            self._arm(self._now())

    def reload(self) -> None:
        self._contexts.reload()

    async def ask(self, host: str, method: str, path: str, body: bytes = b"") -> bytes:
        return await self._caller.ask(host, method, path, body)

    async def close(self) -> None:
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
        self._door.stop()
        tasks = [peer.dialling for peer in self._peers.values()]
        await asyncio.gather(*(link.close("the daemon ends") for link in self._links.values()))
        for task in [*tasks, self._comparing]:
            if task is not None:
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await task
        self._knocks.close()
        await self._puller.close()
        await self._door.close()
        await self._caller.close()

    # What the server needs

    def fit(self, host: str, address: str) -> str:
        if host == self._me.host:
            if address:
                self._names.taken(host, address)
            return "this host has that name itself; give each host a name of its own"
        return "it has left the fleet; join it anew" if host in self.out.refused else ""

    async def serve(self, link: Link) -> None:
        """Hold a link until it ends, whoever began it."""
        host = link.host
        try:
            await link.greet(self._hello())
            self._up(link)
            await link.run(self._take)
        except Unfit as error:
            link.ended = str(error)
            self._say(host, f"the link with {host} ends: {error}")
            self._delay(host)
            await link.close(str(error))
        finally:
            self._down(link)
            link.abort("it has ended")

    # Links

    def _hello(self) -> Hello:
        me = self._me
        return Hello(
            me.host, me.cluster, me.lineage, me.run, me.boot, me.version, self._teller.stamps
        )

    def _up(self, link: Link) -> None:
        host, now = link.host, self._now()
        if why := self.fit(host, link.address):
            raise Unfit(why)
        former = self._links.get(host)
        self._links[host] = link
        if former is not None:
            self._names.replaced(host, former.hello.run, link.hello.run, link.address)
            former.dismiss("a newer link of the same host takes its place")
        self._teller.greet(link)
        if peer := self._peers.get(host):
            peer.opinion = peer.report = None  # what was said on a former link is old
            self._heard(host, peer, now)
        self._puller.offer(host, link.hello.stamps)

    def _down(self, link: Link) -> None:
        host, now = link.host, self._now()
        if self._links.get(host) is not link:
            return
        del self._links[host]
        self._puller.gone(host)
        if (peer := self._peers.get(host)) and not self._closed:
            peer.ear.lost(now, link.ended or "the link was lost")
            self._look(host, peer, now)
            self._arm(now)

    def _take(self, link: Link, message: Message) -> None:
        host = link.host
        if self._links.get(host) is not link:
            return
        peer = self._peers.get(host)
        if peer is not None:
            self._heard(host, peer, self._now())
        match message:
            case Beat() if peer is not None and message != peer.opinion:
                peer.opinion = message
                self._put(OpinionSeen(host, message.silent, message.answers, message.hears))
            case Told(report=report):
                if report.host != host:
                    raise Unfit(f"it tells the report of {report.host[:63]!r}")
                if peer is not None and report != peer.report:
                    peer.report = report
                    self._put(ReportSeen(report))
            case Have(stamps=stamps):
                self._puller.offer(host, stamps)
            case Hello():
                raise Unfit("it says Hello twice")

    async def _dial(self, host: str) -> None:
        try:
            link = await self._caller.dial(host)
        except PeerError as error:
            self._delay(host, AGAIN_REFUSED if isinstance(error, Unwelcome) else None)
            self._say(host, str(error))
            return
        self._delay(host, None)
        await self.serve(link)

    def _delay(self, host: str, pause: float | None = AGAIN_REFUSED) -> None:
        if peer := self._peers.get(host):
            peer.again = self._clock.now() + (pause or random.uniform(*AGAIN))

    # Hearing

    def _now(self) -> float:
        """The time. If we did not run for a while, what was not heard then counts for nothing."""
        now = self._clock.now()
        if now - self._planned > LATE:
            for peer in self._peers.values():
                peer.ear.late(now, self._pace.quiet)
        self._planned = max(self._planned, now)
        return now

    def _heard(self, host: str, peer: _Peer, now: float) -> None:
        peer.ear.heard(now, self._pace.quiet)
        self._judge(host, peer, now)

    def _judge(self, host: str, peer: _Peer, now: float) -> None:
        hearing = peer.ear.judge(now)
        link = self._links.get(host)
        run = link.hello.run if link is not None and hearing is Hearing.HEARD else ""
        if (hearing, run) == peer.told:
            return
        peer.told = (hearing, run)
        self._put(LinkSeen(host, hearing, peer.ear.words, run))
        if hearing is Hearing.HEARD:  # on a link that has stood still, what was said counts again
            peer.repeat(host, self._put)
        if hearing is Hearing.SILENT and link is not None:
            link.abort(peer.ear.words)  # it may be half open: a host that returns begins a new one
        self._beats(now)

    def _look(self, host: str, peer: _Peer, now: float) -> None:
        """Judge anew, and ask the host's kernel where that takes it."""
        ear, link = peer.ear, self._links.get(host)
        if link is not None and ear.doubted(now):
            age = link.acknowledged()
            if age is not None:
                ear.answer(now - age, ACKNOWLEDGED)
        self._judge(host, peer, now)
        if not ear.doubted(now) or ear.knock_at() > now:
            return
        ear.knocked = now
        if place := self._address(host):
            self._knocks.knock(*place, now, lambda how: self._answered(host, peer, how))

    def _answered(self, host: str, peer: _Peer, how: str) -> None:
        now = self._now()
        if self._peers.get(host) is not peer or self._closed:
            return
        peer.ear.answer(now, how)
        self._judge(host, peer, now)
        ours = self._me.host < host and host not in self._links and host not in self.out.refused
        idle = peer.dialling is None or peer.dialling.done()
        if how == ACCEPTED and ours and idle and peer.again <= now:
            peer.dialling = asyncio.get_running_loop().create_task(self._dial(host))

    # The timer

    def _tick(self) -> None:
        now = self._now()
        try:
            self._knocks.expire(now)
            for host, peer in self._peers.items():
                self._look(host, peer, now)
            self._beats(now)
            if now >= self._teller.due:
                self._teller.flush(now)
            self._puller.tick()
            self._names.tick()
            if now >= self._compare_at:
                self._compare(now)
        finally:
            self._arm(now)

    def _arm(self, now: float) -> None:
        """Set the timer. What has pauses of seconds is looked at with the beats."""
        due = min((peer.ear.due(now) for peer in self._peers.values()), default=inf)
        due = max(now, min(due, self._teller.due, self._beat_at))
        if self._timer is not None:
            self._timer.cancel()
        self._planned = due
        self._timer = asyncio.get_running_loop().call_later(due - now, self._tick)

    def _beats(self, now: float) -> None:
        """Say whom we hear: when it is time, and when it has changed."""
        hearing = {host: self._peers[host].ear.hearing for host in sorted(self._peers)}
        if self._teller.hears(hearing) or now >= self._beat_at:
            self._beat_at = now + self._pace.beat
            self._teller.beats(asyncio.get_running_loop().time())

    def _compare(self, now: float) -> None:
        self._compare_at = now + COMPARE
        linked = sorted(self._links)
        if linked and (self._comparing is None or self._comparing.done()):
            giver = linked[int(now / COMPARE) % len(linked)]
            self._comparing = asyncio.get_running_loop().create_task(self._puller.compare(giver))

    # What there is

    def _meet(self) -> None:
        now = self._now()
        hosts = self.out.hosts
        self._pace = Pace.of(len(hosts))
        for host in self._peers.keys() - hosts.keys():
            task = self._peers.pop(host).dialling
            if task is not None:
                task.cancel()
        for host in hosts.keys() - self._peers.keys() - {self._me.host}:
            peer = self._peers[host] = _Peer(now)
            if host in self._links:
                self._heard(host, peer, now)
            else:
                self._look(host, peer, now)
        self._beats(now)
        self._arm(now)

    def _address(self, host: str) -> tuple[str, int] | None:
        place = self.out.hosts.get(host)
        return place if place is not None and place[0] and place[1] else None

    def _is_address(self, address: str) -> bool:
        return any(address == place[0] for place in self.out.hosts.values())

    def _linked(self) -> list[str]:
        return list(self._links)

    def _say(self, host: str, words: str) -> None:
        """A warning, but not about the same host again and again."""
        now = self._clock.now()
        if now - self._logged.get(host, -inf) >= RARELY:
            self._logged[host] = now
            log.warning("%s", words)
