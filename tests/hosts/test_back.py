"""Hosts that return with stale state, an empty disk, another address; keys that change."""

from __future__ import annotations

import shutil
import time

from tests.hosts.conftest import Fleets
from tests.hosts.fleet import Fleet
from tests.hosts.scene import BACK, SEAMLESS, Part, Scene, pinned, thorough

PORT = 18370


def join(fleet: Fleet, host: str, address: str) -> None:
    """As a person does it; h1 has the key of the fleet."""
    token = fleet.shell("h1", "nodeorch", "cluster", "token").strip()
    words = ("nodeorch", "cluster", "join", token, fleet.address("h1"), "--address", address)
    fleet.shell(host, *words)
    fleet.shell(host, "pkill", "--pidfile", "/run/lab/nodeorchd.pid")


def _left(fleet: Fleet, host: str) -> bool:
    """Whether h3 has left by the account of another."""
    return fleet.members(host).get("h3", {"state": "left"})["state"] == "left"


def _removed(fleet: Fleet, host: str, gone: str) -> str:
    """What `nodeorch cluster leave GONE` on another host says, as soon as Serf knows, too."""
    said = ""

    def so() -> bool:
        nonlocal said
        said = fleet.shell(host, "nodeorch", "cluster", "leave", gone, check=False)
        return "Serf does not know yet" not in said

    fleet.wait_for(so, BACK, f"Serf knows that {gone} is gone")
    return said


def _empty(fleet: Fleet, host: str) -> None:
    """Its /var/lib is new; what is in /etc has been put back."""
    for name in ("nodeorch", "containers"):
        shutil.rmtree(fleet.disk(host) / "var/lib" / name, ignore_errors=True)


def test_a_host_slept_while_others_decided(three: Fleet) -> None:
    """What was deleted meanwhile does not come back, though those who deleted it are off; what was
    taken from it meanwhile it does not run."""
    parts = (
        Part("gone", "h2", PORT),
        Part("taken", "h1", PORT + 1),
        Part("own", "h1", PORT + 2),
        pinned("still", "h3"),
        pinned("file", "h2"),  # the last file is not deleted unasked
    )
    with Scene(three, *parts) as scene:
        three.kill("h1")
        scene.until({"taken": 1, "own": 1})
        began = time.monotonic()
        three.remove_spec("h2", "gone")
        scene.until({"gone": 0})
        said = three.shell("h3", "nodeorch", "home", "take", "taken")
        three.wait_for(lambda: three.homes("h2")["taken"]["home"] == "h3", BACK, "h2 knows")
        three.wait_for(lambda: "gone" not in three.homes("h3"), BACK, "h3 knows, too")
        took = time.monotonic() - began
        assert "is the home of taken now" in said or said, said
        print(f"deleted and taken: known to all that are up after {took:.2f} s; {said.strip()}")
        three.kill("h2")
        three.start("h1")
        three.wait_for(lambda: three.members("h1")["h3"]["state"] == "up", BACK, "h1 sees h3")
        scene.until({"taken": 1, "own": 1, "gone": 0, "still": ["h3"]})
        scene.stays({"gone": 0, "taken": 1, "own": 1}, 4.0)
        assert "gone" not in three.homes("h1")
        three.start("h2")
        scene.remember()
        took = scene.back({"gone": 0, "taken": 1, "own": 1, "still": ["h3"]})
        assert three.homes("h1")["taken"]["home"] == "h3"
        scene.told("h1", "taken", "home is h3")
        scene.kept(["h3"])
        print(f"a host slept: as declared {took:.2f} s after; {scene.where('taken')}")
        scene.told("h1", "taken", "1/1 ready")
        # The new home is one that can change it.
        (runner,), begun = scene.where("taken"), time.monotonic()
        three.write_spec("h3", "taken", Part("taken", "h3", PORT + 1, colour=1).text())
        three.wait_for(
            lambda: len(scene.watches["taken"].pages(begun).get(runner, [])) > 1, BACK, "changed"
        )


@thorough
def test_a_host_returns_with_an_empty_disk(three: Fleet) -> None:
    """Its files of specs and its certificate are there: it declares again what it declared."""
    parts = Part("own", "h3", PORT), Part("other", "h2", PORT + 1), pinned("still", "h3")
    with Scene(three, *parts) as scene:
        three.kill("h3")
        scene.until({"own": 1, "still": 0})
        (taker,) = scene.where("own")
        _empty(three, "h3")
        scene.remember()
        three.start("h3")
        took = scene.back({"own": 1, "other": ["h2"], "still": ["h3"]})
        scene.stays({"own": [taker]})
        print(f"empty disk: as declared {took:.2f} s after; gaps {scene.gap('own'):.2f} s")
        assert scene.gap("own") < SEAMLESS
        scene.kept(("h1", "h2"))


@thorough
def test_what_an_empty_host_does_not_remember_goes_on(three: Fleet) -> None:
    """A host that does not remember what it declared ends nothing by it: it is an orphan."""
    parts = Part("own", "h3", PORT), Part("other", "h2", PORT + 1)
    with Scene(three, *parts) as scene:
        three.kill("h3")
        scene.until({"own": 1})
        (taker,) = scene.where("own")
        _empty(three, "h3")
        three.remove_spec("h3", "own")
        scene.remember()
        three.start("h3")
        scene.back({"own": [taker], "other": ["h2"]})
        scene.stays({"own": [taker]}, 3.0)
        assert three.homes("h1")["own"]["orphaned"]
        scene.told("h1", "own", "h3")
        three.shell("h1", "nodeorch", "home", "take", "own")
        scene.until({"own": 1})
        three.wait_for(lambda: not three.homes("h2")["own"]["orphaned"], BACK, "it has a home")
        print(f"orphan: {three.homes('h2')['own']}; gap {scene.gap('own'):.2f} s")
        assert scene.gap("own") < SEAMLESS


@thorough
def test_a_new_disk_joins_under_the_same_name(three: Fleet, fleets: Fleets) -> None:
    """What it declared is taken by another, which removes it; a new disk joins, and remembers
    nothing that it could bring back."""
    try:
        with Scene(three, Part("own", "h3", PORT), Part("other", "h2", PORT + 1)) as scene:
            three.kill("h3")
            scene.until({"own": 1})
            (taker,) = scene.where("own")
            assert "first `nodeorch home take own`" in _removed(three, "h1", "h3")
            three.shell("h1", "nodeorch", "home", "take", "own")
            assert "is of the fleet no more" in _removed(three, "h1", "h3")
            three.wait_for(lambda: all(_left(three, host) for host in ("h1", "h2")), BACK, "left")
            scene.stays({"own": [taker]}, 3.0)
            shutil.rmtree(three.dir / "hosts/h3")
            scene.remember()
            three.lab("up", "3", "--alone", timeout=120)
            join(three, "h3", three.address("h3"))
            took = scene.back({"own": [taker], "other": ["h2"]}, 40.0)
            scene.stays({"own": [taker]}, 3.0)
            print(f"a new disk: whole {took:.2f} s after; gaps {scene.gap('own'):.2f} s")
            assert scene.gap("own") < SEAMLESS
            scene.kept(("h1", "h2"))
            assert three.homes("h3")["own"]["home"] == "h1"
            scene.told("h3", "own", "its home is h1")
            three.write_spec("h3", "fresh", Part("fresh", "h3").text())
            scene.until({"fresh": ["h3"]})
    finally:
        fleets.close()


@thorough
def test_a_host_gets_a_new_address(three: Fleet, fleets: Fleets) -> None:
    """It leaves by itself and joins with the new one; what it runs runs on."""
    try:
        with Scene(
            three, Part("own", "h3", PORT), Part("other", "h2"), pinned("still", "h3")
        ) as scene:
            said = three.shell("h3", "nodeorch", "cluster", "leave")
            print(f"leave: {said.strip()}")
            three.shell("h3", "pkill", "--pidfile", "/run/lab/nodeorchd.pid")
            three.shell("h3", "pkill", "--pidfile", "/run/lab/serf.pid", check=False)
            three.wait_for(lambda: _left(three, "h1"), BACK, "h1 knows")
            scene.stays({"own": ["h3"], "still": ["h3"], "other": ["h2"]}, 3.0)
            new = "10.62.200.33"
            three.shell("h3", "ip", "addr", "flush", "dev", "eth0")
            three.shell("h3", "ip", "addr", "add", f"{new}/24", "dev", "eth0")
            three.shell("h3", "ip", "route", "replace", "default", "via", "10.62.200.1")
            # Its name is kept for who was given it for ten minutes, which have not gone by.
            (three.disk("h1") / "etc/nodeorch/cluster/tokens/name-h3").unlink()
            join(three, "h3", new)
            took = scene.back({"own": ["h3"], "still": ["h3"], "other": ["h2"]}, 40.0)
            assert three.members("h1")["h3"]["address"] == new
            scene.kept(three.hosts)
            print(f"a new address: whole again {took:.2f} s after joining; nothing was touched")
    finally:
        fleets.close()


def test_keys_and_certificates_change_while_workloads_run(three: Fleet) -> None:
    with Scene(three, Part("one", "h1", PORT), Part("two", "h2"), pinned("still", "h3")) as scene:
        began = time.monotonic()
        key = (three.disk("h2") / "etc/nodeorch/cluster/keyring.json").read_text()
        said = three.shell("h2", "nodeorch", "cluster", "rotate", "key")
        assert (three.disk("h2") / "etc/nodeorch/cluster/keyring.json").read_text() != key
        took = time.monotonic() - began
        old = (three.disk("h2") / "etc/nodeorch/cluster/node.crt").read_text()
        said += three.shell("h2", "nodeorch", "cluster", "rotate", "certificate")
        assert (three.disk("h2") / "etc/nodeorch/cluster/node.crt").read_text() != old
        # New connections, and a new agent, live by them.
        three.cut("h2")
        three.wait_for(lambda: not three.sees_all("h1"), BACK, "h2 is away")
        three.heal()
        three.shell("h2", "pkill", "-KILL", "--pidfile", "/run/lab/serf.pid")
        back = scene.back({"one": ["h1"], "two": ["h2"], "still": ["h3"]})
        print(f"rotated: key in {took:.2f} s, whole {back:.2f} s after a cut; {said.strip()}")
        assert scene.gap("one") < SEAMLESS
        scene.kept(three.hosts)
