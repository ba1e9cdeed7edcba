"""``rotate.py FILES RPC HOST…``: the rotation of the key, through the daemon's adapter to Serf."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Any

from nodeorch.adapters.serf import SerfMembers
from nodeorch.cluster import ring
from nodeorch.cluster.errors import ClusterError

FILES, RPC, *HOSTS = sys.argv[1:]


class Daemon:
    def get(self, path: str) -> Any:
        return [{"name": name, "me": False, "state": "up"} for name in HOSTS]

    def post(self, path: str, body: Any = None) -> Any:
        return {"keys": asyncio.run(asked(body["verb"], body["key"]))}


async def asked(verb: str, key: str) -> dict[str, int]:
    members = SerfMembers(RPC, Path(FILES) / "rpc.key", lambda fact: None)
    try:
        return dict(await members.keys(verb, key))
    finally:
        await members.close()


try:
    for words in ring.rotate(Path(FILES), Daemon()):
        print(words)
except ClusterError as error:
    sys.exit(str(error))
