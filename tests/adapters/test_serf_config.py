"""The content of Serf's files; that Serf takes it is seen by every test with a real agent."""

from __future__ import annotations

import asyncio
import json
import signal
from pathlib import Path

import pytest

from nodeorch.adapters.serf import SerfMembers
from nodeorch.adapters.serf.members import POLL
from nodeorch.clusterserf import keyring, serf_config
from nodeorch.model.fleet import MemberStatus
from tests.adapters.test_serf_contract import Ear
from tests.lab.serf import Agent, new_key, serf_lab
from tests.lab.wait import async_wait_for


def config(address: str = "10.0.0.1", **other: object) -> dict[str, object]:
    usual = {"rpc_key": "secret", "keyring_file": "/k", "snapshot": "/s"}
    found = json.loads(serf_config("h1", address, **usual | other))  # type: ignore[arg-type]
    assert isinstance(found, dict)
    return found


def test_a_host_binds_and_tells_its_own_address_and_asks_for_the_key_of_its_rpc() -> None:
    found = config(port=7950, peers=["10.0.0.2", "fd00::3", "10.0.0.4:7000", "h5.example"])
    assert found["node_name"] == "h1"
    assert found["bind"] == found["advertise"] == "10.0.0.1:7950"
    assert (found["rpc_addr"], found["rpc_auth"]) == ("127.0.0.1:7373", "secret")
    assert found["retry_join"] == ["10.0.0.2:7950", "[fd00::3]:7950", "10.0.0.4:7000", "h5.example"]
    assert (found["keyring_file"], found["snapshot_path"]) == ("/k", "/s")
    assert config("fd00::1")["bind"] == "[fd00::1]:7946"


def test_what_the_protocol_of_the_fleet_leans_on_is_set() -> None:
    found = config()
    assert found["profile"] == "lan"
    assert (found["retry_interval"], found["reconnect_interval"]) == ("5s", "5s")
    assert found["reconnect_timeout"] == "72h" and found["rejoin_after_leave"] is True
    assert "discover" not in found and "encrypt_key" not in found


@pytest.mark.parametrize(
    ("address", "other", "words"),
    [
        ("h1.example", {}, "h1.example"),
        ("10.0.0.1", {"rpc_key": ""}, "the key of its RPC is empty"),
    ],
)
def test_a_configuration_that_is_open_or_has_no_address_is_refused(
    address: str, other: dict[str, object], words: str
) -> None:
    with pytest.raises(ValueError, match=words):
        config(address, **other)


def test_a_ring_is_a_list_whose_first_key_encrypts() -> None:
    keys = [new_key(), new_key()]
    assert json.loads(keyring(keys)) == keys


@pytest.mark.parametrize(
    "keys", [[], ["short"], ["c2hvcnQ="], ["ä" * 44], [new_key()[:-4] + "===="]]
)
def test_what_is_no_ring_is_refused_without_telling_the_key(keys: list[str]) -> None:
    with pytest.raises(ValueError, match="cannot make a keyring: ") as caught:
        keyring(keys)
    assert not any(key in str(caught.value) for key in keys if len(key) > 5)


async def test_an_agent_of_ipv6(tmp_path: Path) -> None:
    agent, ear = Agent(tmp_path / "six", "six", "::1", [new_key()], []), Ear()
    try:
        agent.start()
        asker = SerfMembers(agent.rpc, agent.auth, ear)
        await async_wait_for(lambda: ear.facts)
        await asker.close()
    finally:
        agent.kill()
    assert [(m.name, m.address) for m in ear.facts[0].members] == [("six", "::1")]


async def test_a_stopped_agent_has_not_left(tmp_path: Path) -> None:
    """Units stop by SIGTERM, terminals by SIGINT: neither says goodbye to the fleet."""
    with serf_lab(tmp_path) as lab:
        a, ear = lab.start("a"), Ear()
        asker = SerfMembers(a.rpc, a.auth, ear)
        stopped = {"term": signal.SIGTERM, "int": signal.SIGINT}
        for name in stopped:
            lab.start(name)
            await ear.hears(name, MemberStatus.ALIVE)
        for name, number in stopped.items():
            agent = next(agent for agent in lab.agents if agent.name == name)
            agent.signal(number)
            agent.wait()
        await asyncio.sleep(2.2 * POLL)  # a goodbye would be seen by then
        gone = {ear.status(name) for name in stopped}
        assert not gone & {MemberStatus.LEAVING, MemberStatus.LEFT}
        await asker.close()
