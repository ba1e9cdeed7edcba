"""Links between daemons: who is linked with whom, and what is told on a link."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

import pytest
import pytest_asyncio

from nodeorch.fleetports import PeerError
from nodeorch.model.facts import LinkSeen, NameTaken, OpinionSeen, ReportSeen
from nodeorch.model.fleet import Hearing, Report
from tests.adapters.peering import Fleet, Node, places
from tests.lab.wait import async_wait_for


@pytest_asyncio.fixture
async def fleet(tmp_path: Path) -> AsyncIterator[Fleet]:
    fleet = Fleet(tmp_path)
    yield fleet
    await fleet.close()


def _heard_run(node: Node, run: str) -> bool:
    return any(fact.run == run for fact in node.seen(LinkSeen))


def _told_more(node: Node, than: int) -> bool:
    return len(node.seen(LinkSeen)) > than


async def test_all_hear_each_other_and_say_so_with_their_runs(fleet: Fleet) -> None:
    nodes = await fleet.start("a", "b", "c")
    for node in nodes:
        for other in nodes:
            if node is not other:
                await node.hears(other.name)
                seen = [f for f in node.seen(LinkSeen) if f.host == other.name]
                assert seen == [LinkSeen(other.name, Hearing.HEARD, "", other.identity.run)]
    a, b, _ = nodes
    await async_wait_for(lambda: OpinionSeen("b", (), (), ("a", "c")) in a.seen(OpinionSeen))
    before = len(a.facts)
    await asyncio.sleep(1.1)
    assert len(a.facts) == before, "beats that say the same are no facts"
    assert b.seen(LinkSeen)


async def test_a_report_is_told_at_link_up_and_when_it_changes(fleet: Fleet) -> None:
    a, b = await fleet.start("a", "b")
    await async_wait_for(lambda: a.seen(ReportSeen) and b.seen(ReportSeen))
    assert a.seen(ReportSeen) == [ReportSeen(Report("b"))]
    for number in range(1, 30):
        b.set(report=Report("b", workloads=number))
        await asyncio.sleep(0.005)
    await async_wait_for(lambda: ReportSeen(Report("b", workloads=29)) in a.facts, 2)
    assert len(a.seen(ReportSeen)) <= 12, "what changes all the time is told now and then"


async def test_a_daemon_that_is_killed_is_missed_at_once_and_heard_again(fleet: Fleet) -> None:
    a, b = await fleet.start("a", "b")
    await a.hears("b")
    await b.peers.close()
    fleet.nodes.remove(b)
    loop = asyncio.get_running_loop()
    began = loop.time()
    await a.hears("b", Hearing.ANSWERS)
    assert loop.time() - began < 0.3
    assert "refuses connections" in a.seen(LinkSeen)[-1].words
    again = await fleet.node("b", b.address, port=b.peers.port, run="second")
    again.set(hosts=places(again, a, again))
    await a.hears("b")
    assert a.seen(LinkSeen)[-1].run == "second"


async def test_one_of_the_wrong_cluster_is_not_linked(
    fleet: Fleet, caplog: pytest.LogCaptureFixture
) -> None:
    a = await fleet.node("a", "127.0.0.11")
    b = await fleet.node("b", "127.0.0.12", cluster="other")
    fleet.introduce(a, b)
    await async_wait_for(lambda: "is of the cluster 'other'" in caplog.text, 5)
    assert a.hearing("b") is not Hearing.HEARD
    assert b.hearing("a") is not Hearing.HEARD
    await a.hears("b", Hearing.ANSWERS)


async def test_a_host_that_has_left_is_cut_off_and_let_in_no_more(fleet: Fleet) -> None:
    a, b, c = await fleet.start("a", "b", "c")
    await b.hears("a")
    await c.hears("a")
    a.set(refused=frozenset({"b"}))
    await b.hears("a", Hearing.ANSWERS)
    with pytest.raises(PeerError, match="it has left the fleet"):
        await b.peers.ask("a", "GET", "/v1/stamps")
    assert await c.peers.ask("a", "GET", "/v1/stamps") == b"{}"
    assert a.hearing("c") is Hearing.HEARD


async def test_one_that_links_before_it_is_known_is_heard_once_it_is(fleet: Fleet) -> None:
    a = await fleet.node("a", "127.0.0.11")
    b = await fleet.node("b", "127.0.0.12")
    a.set(hosts=places(a, b))
    await a.hears("b")
    await async_wait_for(lambda: "a" in b.peers._links)
    assert b.facts == []
    b.set(hosts=places(b, a))
    assert b.facts == [LinkSeen("a", Hearing.HEARD, "", a.identity.run)]
    await async_wait_for(lambda: OpinionSeen("a", (), (), ("b",)) in b.facts)


async def test_one_that_is_no_longer_known_is_neither_judged_nor_sought(fleet: Fleet) -> None:
    a, b, c = await fleet.start("a", "b", "c")
    await a.hears("c")
    await a.hears("b")
    a.set(hosts=places(a, b))
    await async_wait_for(lambda: "a" not in c.peers._links)
    await async_wait_for(lambda: OpinionSeen("a", (), (), ("b",)) in b.facts)
    told = len(a.seen(LinkSeen))
    await asyncio.sleep(0.8)
    assert len(a.seen(LinkSeen)) == told
    assert "a" not in c.peers._links


async def test_two_hosts_of_one_name_are_found_out(fleet: Fleet) -> None:
    c = await fleet.node("c", "127.0.0.13")
    first = await fleet.node("b", "127.0.0.11")
    second = await fleet.node("b", "127.0.0.12")
    c.set(hosts={"b": (first.address, first.peers.port)})
    for node in (first, second):
        node.set(hosts={"c": (c.address, c.peers.port)})
    await async_wait_for(lambda: c.seen(NameTaken), 10)
    assert c.seen(NameTaken)[0].host == "b"
    assert c.seen(NameTaken)[0].address.startswith("127.")


async def test_one_who_uses_our_own_name_is_turned_away_and_told_of(fleet: Fleet) -> None:
    a = await fleet.node("a", "127.0.0.11")
    twin = await fleet.node("a", "127.0.0.12")
    twin.set(hosts={"a": (a.address, a.peers.port)})
    with pytest.raises(PeerError, match="this host has that name itself"):
        await twin.peers.ask("a", "GET", "/v1/stamps")
    assert a.seen(NameTaken) == [NameTaken("a", "127.0.0.1")]


async def test_one_that_restarts_is_not_taken_for_two(fleet: Fleet) -> None:
    c = await fleet.node("c", "127.0.0.13")
    port = 0
    for number in range(3):
        b = await fleet.node("b", "127.0.0.12", port=port, run=f"run{number}")
        port = b.peers.port
        fleet.introduce(b, c)
        await async_wait_for(partial(_heard_run, c, f"run{number}"))
        await b.peers.close()
        fleet.nodes.remove(b)
    assert not c.seen(NameTaken)


async def test_a_new_certificate_is_shown_without_dropping_links(fleet: Fleet) -> None:
    a, b = await fleet.start("a", "b")
    await a.hears("b")
    before = (b.files / "node.crt").read_bytes()
    fleet.certificates.host("b", b.files)
    assert (b.files / "node.crt").read_bytes() != before
    told = len(a.seen(LinkSeen))
    b.peers.reload()
    _, writer = await asyncio.open_connection(
        b.address, b.peers.port, ssl=a.peers._contexts.client, server_hostname="b"
    )
    shown = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    assert ssl.DER_cert_to_PEM_cert(shown).encode() == (b.files / "node.crt").read_bytes()
    writer.close()
    assert len(a.seen(LinkSeen)) == told
    (b.files / "node.key").write_bytes((a.files / "node.key").read_bytes())
    with pytest.raises(ssl.SSLError):
        b.peers.reload()
    assert await a.peers.ask("b", "GET", "/v1/stamps") == b"{}", "the good one still serves"


async def test_flapping_ends_in_the_truth(fleet: Fleet) -> None:
    a, b = await fleet.start("a", "b")
    for _ in range(3):
        await a.hears("b")
        await async_wait_for(lambda: "a" in b.peers._links)
        told = len(a.seen(LinkSeen))
        b.peers._links["a"].abort("a test cuts it")
        await async_wait_for(partial(_told_more, a, told), 2)
    await a.hears("b")
    await b.hears("a")
    assert not a.seen(NameTaken)
