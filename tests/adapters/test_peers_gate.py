"""Who gets in at the peers' port, and what those who should not be there can do."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import pytest
import pytest_asyncio

from nodeorch.adapters.peers import door
from nodeorch.adapters.peers import link as link_module
from nodeorch.adapters.peers.link import LIMIT, encode
from nodeorch.adapters.peers.tls import name_of
from nodeorch.fleetports import PeerError
from nodeorch.model.facts import LinkSeen, OpinionSeen, ReportSeen, ViewSeen
from nodeorch.model.fleet import Beat, Hearing, Hello, Report, Told
from tests.adapters.peering import Fleet, Node
from tests.lab.certificates import Certificates
from tests.lab.wait import async_wait_for


@pytest_asyncio.fixture
async def fleet(tmp_path: Path) -> AsyncIterator[Fleet]:
    fleet = Fleet(tmp_path)
    yield fleet
    await fleet.close()


def _trusting(fleet: Fleet, name: str = "", san: str = "", ca: str = "ca") -> ssl.SSLContext:
    """A client that trusts the fleet, with a certificate of that name, or none."""
    context = ssl.create_default_context(cafile=str(fleet.certificates.ca))
    if name:
        files = fleet.certificates.host(name, fleet.folder / f"as-{name}", san=san, ca=ca)
        context.load_cert_chain(files / "node.crt", files / "node.key")
    return context


def _url(node: Node, path: str) -> str:
    return f"https://{node.address}:{node.peers.port}{path}"


async def _status(node: Node, tls: ssl.SSLContext, method: str, path: str, **more: Any) -> str:
    async with (
        aiohttp.ClientSession() as session,
        session.request(
            method, _url(node, path), ssl=tls, server_hostname=node.name, **more
        ) as response,
    ):
        return f"{response.status} {await response.text()}".strip()


async def test_without_a_certificate_one_can_join_and_read_the_ca_and_no_more(
    fleet: Fleet,
) -> None:
    a = await fleet.node("a", "127.0.0.11")
    tls = _trusting(fleet)
    assert await _status(a, tls, "POST", "/v1/join", data=b"t") == "200 certificate for t"
    assert a.joined == [(b"t", "127.0.0.1")]
    assert (await _status(a, tls, "GET", "/v1/ca")).startswith("200 -----BEGIN CERTIFICATE")
    refused = "403 cannot join: the token is not valid; make another"
    assert await _status(a, tls, "POST", "/v1/join", data=b"bad") == refused
    assert (await _status(a, tls, "POST", "/v1/join", data=b"x" * 70_000)).startswith("413")
    assert len(a.joined) == 2
    for method, path in (
        ("GET", "/v1/link"),
        ("GET", "/v1/stamps"),
        ("GET", "/v1/views/a"),
        ("GET", "/v1/files/web/0"),
        ("POST", "/v1/certificate"),
        ("GET", "/nowhere"),
    ):
        assert (await _status(a, tls, method, path)).startswith("401"), path


async def test_a_host_renews_its_certificate_by_its_own_name(fleet: Fleet) -> None:
    _, b = await fleet.start("a", "b")
    assert await b.peers.ask("a", "POST", "/v1/certificate", b"csr") == b"renewed b csr"
    with pytest.raises(PeerError, match="there is no GET /v1/nowhere"):
        await b.peers.ask("a", "GET", "/v1/nowhere")
    with pytest.raises(PeerError, match="it is not known where it is"):
        await b.peers.ask("nobody", "GET", "/v1/stamps")


async def test_a_certificate_must_have_one_host_name_in_both_places(fleet: Fleet) -> None:
    a = await fleet.node("a", "127.0.0.11")
    assert await _status(a, _trusting(fleet, "b"), "GET", "/v1/stamps") == "200 {}"
    for name, san in (("c", "d"), ("Upper", "Upper"), ("x.y", "x.y")):
        tls = _trusting(fleet, name, san)
        assert (await _status(a, tls, "GET", "/v1/stamps")).startswith("401"), name
    assert name_of(None) == name_of({}) == ""


async def test_a_certificate_of_another_ca_is_refused_by_both_sides(
    fleet: Fleet, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    a = await fleet.node("a", "127.0.0.11")
    (tmp_path / "other").mkdir()
    foreign = Certificates(tmp_path / "other").host("b", tmp_path / "foreign")
    context = _trusting(fleet)
    context.load_cert_chain(foreign / "node.crt", foreign / "node.key")
    with pytest.raises((aiohttp.ClientError, OSError)):
        await _status(a, context, "POST", "/v1/join", data=b"t")
    assert a.joined == []
    b = await fleet.node("b", "127.0.0.12", files=foreign)
    fleet.introduce(a, b)
    await async_wait_for(lambda: "its certificate is not accepted" in caplog.text, 5)
    await a.hears("b", Hearing.ANSWERS)
    assert Hearing.HEARD not in {fact.hearing for fact in a.seen(LinkSeen)}


async def test_a_server_of_another_name_is_not_the_host_that_was_wanted(
    fleet: Fleet, caplog: pytest.LogCaptureFixture
) -> None:
    a = await fleet.node("a", "127.0.0.11")
    c = await fleet.node("c", "127.0.0.13")
    a.set(hosts={"b": (c.address, c.peers.port)})
    await async_wait_for(lambda: "Hostname mismatch" in caplog.text, 5)
    with pytest.raises(PeerError, match="Hostname mismatch"):
        await a.peers.ask("b", "GET", "/v1/stamps")
    assert not c.seen(LinkSeen)


async def test_only_tls_1_3_is_spoken(fleet: Fleet) -> None:
    a = await fleet.node("a", "127.0.0.11")
    tls = _trusting(fleet, "b")
    tls.maximum_version = ssl.TLSVersion.TLSv1_2
    with pytest.raises(aiohttp.ClientError):
        await _status(a, tls, "GET", "/v1/stamps")


class Rogue:
    """The host "b", whose daemon says what it likes on its link with "c"."""

    def __init__(self, fleet: Fleet, node: Node) -> None:
        self.tls = _trusting(fleet, "b")
        self.node = node
        node.set(hosts={"b": ("127.0.0.12", 9)})

    async def __aenter__(self) -> Rogue:
        self.session = aiohttp.ClientSession()
        self.ws = await self.session.ws_connect(
            _url(self.node, "/v1/link"), ssl=self.tls, server_hostname=self.node.name
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.session.close()

    async def greet(self, **fields: Any) -> None:
        given = {
            "host": "b",
            "cluster": "home",
            "lineage": "l",
            "run": "r",
            "boot": "",
            "version": "",
        }
        await self.ws.send_bytes(encode(Hello(**(given | fields))))

    async def reason(self) -> str:
        """Why the other side ended the link."""
        async with asyncio.timeout(5):
            while True:
                got = await self.ws.receive()
                if got.type is aiohttp.WSMsgType.CLOSE:
                    return str(got.extra)
                if got.type is not aiohttp.WSMsgType.BINARY:
                    return "cut off"


async def test_a_hello_that_does_not_fit_ends_the_link(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    c = await fleet.node("c", "127.0.0.13")
    async with Rogue(fleet, c) as rogue:
        await rogue.greet(host="d")
        assert await rogue.reason() == "the certificate is of b, the Hello of 'd'"
    async with Rogue(fleet, c) as rogue:
        await rogue.greet(cluster="else")
        assert await rogue.reason() == "b is of the cluster 'else'"
    async with Rogue(fleet, c) as rogue:
        await rogue.ws.send_bytes(encode(Beat()))
        assert await rogue.reason() == "its first message is not a Hello"
    monkeypatch.setattr(link_module, "GREETING", 0.2)
    async with Rogue(fleet, c) as rogue:
        assert await rogue.reason() == "no Hello for 0.2 s"
    assert Hearing.HEARD not in {fact.hearing for fact in c.seen(LinkSeen)}


@pytest.mark.parametrize(
    ("said", "why"),
    [
        (b"", "what it says is not understood"),
        (b"\xff" * 1000, "what it says is not understood"),
        (b"\x91" * 100_000, "what it says is not understood"),
        (msgspec.msgpack.encode({"type": "Beat", "silent": 7}), "what it says is not understood"),
        (encode(Told(Report("d"))), "it tells the report of 'd'"),
        (encode(Hello("b", "home", "l", "r", "", "")), "it says Hello twice"),
        (b"\x00" * (LIMIT + 1), "Message size"),
        ("text", "it is text"),
    ],
)
async def test_what_makes_no_sense_ends_the_link_and_changes_nothing(
    fleet: Fleet, caplog: pytest.LogCaptureFixture, said: bytes | str, why: str
) -> None:
    c = await fleet.node("c", "127.0.0.13")
    async with Rogue(fleet, c) as rogue:
        await rogue.greet()
        await c.hears("b")
        if isinstance(said, str):
            await rogue.ws.send_str(said)
        else:
            await rogue.ws.send_bytes(said)
        await rogue.reason()
        assert why in caplog.text
        await async_wait_for(lambda: "b" not in c.peers._links)
    assert not c.seen(ReportSeen)
    assert not c.seen(OpinionSeen)
    assert not c.seen(ViewSeen)


async def test_a_reader_that_does_not_read_is_dropped_and_costs_little(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(link_module, "STUCK", 0.5)
    c = await fleet.node("c", "127.0.0.13")
    async with Rogue(fleet, c) as rogue:
        await rogue.greet()
        await c.hears("b")
        rogue.ws._response.connection.transport.pause_reading()  # type: ignore[union-attr]
        link = c.peers._links["b"]
        labels = {"x": "y" * 900_000}
        loop = asyncio.get_running_loop()
        end = loop.time() + 15
        count = 0
        while "b" in c.peers._links:
            assert loop.time() < end
            count += 1
            c.set(report=Report("c", labels=labels, workloads=count))
            await rogue.ws.send_bytes(encode(Beat()))
            await asyncio.sleep(0.06)
        assert link.ended == "it does not read what is said"


async def test_silent_strangers_take_few_places_and_hosts_get_in_nevertheless(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(door, "HANDSHAKE", 1.0)
    a = await fleet.node("a", "127.0.0.1")
    held = []
    for _ in range(door.STRANGERS):
        held.append(
            await asyncio.open_connection("127.0.0.1", a.peers.port, local_addr=("127.0.0.99", 0))
        )
    await async_wait_for(lambda: a.peers._door.places["strangers"] == door.STRANGERS)
    reader, writer = await asyncio.open_connection(
        "127.0.0.1", a.peers.port, local_addr=("127.0.0.99", 0)
    )
    assert await asyncio.wait_for(reader.read(), 1) == b"", "one more is turned away"
    writer.close()
    a.set(hosts={"b": ("127.0.0.1", 9)})  # tells the address of a host
    assert await _status(a, _trusting(fleet, "b"), "GET", "/v1/stamps") == "200 {}"
    await async_wait_for(
        lambda: not a.peers._door.places["strangers"], 4, "they have had their time"
    )
    for _, writer in held:
        writer.close()


async def test_a_host_holds_no_more_connections_than_its_share(fleet: Fleet) -> None:
    a = await fleet.node("a", "127.0.0.11")
    tls = _trusting(fleet, "b")
    held = []
    for _ in range(door.PER_HOST + 3):
        held.append(
            await asyncio.open_connection(a.address, a.peers.port, ssl=tls, server_hostname="a")
        )
    await async_wait_for(lambda: sum(r.at_eof() for r, _ in held) == 3)
    assert a.peers._door.places == {"b by certificate": door.PER_HOST}
    for _, writer in held:
        writer.close()
    await async_wait_for(lambda: not a.peers._door.places)


@pytest.mark.parametrize(
    ("limit", "said"),
    [
        ("HEADER", b""),
        ("HEADER", b"GET /v1/ca HTTP/1.1\r\nHost: a\r\n"),
        ("STAY", b"POST /v1/join HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nslow"),
    ],
)
async def test_who_dawdles_is_cut_off(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch, limit: str, said: bytes
) -> None:
    a = await fleet.node("a", "127.0.0.11")
    monkeypatch.setattr(door, limit, 0.2)
    reader, writer = await asyncio.open_connection(
        a.address, a.peers.port, ssl=_trusting(fleet), server_hostname="a"
    )
    writer.write(said)
    try:
        assert await asyncio.wait_for(reader.read(), 2) == b""
    except ConnectionError:
        pass
    finally:
        writer.close()
    assert a.joined == []


async def test_a_port_that_is_taken_is_said_in_words(fleet: Fleet) -> None:
    a = await fleet.node("a", "127.0.0.11")
    with pytest.raises(OSError, match=r"cannot listen on 127.0.0.11 port \d+: .*see \[cluster\]"):
        await fleet.node("b", "127.0.0.11", port=a.peers.port)
