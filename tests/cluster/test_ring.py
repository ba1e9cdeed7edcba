"""The rotation of the gossip's key, against a daemon that is a table."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from nodeorch.cluster import ring
from nodeorch.cluster.errors import ClusterError


class Daemon:
    """Hosts with the keys that each has; the first encrypts."""

    def __init__(self, *hosts: str) -> None:
        self.states = dict.fromkeys(hosts, "up")
        self.keys = {host: ["old"] for host in hosts}
        self.serf_gone: set[str] = set()
        self.verbs: list[str] = []
        self.then: dict[str, Any] = {}
        """Verb → what happens after it."""

    def get(self, path: str) -> Any:
        assert path == "/v1/members"
        first = next(iter(self.states))
        return [{"name": n, "state": s, "me": n == first} for n, s in self.states.items()]

    def post(self, path: str, body: Any = None) -> Any:
        assert path == "/v1/cluster/keys"
        verb, key = body["verb"], body["key"]
        assert bool(key) == (verb != "list")
        self.verbs.append(verb)
        reached = [n for n, s in self.states.items() if s == "up" and n not in self.serf_gone]
        counts: dict[str, int] = {}
        for keys in (self.keys[name] for name in reached):
            if verb == "install" and key not in keys:
                keys.append(key)
            elif verb == "use":
                keys.remove(key)
                keys.insert(0, key)
            elif verb == "remove":
                assert keys[0] != key, "Serf refuses to remove the key that is in use"
                keys.remove(key)
            for each in keys:
                counts[each] = counts.get(each, 0) + 1
        self.then.pop(verb, lambda: None)()
        return {"keys": counts if verb == "list" else {}}


def test_all_hosts_get_the_new_key_and_only_that(tmp_path: Path) -> None:
    daemon = Daemon("h1", "h2", "h3")
    said = list(ring.rotate(tmp_path, daemon))
    assert said == ["h1, h2, h3: all have the new key", "it is in use", "1 former key removed"]
    [keys] = {tuple(keys) for keys in daemon.keys.values()}
    assert len(keys) == 1 and keys != ("old",)
    assert list(tmp_path.iterdir()) == []


def test_with_a_host_away_nothing_is_begun(tmp_path: Path) -> None:
    daemon = Daemon("h1", "h2", "h3")
    daemon.states["h3"] = "down"
    with pytest.raises(ClusterError, match=r"h3 \(down\) would not have it"):
        list(ring.rotate(tmp_path, daemon))
    assert daemon.verbs == []
    daemon.states["h3"] = "left"
    assert "h1, h2: all" in next(iter(ring.rotate(tmp_path, daemon)))


def test_a_host_without_serf_holds_it_before_the_key_is_used(tmp_path: Path) -> None:
    daemon = Daemon("h1", "h2", "h3")
    daemon.serf_gone = {"h2"}
    with pytest.raises(ClusterError, match="2 of 3 hosts have it"):
        list(ring.rotate(tmp_path, daemon))
    assert "use" not in daemon.verbs and daemon.keys["h1"][0] == "old"
    begun = (tmp_path / ring.NEXT).read_text()
    assert (tmp_path / ring.NEXT).stat().st_mode & 0o777 == 0o600
    daemon.serf_gone = set()
    assert "begun earlier" in "; ".join(ring.rotate(tmp_path, daemon))
    assert set(map(tuple, daemon.keys.values())) == {(begun,)}


def test_a_host_that_goes_in_between_keeps_the_former_key_in_the_ring(tmp_path: Path) -> None:
    """It still says all with the former key when it is back, and has to be understood."""
    daemon = Daemon("h1", "h2", "h3")
    daemon.then["list"] = lambda: daemon.states.update(h3="down")
    with pytest.raises(ClusterError, match="h3"):
        list(ring.rotate(tmp_path, daemon))
    assert "remove" not in daemon.verbs
    assert "old" in daemon.keys["h1"] and daemon.keys["h3"][0] == "old"
    daemon.states["h3"] = "up"
    list(ring.rotate(tmp_path, daemon))
    assert len({tuple(keys) for keys in daemon.keys.values()}) == 1


def test_what_another_host_had_begun_is_removed_in_the_end(tmp_path: Path) -> None:
    daemon = Daemon("h1", "h2")
    for keys in daemon.keys.values():
        keys.append("begun by another")
    assert list(ring.rotate(tmp_path, daemon))[-1] == "2 former keys removed"
