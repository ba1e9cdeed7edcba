"""Fetches views that are newer than ours, with the files that their movable workloads need.

Who told of a view is asked for it first, then its home, then others: any host can give any view, so
that one which slept learns of deletions from whoever is there.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Protocol

import msgspec

from nodeorch.adapters.peers.tls import NAME
from nodeorch.fleetports import Mirror, PeerError
from nodeorch.model.facts import ViewSeen
from nodeorch.model.fleet import Stamp, View, movable
from nodeorch.ports import Inbox

log = logging.getLogger(__name__)

AT_ONCE = 4
"""Views fetched at the same time; each may hold its 16 MiB."""
GIVERS = 3
"""Hosts asked for one view in one go."""
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 30.0
"""Seconds between goes that fail; doubled each time."""
SETTLE = 30.0
"""Seconds in which what was handed over is not fetched again, though it is not ours yet."""
NAMES = 4096
"""Views that one host may tell of."""
ROUNDS = 3
"""Goes in which a file that nobody has holds a view back: then it is handed over without, for it
also says what was deleted."""
LARGE = 64 << 10
"""Bytes from which a view is decoded in a thread."""
FILE = 1 << 20
_DIGEST = re.compile("([0-9a-f]{64})?")

_view = msgspec.json.Decoder(View)
_stamps = msgspec.json.Decoder(dict[str, Stamp])


class Ask(Protocol):
    def __call__(self, host: str, method: str, path: str, *, limit: int) -> Awaitable[bytes]: ...


class _Unfit(Exception):
    """What was given is no view that can be used. Words say why."""


class _Lacking(Exception):
    """A file that nobody gives. Words say which."""


class Puller:
    """``linked`` names the hosts that can be asked now."""

    def __init__(
        self,
        ask: Ask,
        mirror: Mirror,
        put: Inbox,
        me: str,
        linked: Callable[[], Iterable[str]],
        now: Callable[[], float],
    ) -> None:
        self._now = now
        self._ask = ask
        self._mirror = mirror
        self._put = put
        self._me = me
        self._linked = linked
        self._ours: Mapping[str, View] = {}
        self._offers: dict[str, dict[str, Stamp]] = {}
        """Host → who told of its view → the stamp that they told."""
        self._settling: dict[str, tuple[Stamp, float]] = {}
        self._again: dict[str, tuple[float, float, int]] = {}
        """Host → (not before, the next pause, goes that failed for a file)."""
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._slots = asyncio.Semaphore(AT_ONCE)

    def ours(self, views: Mapping[str, View]) -> None:
        self._ours = views
        for host in list(self._offers):
            self._forget_old(host)

    def offer(self, giver: str, stamps: Mapping[str, Stamp]) -> None:
        """A host told what it has; gossip is as good as the home itself. A hint ends a pause."""
        for host, stamp in list(stamps.items())[:NAMES]:
            if self._newer(host, stamp) and NAME.fullmatch(host):
                self._offers.setdefault(host, {})[giver] = stamp
                pause = self._again.get(host)
                if pause is not None:
                    self._again[host] = (min(pause[0], self._now() + FIRST_PAUSE), *pause[1:])
        self.tick()

    def gone(self, giver: str) -> None:
        """Its link has ended: what it told it tells again with the next."""
        for host in list(self._offers):
            if host != giver:
                self._offers[host].pop(giver, None)
                if not self._offers[host]:
                    del self._offers[host]

    def tick(self) -> None:
        """Begin what there is to fetch."""
        now = self._now()
        for host in list(self._offers):
            if host in self._tasks or self._again.get(host, (0.0,))[0] > now:
                continue
            if givers := self._givers(host):
                task = asyncio.get_running_loop().create_task(self._fetch(host, givers))
                self._tasks[host] = task
                task.add_done_callback(lambda _, host=host: self._tasks.pop(host))  # type: ignore[misc]

    async def compare(self, giver: str) -> None:
        """Anti-entropy: what else it has."""
        try:
            stamps = _stamps.decode(await self._ask(giver, "GET", "/v1/stamps", limit=FILE))
        except (PeerError, msgspec.DecodeError) as error:
            log.warning("cannot compare views with %s: %s", giver, error)
            return
        self.offer(giver, stamps)

    async def close(self) -> None:
        for task in list(self._tasks.values()):
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)

    def _newer(self, host: str, stamp: Stamp) -> bool:
        settling, until = self._settling.get(host, (None, 0.0))
        if settling is not None and self._now() < until and stamp <= settling:
            return False
        ours = self._ours.get(host)
        return ours is None or stamp > ours.stamp

    def _forget_old(self, host: str) -> None:
        offers = self._offers[host]
        for giver, stamp in list(offers.items()):
            if not self._newer(host, stamp):
                del offers[giver]
        if not offers:
            del self._offers[host]
            self._again.pop(host, None)

    def _givers(self, host: str) -> list[str]:
        offers, linked = self._offers[host], list(self._linked())
        told = sorted((g for g in linked if g in offers), key=lambda g: offers[g], reverse=True)
        others = [g for g in linked if g not in offers]
        return [*told, *sorted(others, key=lambda g: g != host)][:GIVERS]

    async def _fetch(self, host: str, givers: list[str]) -> None:
        _, pause, lacking = self._again.get(host, (0.0, FIRST_PAUSE, 0))
        async with self._slots:
            for giver in givers:
                try:
                    if await self._from(giver, givers, host, lacking + 1 >= ROUNDS):
                        return
                except _Lacking as error:
                    log.warning("%s", error)
                    lacking += 1
                    break
                except (PeerError, _Unfit, OSError) as error:
                    log.warning("cannot fetch the view of %s from %s: %s", host, giver, error)
        if host in self._offers:
            self._again[host] = (self._now() + pause, min(pause * 2, LONGEST_PAUSE), lacking)

    async def _from(self, giver: str, givers: list[str], host: str, give_up: bool) -> bool:
        body = await self._ask(giver, "GET", f"/v1/views/{host}", limit=16 << 20)
        view = await asyncio.to_thread(_read, body) if len(body) > LARGE else _read(body)
        if view.host != host:
            raise _Unfit(f"it is the view of {view.host}")
        if not self._newer(host, view.stamp):
            self._offers.get(host, {}).pop(giver, None)
            return False
        if host != self._me:
            for declared in view.all:
                if movable(declared.workload):
                    for digest in await asyncio.to_thread(self._mirror.missing, declared):
                        await self._file(givers, declared.workload.name, digest, give_up)
        self._settling[host] = (view.stamp, self._now() + SETTLE)
        if host in self._offers:
            self._forget_old(host)
        self._put(ViewSeen(view, giver))
        return True

    async def _file(self, givers: list[str], workload: str, digest: str, give_up: bool) -> None:
        why = ""
        for giver in givers:
            path = f"/v1/files/{workload}/{digest}"
            try:
                content = await self._ask(giver, "GET", path, limit=FILE)
                return await asyncio.to_thread(self._mirror.keep, workload, digest, content)
            except (PeerError, ValueError) as error:
                why = str(error)
        words = f"cannot mirror a file of {workload}: {why}"
        if not give_up:
            raise _Lacking(words)
        log.error("%s; it could not run here should its host fail", words)


def _read(body: bytes) -> View:
    """Raises _Unfit."""
    try:
        view = _view.decode(body)
    except (msgspec.DecodeError, RecursionError, ValueError) as error:
        raise _Unfit(f"it is not understood: {str(error)[:200]}") from None
    keys = [part for key in (*view.graves, *view.adrift) for part in _halves(key)]
    names = [view.host, *view.declared, *view.orphans, *view.departed, *keys]
    if not all(NAME.fullmatch(name) for name in names):
        raise _Unfit("it has names that cannot be")
    adrift = [(_halves(key)[1], one) for key, one in view.adrift.items()]
    named = [*view.declared.items(), *view.orphans.items(), *adrift]
    if any(name != declared.workload.name for name, declared in named):
        raise _Unfit("it has a workload under another's name")
    files = (file for declared in view.all for file in declared.workload.files)
    if not all(_DIGEST.fullmatch(file.digest) for file in files):
        raise _Unfit("it has digests that cannot be")
    return view


def _halves(key: str) -> tuple[str, str]:
    """Of "HOME/NAME"."""
    home, _, name = key.partition("/")
    return home, name
