"""The membership adapter with real agents of Serf: what only they can do, or have done to them."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from nodeorch.adapters.serf import SerfMembers, members
from nodeorch.adapters.serf.talk import connected
from nodeorch.clusterserf import PORT
from nodeorch.fleetports import MembersError
from nodeorch.model.fleet import MemberStatus
from tests.adapters.test_serf_contract import Ear
from tests.lab.serf import Agent, SerfLab, new_key, serf_lab
from tests.lab.wait import async_wait_for, wait_for

ALIVE = MemberStatus.ALIVE


class Lab(SerfLab):
    """With adapters, closed at the end."""

    def __init__(self, lab: SerfLab) -> None:
        self.__dict__ = lab.__dict__
        self.askers: list[SerfMembers] = []

    def ask(self, agent: Agent) -> tuple[SerfMembers, Ear]:
        ear = Ear()
        self.askers.append(SerfMembers(agent.rpc, agent.auth, ear))
        return self.askers[-1], ear


@pytest.fixture
async def lab(tmp_path: Path) -> AsyncIterator[Lab]:
    with serf_lab(tmp_path) as agents:
        lab = Lab(agents)
        yield lab
        await asyncio.gather(*(asker.close() for asker in lab.askers))


async def test_a_frozen_agent_is_a_trouble_soon_and_none_when_it_goes_on(lab: Lab) -> None:
    agent = lab.start("a")
    asker, ear = lab.ask(agent)
    asker.sync({"run": "1"})
    await async_wait_for(lambda: ear.facts and ear.tags("a") == {"run": "1"})
    agent.freeze()
    began = time.monotonic()
    await async_wait_for(lambda: ear.trouble)
    assert time.monotonic() - began < members.POLL + 2.5
    assert "no answer within 2 s" in ear.trouble
    await asyncio.sleep(0)
    told = len(ear.facts)
    agent.thaw()
    await ear.hears("a", ALIVE, 5)
    assert len(ear.facts) == told + 1 and ear.tags("a") == {"run": "1"}


async def test_an_agent_that_restarts_is_told_the_tags_again_and_is_no_trouble(lab: Lab) -> None:
    agent, other = lab.start("a"), lab.start("b")
    (asker, ear), (_, hears_b) = lab.ask(agent), lab.ask(other)
    asker.sync({"run": "1", "view": "1.1"})
    await async_wait_for(lambda: hears_b.facts and hears_b.tags("a") == {"run": "1", "view": "1.1"})
    agent.kill()
    agent.start()
    asker.sync({"run": "1", "view": "1.2"})
    await async_wait_for(lambda: hears_b.tags("a") == {"run": "1", "view": "1.2"})
    assert not any(fact.trouble for fact in ear.facts)


async def test_a_wrong_key_of_the_rpc_is_a_trouble_and_reads_nothing(lab: Lab) -> None:
    agent = lab.start("a")
    right = agent.auth.read_text()
    agent.auth.write_text("wrong")
    asker, ear = lab.ask(agent)
    await async_wait_for(lambda: ear.facts)
    assert "Invalid authentication token" in ear.trouble and not ear.facts[0].members
    for refused in (asker.keys("list"), asker.leave()):
        with pytest.raises(MembersError, match="Invalid authentication token"):
            await refused
    agent.auth.write_text(right)
    await ear.hears("a", ALIVE, 3)


async def test_as_many_bytes_of_tags_as_serf_takes(lab: Lab) -> None:
    agent = lab.start("a")
    asker, ear = lab.ask(agent)
    full, more = {"k": "x" * 501, "ok": ""}, {"k": "x" * 501, "okk": ""}
    assert members._fitting(full) == full
    assert members._fitting(more) == {"k": "x" * 501}
    asker.sync(full)
    await async_wait_for(lambda: ear.facts and ear.tags("a") == full)
    async with connected(agent.rpc, agent.auth.read_text().strip()) as talk:
        with pytest.raises(MembersError, match="exceeds limit of 512 bytes"):
            await talk.ask("tags", {"Tags": more, "DeleteTags": ["ok"]})


async def test_a_key_that_was_rotated_out_opens_nothing(lab: Lab) -> None:
    agents = [lab.start(name) for name in ("a", "b", "c")]
    (asker, ear), old, new = lab.ask(agents[0]), lab.key, new_key()
    for name in ("b", "c"):
        await ear.hears(name, ALIVE)
    await asker.keys("install", new)
    await asker.keys("use", new)
    await asker.keys("remove", old)
    assert await asker.keys("list") == {new: 3}
    for agent in agents:  # and so after a restart
        assert json.loads(agent.keyring.read_text()) == [new]
        assert agent.keyring.stat().st_mode & 0o777 == 0o600  # Serf has written it
    assert [ear.status(name) for name in "abc"] == [ALIVE] * 3
    told = len(ear.facts)
    late = lab.start("late", [old])
    wait_for(lambda: "No installed keys could decrypt" in agents[0].log(), 10, late.log())
    await asyncio.sleep(2 * members.POLL)
    assert len(ear.facts) == told
    lab.start("invited", [new])
    await ear.hears("invited", ALIVE)


@contextmanager
def overheard(address: str) -> Iterator[list[bytes]]:
    """Payloads of all datagrams that go to an agent's gossip port, while it lasts."""
    heard: list[bytes] = []
    # ETH_P_IP: whole packets of IPv4, without the header of the link; packet(7)
    tap = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(0x0800))
    tap.bind(("lo", 0))
    tap.settimeout(0.05)
    over = threading.Event()

    def listen() -> None:
        while not over.is_set():
            try:
                packet = tap.recv(65536)
            except TimeoutError:
                continue
            udp = packet[(packet[0] & 15) * 4 :]
            to = (socket.inet_ntoa(packet[16:20]), int.from_bytes(udp[2:4], "big"))
            if packet[9] == socket.IPPROTO_UDP and to == (address, PORT):
                heard.append(udp[8:])

    thread = threading.Thread(target=listen)
    thread.start()
    try:
        yield heard
    finally:
        over.set()
        thread.join()
        tap.close()


async def test_datagrams_said_again_later_change_nothing(lab: Lab) -> None:
    a, b = lab.start("a"), lab.start("b")
    (_, hears_a), (asker_b, _) = lab.ask(a), lab.ask(b)
    with overheard(a.address) as heard:
        asker_b.sync({"run": "old"})
        await async_wait_for(lambda: hears_a.facts and hears_a.tags("b") == {"run": "old"})
        asker_b.sync({"run": "new"})
        await async_wait_for(lambda: hears_a.tags("b") == {"run": "new"})
        await asker_b.leave()
        await hears_a.hears("b", MemberStatus.LEFT)
        b.wait()
    b.start()
    await async_wait_for(lambda: hears_a.status("b") is ALIVE and hears_a.tags("b"))
    told = len(hears_a.facts)
    assert len(heard) > 5 and hears_a.tags("b") == {"run": "new"}
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as anyone:
        for payload in heard * 3:
            anyone.sendto(payload, (a.address, PORT))
    await asyncio.sleep(2.2 * members.POLL)
    assert len(hears_a.facts) == told, hears_a.facts[told:]


async def test_an_uninvited_agent_and_garbage_change_nothing(lab: Lab) -> None:
    a, b = lab.start("a"), lab.start("b")
    _, ear = lab.ask(a)
    await ear.hears("b", ALIVE)
    told = len(ear.facts)
    lab.start("b2", [new_key()])
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as anyone:
        for payload in (b"", b"\x01", b"\xff" * 1400, new_key().encode() * 9):
            anyone.sendto(payload, (b.address, PORT))
    wait_for(lambda: "No installed keys could decrypt" in a.log(), 10, a.log())
    await asyncio.sleep(2.2 * members.POLL)
    assert len(ear.facts) == told
