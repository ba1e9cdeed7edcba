"""What every fleetports.Members does: Serf's, and the fake that other tests lean on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Protocol

import pytest

from nodeorch.adapters.serf import SerfMembers
from nodeorch.adapters.serf.members import POLL
from nodeorch.fleetports import Members, MembersError
from nodeorch.model.facts import Fact, MembersSeen
from nodeorch.model.fleet import MemberStatus
from tests.fakes.members import FakeGossip
from tests.lab.serf import Agent, SerfLab, new_key, serf_lab
from tests.lab.wait import async_wait_for


class Ear:
    """Hears what one host is told."""

    def __init__(self) -> None:
        self.facts: list[MembersSeen] = []

    def __call__(self, fact: Fact) -> None:
        assert isinstance(fact, MembersSeen)
        self.facts.append(fact)

    @property
    def trouble(self) -> str:
        return self.facts[-1].trouble if self.facts else "nothing told"

    def status(self, name: str) -> MemberStatus | None:
        return next((m.status for m in self.facts[-1].members if m.name == name), None)

    def tags(self, name: str) -> Mapping[str, str]:
        return next((m.tags for m in self.facts[-1].members if m.name == name), {})

    async def hears(self, name: str, status: MemberStatus | None, deadline: float = 15) -> None:
        await async_wait_for(
            lambda: self.facts and not self.trouble and self.status(name) is status, deadline
        )


class FleetOfTest(Protocol):
    first_key: str
    look: float
    """Seconds from one look at the members to the next."""

    def start(self, name: str) -> tuple[Members, Ear]: ...

    def kill(self, name: str) -> None:
        """The host, or its agent, is suddenly gone."""

    def back(self, name: str) -> None:
        """Its agent runs again."""

    async def close(self) -> None: ...


class FakeFleet:
    look = 0.0

    def __init__(self) -> None:
        self.first_key = new_key()
        self._gossip = FakeGossip(self.first_key)

    def start(self, name: str) -> tuple[Members, Ear]:
        ear = Ear()
        return self._gossip.host(name, f"127.0.0.{len(self._gossip.members) + 1}", ear), ear

    def kill(self, name: str) -> None:
        self._gossip.set(name, MemberStatus.FAILED)

    def back(self, name: str) -> None:
        self._gossip.set(name, MemberStatus.ALIVE)

    async def close(self) -> None: ...


class RealFleet:
    look = POLL

    def __init__(self, lab: SerfLab) -> None:
        self.first_key = lab.key
        self._lab = lab
        self._members: list[Members] = []

    def _agent(self, name: str) -> Agent:
        return next(agent for agent in self._lab.agents if agent.name == name)

    def start(self, name: str) -> tuple[Members, Ear]:
        agent, ear = self._lab.start(name), Ear()
        self._members.append(SerfMembers(agent.rpc, agent.auth, ear))
        return self._members[-1], ear

    def kill(self, name: str) -> None:
        self._agent(name).kill()

    def back(self, name: str) -> None:
        self._agent(name).start()

    async def close(self) -> None:
        await asyncio.gather(*(members.close() for members in self._members))


@pytest.fixture(params=["fake", "serf"])
async def fleet(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[FleetOfTest]:
    if request.param == "fake":
        yield FakeFleet()
        return
    with serf_lab(tmp_path) as lab:
        real = RealFleet(lab)
        yield real
        await real.close()


async def test_hosts_see_each_other_and_what_each_says_of_itself(fleet: FleetOfTest) -> None:
    (a, hears_a), (_b, hears_b) = fleet.start("a"), fleet.start("b")
    for ear in (hears_a, hears_b):
        for name in ("a", "b"):
            await ear.hears(name, MemberStatus.ALIVE)
    addresses = {m.name: m.address for m in hears_b.facts[-1].members}
    assert len(set(addresses.values())) == 2 and addresses["a"].startswith("127.")
    a.sync({"run": "1234abcd", "port": "7444"})
    await async_wait_for(lambda: hears_b.tags("a") == {"run": "1234abcd", "port": "7444"})
    a.sync({"run": "down", "view": "1.7"})
    await async_wait_for(lambda: hears_b.tags("a") == {"run": "down", "view": "1.7"})
    assert hears_b.tags("b") == {}


async def test_nothing_is_told_while_nothing_changes(fleet: FleetOfTest) -> None:
    (a, hears_a), (b, hears_b) = fleet.start("a"), fleet.start("b")
    a.sync({"run": "1"})
    b.sync({"run": "2"})
    for ear in (hears_a, hears_b):
        await async_wait_for(
            lambda ear=ear: (
                ear.facts and (ear.tags("a"), ear.tags("b")) == ({"run": "1"}, {"run": "2"})
            )
        )
    told = len(hears_a.facts), len(hears_b.facts)
    a.sync({"run": "1"})
    await asyncio.sleep(2.2 * fleet.look)
    assert (len(hears_a.facts), len(hears_b.facts)) == told


async def test_a_host_that_is_gone_failed_and_tells_its_tags_again_when_back(
    fleet: FleetOfTest,
) -> None:
    (_, hears_a), (b, hears_b) = fleet.start("a"), fleet.start("b")
    b.sync({"run": "1"})
    await async_wait_for(lambda: hears_a.facts and hears_a.tags("b") == {"run": "1"})
    fleet.kill("b")
    await hears_a.hears("b", MemberStatus.FAILED)
    await async_wait_for(lambda: hears_b.trouble)
    assert "cannot ask Serf" in hears_b.trouble
    assert "see systemctl status nodeorch-serf" in hears_b.trouble
    assert hears_b.facts[-1].members == ()
    with pytest.raises(MembersError, match="cannot ask Serf"):
        await b.keys("list")
    fleet.back("b")
    await hears_b.hears("a", MemberStatus.ALIVE)
    await hears_a.hears("b", MemberStatus.ALIVE)
    await async_wait_for(lambda: hears_a.tags("b") == {"run": "1"})
    assert [bool(fact.trouble) for fact in hears_b.facts].count(True) == 1


async def test_a_host_that_leaves_has_left(fleet: FleetOfTest) -> None:
    (_, hears_a), (b, hears_b) = fleet.start("a"), fleet.start("b")
    await hears_a.hears("b", MemberStatus.ALIVE)
    await hears_b.hears("a", MemberStatus.ALIVE)
    await b.leave()
    await hears_a.hears("b", MemberStatus.LEFT)
    await async_wait_for(lambda: hears_b.trouble)


async def test_keys_are_rotated_on_all_hosts_by_one(fleet: FleetOfTest) -> None:
    (a, hears_a), (b, hears_b) = fleet.start("a"), fleet.start("b")
    await hears_a.hears("b", MemberStatus.ALIVE)
    await hears_b.hears("a", MemberStatus.ALIVE)
    key = new_key()
    with pytest.raises(MembersError, match="cannot use the encryption key: "):
        await a.keys("use", key)
    assert await a.keys("install", key) == {}
    assert await b.keys("list") == {fleet.first_key: 2, key: 2}
    with pytest.raises(MembersError, match="cannot remove the encryption key: ") as caught:
        await a.keys("remove", fleet.first_key)
    assert fleet.first_key not in str(caught.value)
    await a.keys("use", key)
    await a.keys("remove", fleet.first_key)
    assert await b.keys("list") == {key: 2}
