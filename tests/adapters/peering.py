"""A small fleet on loopback addresses, with real TLS: what the tests of the peers share."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from nodeorch.adapters.clock import SystemClock
from nodeorch.adapters.mirror import FileMirror
from nodeorch.adapters.peers import Identity, TlsPeers
from nodeorch.adapters.shelf import FileShelf
from nodeorch.files import read_regular
from nodeorch.fleetports import FleetOut, PeerError
from nodeorch.model.facts import Fact, LinkSeen
from nodeorch.model.fleet import Hearing, Report, Stamp, View
from tests.lab.certificates import Certificates
from tests.lab.wait import async_wait_for

F = TypeVar("F")


class Node:
    """A host's peers' adapter, with all that it told."""

    def __init__(self, fleet: Fleet, name: str, address: str, **identity: Any) -> None:
        self.fleet, self.name, self.address = fleet, name, address
        self.facts: list[Fact] = []
        self.folder = fleet.folder / f"{name}-{address}"
        state = self.folder / "state"
        shelf = FileShelf(state / "mirror", read_regular)
        self.shelf = FileShelf(state / "files", read_regular)
        self.mirror = FileMirror(state / "mirror", shelf, state / "files", read_regular)
        self.files = fleet.certificates.host(name, self.folder / "cluster")
        self.joined: list[tuple[bytes, str]] = []
        fields: dict[str, Any] = {"cluster": "home", "port": 0, "lineage": "l", "boot": "b"}
        fields |= {"run": f"run-{name}-{address}", "version": "1", "files": self.files} | identity
        self.identity = Identity(host=name, address=address, **fields)
        self.peers = TlsPeers(
            self.identity, self.facts.append, self.mirror, self._join, self._renew, SystemClock()
        )
        self.out = FleetOut({}, Report(name), {})

    async def _join(self, body: bytes, address: str) -> bytes:
        self.joined.append((body, address))
        if body == b"bad":
            raise PeerError("cannot join: the token is not valid; make another")
        return b"certificate for " + body

    async def _renew(self, host: str, body: bytes) -> bytes:
        return f"renewed {host} ".encode() + body

    def set(self, **parts: Any) -> None:
        """Hand over what the world would, with these parts changed."""
        now = {f: getattr(self.out, f) for f in self.out.__struct_fields__}
        self.out = FleetOut(**(now | parts))
        self.peers.sync(self.out)

    def views(self, *views: View) -> None:
        self.set(views={view.host: view for view in views})

    def seen(self, kind: type[F]) -> list[F]:
        return [fact for fact in self.facts if isinstance(fact, kind)]

    def hearing(self, host: str) -> Hearing:
        return next(
            (f.hearing for f in reversed(self.seen(LinkSeen)) if f.host == host), Hearing.NEVER
        )

    async def hears(self, host: str, hearing: Hearing = Hearing.HEARD, deadline: float = 5) -> None:
        what = f"{self.name}: {host} is {hearing}; told {self.seen(LinkSeen)}"
        await async_wait_for(lambda: self.hearing(host) is hearing, deadline, what)


class Fleet:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.certificates = Certificates(folder)
        self.nodes: list[Node] = []

    async def node(self, name: str, address: str, **identity: Any) -> Node:
        node = Node(self, name, address, **identity)
        await node.peers.start()
        self.nodes.append(node)
        return node

    async def start(self, *names: str) -> list[Node]:
        """All of them, at 127.0.0.11 and on; they know each other."""
        nodes = [await self.node(name, f"127.0.0.{11 + i}") for i, name in enumerate(names)]
        self.introduce(*nodes)
        return nodes

    def introduce(self, *nodes: Node) -> None:
        for node in nodes:
            node.set(hosts=places(node, *nodes))

    async def close(self) -> None:
        await asyncio.gather(*(node.peers.close() for node in self.nodes))


def places(me: Node, *nodes: Node) -> Mapping[str, tuple[str, int]]:
    return {n.name: (n.address, n.peers.port) for n in nodes if n.name != me.name}


def view(host: str, revision: int, **fields: Any) -> View:
    return View(host, "l", Stamp(0, revision), **fields)
