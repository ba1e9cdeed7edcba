"""What Serf and the peers are told of a world, and what people ask of the fleet."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
from pathlib import Path
from types import SimpleNamespace

import pytest
from msgspec.structs import replace

from nodeorch.adapters.shelf import FileShelf
from nodeorch.daemon import fleetparts
from nodeorch.daemon.fleetdesk import FleetDesk
from nodeorch.daemon.fleetlink import FleetLink, watch_quiet
from nodeorch.daemon.fleetparts import needed
from nodeorch.daemon.laid import MirroredShelf, lay
from nodeorch.decide.template import digest
from nodeorch.files import read_regular
from nodeorch.fleetports import PeerError
from nodeorch.model.facts import Fact, HostRemoved, QuietSeen
from nodeorch.model.fleet import Grave, Stamp
from nodeorch.model.placing import Failback, Failover, FailoverMode
from nodeorch.model.workload import File
from nodeorch.ports import CommandRefused
from nodeorch.spec.load import load_text
from nodeorch.spec.settings import ClusterSettings, PathSettings, Settings
from tests.decide.fleetstory import Fleet
from tests.decide.story import workload
from tests.fakes.members import FakeGossip
from tests.fakes.peers import FakeMirror, FakePeers
from tests.lab.wait import async_wait_for

MOVES = Failover(mode=FailoverMode.AVAILABLE)


def story() -> Fleet:
    return Fleet().up().declare("h1", workload("web", failover=MOVES)).run(3)


def linked() -> tuple[FleetLink, FakePeers, list[dict[str, str]]]:
    tags: list[dict[str, str]] = []
    members = SimpleNamespace(sync=lambda said: tags.append(dict(said)))
    peers = FakePeers()
    return FleetLink(members, peers, "run1", 7444, "0.1"), peers, tags  # type: ignore[arg-type]


def test_serf_is_told_of_the_daemon_and_of_its_view():
    link, _, tags = linked()
    world = story().hosts["h1"].world
    link.sync(world)
    stamp = world.fleet.view.stamp
    assert tags[-1] == {
        "port": "7444",
        "run": "run1",
        "version": "0.1",
        "view": f"{stamp.incarnation}.{stamp.revision}",
    }


def test_peers_are_told_of_all_hosts_views_and_of_what_runs_here():
    link, peers, _ = linked()
    world = story().hosts["h1"].world
    link.sync(world)
    assert set(peers.out.hosts) == {"h2", "h3"}
    assert set(peers.out.views) == {"h1", "h2", "h3"}
    assert peers.out.report.running["web"].ready == (0,)


def test_what_has_not_changed_is_the_same_object():
    link, peers, _ = linked()
    world = story().hosts["h1"].world
    link.sync(world)
    first = peers.out
    again = replace(world, fleet=replace(world.fleet, takeovers=7), workloads=dict(world.workloads))
    link.sync(again)
    for part in ("hosts", "report", "views", "hints"):
        assert getattr(peers.out, part) is getattr(first, part), part


def test_stamps_in_tags_are_hints_and_garbage_is_none():
    link, peers, _ = linked()
    world = story().hosts["h1"].world
    hosts = dict(world.fleet.hosts)
    hosts["h2"] = replace(hosts["h2"], tags={"view": "3.14"})
    hosts["h3"] = replace(hosts["h3"], tags={"view": "3.x" + "9" * 600})
    link.sync(replace(world, fleet=replace(world.fleet, hosts=hosts)))
    assert peers.out.hints == {"h2": Stamp(3, 14)}


def test_who_has_left_is_refused_unless_it_is_there_again():
    link, peers, _ = linked()
    world = story().hosts["h1"].world
    departed = {"h9": Grave(1, "h2"), "h2": Grave(1, "h3")}
    record = replace(world.fleet.record, departed=departed)
    link.sync(replace(world, fleet=replace(world.fleet, record=record)))
    assert peers.out.refused == {"h9"}


async def test_a_copy_that_has_nothing_to_do_for_a_while_is_told_idle():
    failover = Failover(mode=FailoverMode.AVAILABLE, failback=Failback.IDLE)
    fleet = Fleet().up().declare("h1", workload("web", failover=failover)).run(3).kill("h1").run(4)
    holder = fleet.hosts[fleet.where("web")[0]].world
    now, percent, put = [0.0], [0.1], []

    def samples() -> dict[str, object]:
        return {"web.0.g1": SimpleNamespace(cpu_percent=percent[0])}

    def later(seconds: float) -> None:
        now[0] += seconds

    clock = SimpleNamespace(now=lambda: now[0])
    task = asyncio.create_task(watch_quiet(lambda: holder, samples, clock, put.append, 0.005))  # type: ignore[arg-type]
    await asyncio.sleep(0.05)
    assert put == [], "it has been looked at for a moment only"
    later(61)
    await async_wait_for(lambda: put, 5, "it is told idle")
    percent[0] = 50.0
    await async_wait_for(lambda: len(put) > 1, 5, "it is told busy")
    task.cancel()
    assert put == [QuietSeen(idle=frozenset({"web"})), QuietSeen(idle=frozenset())]


class Desk:
    """A desk over a world that a story made."""

    def __init__(self, folder: Path, fleet: Fleet, host: str) -> None:
        self.fleet, self.host = fleet, host
        self.folder = folder / "workloads.d"
        self.folder.mkdir()
        self.mirror = FakeMirror()
        self.gossip = FakeGossip()
        members = self.gossip.host(host, "10.0.0.2", lambda fact: None)
        settings = Settings(
            paths=PathSettings(workloads=str(self.folder)),
            cluster=ClusterSettings(name="lab", address="10.0.0.2", files=str(folder / "cluster")),
        )
        clock = SimpleNamespace(wall=lambda: 1e9)
        self.desk = FleetDesk(
            settings,
            lambda: fleet.hosts[host].world,
            self.submit,
            clock,  # type: ignore[arg-type]
            members,
            self.mirror,
        )
        self.rejects = ""

    async def submit(self, fact: Fact) -> None:
        self.fleet.hosts[self.host].tell(fact)

    async def reload(self, *, applied: tuple[str, ...], taken: tuple[str, ...], by: str) -> None:
        host = self.fleet.hosts[self.host]
        if self.rejects:
            host.specs(rejected={self.rejects: "it is wrong"})
            return
        for name in applied:
            text = (self.folder / f"{name}.toml").read_text()
            loaded, problems = load_text(text, f"{name}.toml", stem=name)
            assert loaded is not None, problems
            host.files[name] = loaded
        host.specs(applied=applied, taken=taken, by=by)


async def test_a_home_that_is_taken_gets_its_file_here(tmp_path: Path):
    fleet = story().kill("h1").run(4)
    desk = Desk(tmp_path, fleet, "h2")
    words = await desk.desk.take("web", "uid 0", False, desk.reload)
    assert "web" in words
    file = desk.folder / "web.toml"
    assert file.stat().st_mode & 0o777 == 0o600, "an env file's secrets stand in it"
    assert "Its home was h1" in file.read_text()
    fleet.run(3)
    assert fleet.hosts["h2"].world.fleet.claims["web"].home == "h2"
    loaded, _ = load_text(file.read_text(), "web.toml", stem="web")
    assert digest(loaded) == fleet.hosts["h3"].world.fleet.claims["web"].declared.digest


async def test_the_home_of_a_host_that_is_up_is_not_taken(tmp_path: Path):
    desk = Desk(tmp_path, story(), "h2")
    with pytest.raises(CommandRefused, match="its home h1 is up; change it there"):
        await desk.desk.take("web", "uid 0", True, desk.reload)
    assert list(desk.folder.iterdir()) == []


async def test_a_file_that_is_rejected_is_taken_away_again(tmp_path: Path):
    desk = Desk(tmp_path, story().kill("h1").run(4), "h2")
    desk.rejects = "web"
    with pytest.raises(CommandRefused, match="it is wrong"):
        await desk.desk.take("web", "uid 0", False, desk.reload)
    assert list(desk.folder.iterdir()) == []


async def test_who_leaves_says_so_before_serf_does(tmp_path: Path):
    desk = Desk(tmp_path, story(), "h2")
    await desk.desk.leave("h2", "uid 0")
    assert "h2" in desk.fleet.hosts["h2"].world.fleet.view.departed
    assert not desk.gossip.alive("h2")


async def test_a_lost_host_with_workloads_is_not_removed(tmp_path: Path):
    desk = Desk(tmp_path, story().kill("h1").run(12), "h2")
    with pytest.raises(CommandRefused, match="home take web"):
        await desk.desk.leave("h1", "uid 0")
    fact = HostRemoved(host="h1", by="uid 0")
    assert "h1" in desk.fleet.hosts["h2"].tell(fact).world.fleet.hosts


async def test_a_host_alone_has_no_desk_for_these():
    desk = FleetDesk(Settings(), lambda: story().hosts["h1"].world, None, None, None, None)  # type: ignore[arg-type]
    with pytest.raises(CommandRefused, match="in no fleet"):
        await desk.keys("list", "")


async def test_joining_is_answered_by_a_process_of_its_own(tmp_path: Path):
    """It has no CA here, and says so; that it can sign is tested with real hosts."""
    (tmp_path / "cluster").mkdir()
    desk = Desk(tmp_path, story(), "h2")
    body = json.dumps(
        {
            "id": "0" * 16, "secret": "0" * 32, "name": "h9", "address": "10.0.0.9", "port": 7444,
            "csr": "", "protocol": 1,
        }
    ).encode()  # fmt: skip
    answer = json.loads(await desk.desk.join(body, "10.0.0.9"))
    assert answer["error"].startswith("cannot"), answer


async def test_a_signing_process_that_breaks_is_told(tmp_path: Path, monkeypatch):
    monkeypatch.setattr(
        "nodeorch.daemon.fleetdesk.signing", lambda verb: (["false"], dict(os.environ))
    )
    desk = Desk(tmp_path, story(), "h2")
    with pytest.raises(PeerError, match="cannot sign"):
        await desk.desk.renew("h3", b"{}")


async def test_a_copy_finds_its_config_files_among_what_was_mirrored(tmp_path: Path):
    shelf, mirror = FileShelf(tmp_path / "files", read_regular), FakeMirror()
    content = b"mirrored"

    name = hashlib.sha256(content).hexdigest()
    mirror.keep("web", name, content)
    both = MirroredShelf(shelf, mirror)
    (path,) = await lay(both, "web", (File(target="/etc/x", digest=name),))
    assert read_regular(path, 100) == content


async def test_the_certificate_is_looked_at_soon_after_the_start(monkeypatch):
    """A daemon that is restarted every day would never come to it otherwise."""
    looked = asyncio.Event()

    async def begin(*command: str) -> SimpleNamespace:
        assert command[-3:] == ("--if-due", "--config", "/etc/x.toml")
        looked.set()
        return SimpleNamespace(wait=asyncio.Event().wait)

    monkeypatch.setattr(fleetparts, "SOON", 0.0)
    monkeypatch.setattr(fleetparts.asyncio, "create_subprocess_exec", begin)
    parts = SimpleNamespace(_config=Path("/etc/x.toml"))
    task = asyncio.create_task(fleetparts.FleetParts._renew(parts))  # type: ignore[arg-type]
    await asyncio.wait_for(looked.wait(), 5)
    assert fleetparts.RENEW == 24 * 3600.0, "the next look is tomorrow"
    task.cancel()


def test_only_files_of_what_may_come_here_are_kept():
    moving, staying = "a" * 64, "b" * 64
    fleet = Fleet().up()
    fleet.declare(
        "h1",
        workload("web", failover=MOVES, files=(File(target="/x", digest=moving),)),
        workload("local", files=(File(target="/x", digest=staying),)),
    ).run(3)
    assert needed(fleet.hosts["h2"].world.fleet.views.values()) == {"web": {moving}}
