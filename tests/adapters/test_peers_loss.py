"""Daemons that hang, die, or are cut off: real processes, and a cable that is pulled."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio

from nodeorch.model.facts import LinkSeen, OpinionSeen, ReportSeen
from nodeorch.model.fleet import Hearing
from tests.adapters.peering import Fleet, Node
from tests.lab.wait import async_wait_for

PORT = 7444
ROOT = Path(__file__).parents[2]


@pytest_asyncio.fixture
async def fleet(tmp_path: Path) -> AsyncIterator[Fleet]:
    fleet = Fleet(tmp_path)
    yield fleet
    await fleet.close()


class Child:
    """The host ``name`` at ``address``, which knows one other."""

    def __init__(self, fleet: Fleet, name: str, address: str, other: Node, enter: str = "") -> None:
        files = fleet.certificates.host(name, fleet.folder / f"{name}-child")
        self.said = fleet.folder / f"{name}-said"
        place = [other.name, other.address, str(other.peers.port)]
        program = [sys.executable, "-m", "tests.adapters.peer_child"]
        with self.said.open("wb") as out:
            self.process = subprocess.Popen(
                [*enter.split(), *program, name, address, str(PORT), str(files), *place],
                stdout=out,
                stderr=subprocess.STDOUT,
                cwd=ROOT,
            )
        other.set(hosts={name: (address, PORT)})

    def says(self, words: str) -> bool:
        return words in self.said.read_text()

    def end(self) -> None:
        self.process.kill()
        self.process.wait()


async def _took(node: Node, host: str, hearing: Hearing, since: float) -> float:
    await node.hears(host, hearing, 8)
    return time.monotonic() - since


@pytest.mark.parametrize(("ours", "theirs"), [("a", "b"), ("b", "a")])
async def test_a_killed_daemon_is_known_at_once_and_its_host_to_live(
    fleet: Fleet, ours: str, theirs: str
) -> None:
    node = await fleet.node(ours, "127.0.0.11")
    child = Child(fleet, theirs, "127.0.0.12", node)
    try:
        await node.hears(theirs)
        killed = time.monotonic()
        child.end()
        took = await _took(node, theirs, Hearing.ANSWERS, killed)
        print(f"killed → answers after {took:.3f} s")
        assert took < 0.5
    finally:
        child.end()


@pytest.mark.parametrize(("ours", "theirs"), [("a", "b"), ("b", "a")])
async def test_a_hanging_daemon_answers_and_is_heard_again_on_the_same_link(
    fleet: Fleet, ours: str, theirs: str
) -> None:
    node = await fleet.node(ours, "127.0.0.11")
    child = Child(fleet, theirs, "127.0.0.12", node)
    try:
        await node.hears(theirs)
        await async_wait_for(lambda: node.seen(ReportSeen), 5, "it reports")
        link = node.peers._links[theirs]
        os.kill(child.process.pid, signal.SIGSTOP)
        stopped = time.monotonic()
        took = await _took(node, theirs, Hearing.ANSWERS, stopped)
        print(f"stopped → answers after {took:.3f} s")
        assert 0.9 < took < 2.0
        told, ear = len(node.seen(LinkSeen)), node.peers._peers[theirs].ear
        knocked = ear.knocked
        await asyncio.sleep(2.6)
        assert len(node.seen(LinkSeen)) == told, "it goes on answering"
        assert ear.knocked - knocked < 1.5, "by acknowledgements: its queue of connections is kept"
        os.kill(child.process.pid, signal.SIGCONT)
        assert await _took(node, theirs, Hearing.HEARD, time.monotonic()) < 1.0
        assert node.peers._links[theirs] is link
        kinds = [type(fact) for fact in node.facts]
        since = kinds[len(kinds) - kinds[::-1].index(LinkSeen) :]
        assert {ReportSeen, OpinionSeen} <= set(since), "what it last said counts again"
        assert child.said.read_text().split() == ["ready", "hearing", ours, "heard"], (
            "who did not run judges nobody by what it missed"
        )
    finally:
        child.end()


def _hold_up(seconds: float) -> None:
    """The loop that runs this."""
    time.sleep(seconds)


async def test_who_did_not_run_for_a_while_judges_nobody(fleet: Fleet) -> None:
    a, b = await fleet.start("a", "b")
    await a.hears("b")
    await b.hears("a")
    told = len(a.seen(LinkSeen)) + len(b.seen(LinkSeen))
    _hold_up(3.0)
    await asyncio.sleep(1.0)
    assert len(a.seen(LinkSeen)) + len(b.seen(LinkSeen)) == told


def _ip(words: str) -> None:
    subprocess.run(["ip", *words.split()], check=True, capture_output=True)


@pytest.fixture
def cable() -> Iterator[str]:
    """A network namespace at 10.213.77.2, this one at 10.213.77.1; its name."""
    if os.geteuid() != 0 or shutil.which("ip") is None:
        if os.environ.get("NODEORCH_TEST_STRICT"):
            pytest.fail("needs root and iproute2")
        pytest.skip("needs root and iproute2")
    name = f"peers-{os.getpid()}"
    here, there = f"pv{os.getpid()}", f"pw{os.getpid()}"
    _ip(f"netns add {name}")
    try:
        _ip(f"link add {here} type veth peer name {there} netns {name}")
        _ip(f"addr add 10.213.77.1/30 dev {here}")
        _ip(f"link set {here} up")
        _ip(f"-n {name} addr add 10.213.77.2/30 dev {there}")
        _ip(f"-n {name} link set {there} up")
        yield name
        _ip(f"link del {here}")  # sockets that still try would hold the namespace, and it, for long
    finally:
        _ip(f"netns del {name}")


@pytest.mark.parametrize(("ours", "theirs"), [("a", "b"), ("b", "a")])
async def test_a_host_that_is_cut_off_is_silent_within_two_seconds_and_comes_back(
    fleet: Fleet, cable: str, ours: str, theirs: str
) -> None:
    node = await fleet.node(ours, "10.213.77.1")
    there = f"pw{os.getpid()}"
    child = Child(fleet, theirs, "10.213.77.2", node, enter=f"ip netns exec {cable}")
    try:
        await node.hears(theirs)
        _ip(f"-n {cable} link set {there} down")
        pulled = time.monotonic()
        took = await _took(node, theirs, Hearing.SILENT, pulled)
        print(f"cut off → silent after {took:.3f} s")
        assert 1.4 < took < 2.2
        heard = [f.hearing for f in node.seen(LinkSeen)]
        assert heard == [Hearing.HEARD, Hearing.SILENT], "it does not seem to answer in between"
        await async_wait_for(lambda: theirs not in node.peers._links, 1, "it may be half open")
        await async_wait_for(lambda: child.says(f"hearing {ours} silent"))
        _ip(f"-n {cable} link set {there} up")
        took = await _took(node, theirs, Hearing.HEARD, time.monotonic())
        print(f"plugged in → heard after {took:.3f} s")
        assert took < 4.0
    finally:
        child.end()


async def test_a_host_that_was_off_all_along_is_silent(fleet: Fleet, cable: str) -> None:
    node = await fleet.node("a", "10.213.77.1")
    _ip(f"-n {cable} link set pw{os.getpid()} down")
    began = time.monotonic()
    node.set(hosts={"b": ("10.213.77.2", PORT)})
    assert 1.9 < await _took(node, "b", Hearing.SILENT, began) < 2.4
