"""nodeorch cluster rotate key: another encryption key of the gossip, while all goes on.

Each step waits for all hosts: who has only the former key does not understand what is said with the
next one. A host that is away therefore stops the rotation where it does no harm: it comes back with
the former key, which is in force until every host has the next one. To call it again goes on; and
where another host had begun, its key is one of those that are removed in the end.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

from nodeorch.cluster import folder
from nodeorch.cluster.errors import ClusterError
from nodeorch.cluster.init import new_key

NEXT = "next.key"
"""The key that is on its way to all hosts."""
GONE = frozenset({"left"})
AGAIN = "then call `nodeorch cluster rotate key` again: it goes on from here"


class Asked(Protocol):
    """The daemon's API: nodeorch.client.unix.Client."""

    def get(self, path: str) -> Any: ...
    def post(self, path: str, body: Any = None) -> Any: ...


def rotate(files: Path, daemon: Asked) -> Iterator[str]:
    """Does it; yields each step when it is done, in words. Raises ClusterError, and what the
    client does; the gossip goes on in every case."""
    hosts = _present(daemon)
    path = files / NEXT
    resumed = path.exists()
    if not resumed:
        folder.write(path, new_key())
    key = path.read_text().strip()
    _ask(daemon, "install", key)
    _everywhere(daemon, key, hosts)
    yield f"{', '.join(hosts)}: all have the new key" + (", begun earlier" if resumed else "")
    _ask(daemon, "use", key)
    yield "it is in use"
    _present(daemon)
    former = [each for each in _keys(daemon) if each != key]
    for each in former:
        _ask(daemon, "remove", each)
    path.unlink()
    yield f"{len(former)} former key{'' if len(former) == 1 else 's'} removed"


def _present(daemon: Asked) -> list[str]:
    """All hosts of the fleet. Raises ClusterError where one is away."""
    members = [each for each in daemon.get("/v1/members") if each["state"] not in GONE]
    away = [f"{each['name']} ({each['state']})" for each in members
            if not each["me"] and each["state"] != "up"]  # fmt: skip
    if away:
        raise ClusterError(
            f"cannot rotate the key: {', '.join(away)} would not have it, and be cut off; wait "
            "until it is back, or remove it with `nodeorch cluster leave NAME` if it is gone for "
            f"good; {AGAIN}",
            "HostAway",
        )
    return [each["name"] for each in members]


def _everywhere(daemon: Asked, key: str, hosts: list[str]) -> None:
    """Serf's own count is of those that it sees alive, so it is held against the fleet's."""
    have = _keys(daemon).get(key, 0)
    if have < len(hosts):
        raise ClusterError(
            f"cannot rotate the key: {have} of {len(hosts)} hosts have it; see on which Serf does "
            f"not run with `nodeorch members`, {AGAIN}",
            "HostAway",
        )


def _keys(daemon: Asked) -> dict[str, int]:
    found: dict[str, int] = _ask(daemon, "list", "")["keys"]
    return found


def _ask(daemon: Asked, verb: str, key: str) -> Any:
    return daemon.post("/v1/cluster/keys", {"verb": verb, "key": key})
