"""A host's peers' adapter in a process of its own: to be stopped, killed, or cut off.

Usage: peer_child.py NAME ADDRESS PORT FILES OTHER OTHER-ADDRESS OTHER-PORT

Prints "ready" once it listens, and each LinkSeen as "hearing NAME HEARING".
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from nodeorch.adapters.clock import SystemClock
from nodeorch.adapters.mirror import FileMirror
from nodeorch.adapters.peers import Identity, TlsPeers
from nodeorch.adapters.shelf import FileShelf
from nodeorch.files import read_regular
from nodeorch.fleetports import FleetOut
from nodeorch.model.facts import Fact, LinkSeen
from nodeorch.model.fleet import Report


def put(fact: Fact) -> None:
    if isinstance(fact, LinkSeen):
        print("hearing", fact.host, fact.hearing, flush=True)


async def nobody(*_: object) -> bytes:
    raise AssertionError


async def main() -> None:
    name, address, port, files, other, other_address, other_port = sys.argv[1:]
    identity = Identity(name, "home", address, int(port), "l", f"run-{name}", "b", "1", Path(files))
    root = Path(files) / "mirror"
    mirror = FileMirror(root, FileShelf(root, read_regular), root, read_regular)
    peers = TlsPeers(identity, put, mirror, nobody, nobody, SystemClock())
    await peers.start()
    peers.sync(FleetOut({other: (other_address, int(other_port))}, Report(name), {}))
    print("ready", flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main())
