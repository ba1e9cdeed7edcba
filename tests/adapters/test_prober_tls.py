"""Probes over TLS: real servers with real certificates, and servers that mean no good."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nodeorch.adapters.probes.http import Answer, request
from nodeorch.adapters.probes.tls import LIMIT, Tls, context
from nodeorch.files import read_regular
from nodeorch.model.workload import Grpc, Http, Probe, Scheme
from tests.adapters.probing import FAST, Bench
from tests.lab.certificates import NAME, Certificates
from tests.lab.grpcd import NOT_SERVING, SERVING, GrpcServer

PAGE = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nfine"


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return Certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    bench = Bench()
    yield bench
    await bench.runner.close()


class Site:
    """An https server that keeps what it was asked, and for which name."""

    def __init__(self, tls: ssl.SSLContext | None, page: bytes = PAGE) -> None:
        self.asked: list[bytes] = []
        self.names: list[str | None] = []
        self.page = page
        if tls is not None:
            tls.sni_callback = lambda _socket, name, _context: self.names.append(name)
        self._tls = tls

    async def start(self) -> Site:
        self.server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self._tls)
        self.port: int = self.server.sockets[0].getsockname()[1]
        return self

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            self.asked.append(await reader.read(4096))
            writer.write(self.page)
            await writer.drain()
        except OSError:
            pass
        finally:
            writer.close()


def https(port: int, **tls: str | None) -> Probe:
    spec = Http(port, "/x", body="fine", scheme=Scheme.HTTPS, **tls)  # type: ignore[arg-type]
    return Probe(http=spec, interval=FAST, timeout=5.0, failures=2)


async def test_by_default_any_certificate_will_do(bench: Bench, certificates: Certificates) -> None:
    site = await Site(certificates.server("self")).start()
    bench.want(https(site.port))
    assert await bench.verdicts(1) == [True]
    assert bench.words == "status 200, body matches"
    assert site.asked[0].startswith(b"GET /x HTTP/1.1\r\nHost: 127.0.0.1:")
    site.page = b"HTTP/1.1 503 No\r\n\r\nlater"
    assert await bench.verdicts(2) == [True, False]
    assert bench.words == f'GET https://127.0.0.1:{site.port}/x: status 503, body "later"'
    site.server.close()


async def test_with_a_ca_the_certificate_must_come_from_it(
    bench: Bench, certificates: Certificates
) -> None:
    good = await Site(certificates.server()).start()
    bad = await Site(certificates.server("self")).start()
    ca = str(certificates.ca)
    bench.want(https(good.port, ca=ca, server_name=NAME))
    assert await bench.verdicts(1) == [True]
    assert good.names[0] == NAME and f"Host: {NAME}:".encode() in good.asked[0]
    bench.want(https(bad.port, ca=ca, server_name=NAME))
    assert await bench.verdicts(2) == [True, False]
    assert "its certificate is not accepted: self-signed certificate" in bench.words
    assert bad.asked in ([], [b""] * len(bad.asked))
    good.server.close()
    bad.server.close()


async def test_and_be_for_the_name(bench: Bench, certificates: Certificates) -> None:
    site = await Site(certificates.server()).start()
    bench.want(https(site.port, ca=str(certificates.ca), server_name="other.internal"))
    assert await bench.verdicts(1) == [False]
    assert "not accepted: hostname mismatch" in bench.words and "other.internal" in bench.words
    site.server.close()


async def test_a_missing_ca_is_not_the_workloads_fault_and_is_found_later(
    bench: Bench, certificates: Certificates, tmp_path: Path
) -> None:
    site = await Site(certificates.server()).start()
    ca = tmp_path / "ca.pem"
    bench.want(https(site.port, ca=str(ca), server_name=NAME), kind="liveness")
    await bench.runs(3, kind="liveness")
    assert bench.facts == []
    assert bench.words.startswith(f"cannot probe: cannot read {ca}: there is no such file"[:80])
    ca.write_text("no certificate")
    await bench.runs(bench.runner.results()["web.0.g1", "liveness"].runs + 2, kind="liveness")
    assert bench.words.startswith("cannot probe: cannot use ") and bench.facts == []
    ca.write_text(certificates.other.read_text())
    assert await bench.verdicts(1) == [False]
    ca.write_text(certificates.ca.read_text())
    assert await bench.verdicts(2) == [False, True]
    site.server.close()


@pytest.mark.parametrize(
    ("page", "said"),
    [
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", '"HTTP/1.1 400 Bad Request", which is no TLS'),
        (b"\x15\x03\x03\x00\x02\x02\x28", "TLS: "),
        (b"\x16\x03\x03" + b"\xff" * 400, "TLS: "),
        (b"", "closed during the TLS handshake"),
        (b"\x16\x03\x03\x02\x00", "closed during the TLS handshake"),
    ],
)
async def test_servers_without_tls(bench: Bench, page: bytes, said: str) -> None:
    site = await Site(None, page).start()
    bench.want(https(site.port))
    assert await bench.verdicts(1) == [False]
    assert said in bench.words and f"GET https://127.0.0.1:{site.port}/x: " in bench.words
    site.server.close()


async def test_a_handshake_that_never_ends_does(bench: Bench) -> None:
    server = await bench.server()
    server.reply = None
    probe = Probe(http=Http(server.port, scheme=Scheme.HTTPS), interval=FAST, timeout=0.1)
    bench.want(probe)
    await bench.runs(2)
    url = f"GET https://127.0.0.1:{server.port}/"
    assert bench.words == f"{url}: TLS handshake: no answer within 100ms"
    assert server.most_open == 1
    server.stop()


async def test_an_endless_page_is_cut_off(bench: Bench, certificates: Certificates) -> None:
    async def endless(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
            while True:
                writer.write(b"x" * 65536)
                await writer.drain()
        except OSError:
            writer.close()

    server = await asyncio.start_server(endless, "127.0.0.1", 0, ssl=certificates.server())
    bench.want(https(server.sockets[0].getsockname()[1]))
    await bench.runs(2)
    assert 'does not contain "fine"' in bench.words
    server.close()


async def test_a_real_grpc_server_over_tls(bench: Bench, certificates: Certificates) -> None:
    server = GrpcServer(certificates.pair())
    server.say(SERVING)
    spec = Grpc(server.port, tls=True, ca=str(certificates.ca), server_name=NAME)
    bench.want(Probe(grpc=spec, interval=FAST, timeout=5.0, failures=2))
    assert await bench.verdicts(1) == [True]
    server.say(NOT_SERVING)
    assert await bench.verdicts(2) == [True, False]
    server.stop()


def talk() -> Tls:
    http = Http(8443, scheme=Scheme.HTTPS)
    inner = Answer(http, "10.0.0.1", request(http, "10.0.0.1"))
    return Tls(inner, context(None, "http/1.1", read_regular), None)


@given(st.binary(min_size=1, max_size=400), st.integers(1, 50))
def test_nothing_makes_it_raise(noise: bytes, piece: int) -> None:
    for data in (noise, b"\x16\x03\x03\x00\x30\x02" + noise, b"\x15\x03\x03\x00\x02" + noise):
        tls = talk()
        for at in range(0, len(data), piece):
            if not tls.whole:
                tls.feed(data[at : at + piece])
                tls.reply()
        tls.end()
        assert tls.outcome is not None and tls.outcome.words.isprintable()


def test_an_endless_handshake_is_cut_off() -> None:
    tls, taken = talk(), 0
    record = b"\x16\x03\x03\x40\x00" + b"\x0b\xff\xff\xff" + bytes(16380)
    while not tls.whole and taken < 8 * LIMIT:
        tls.feed(record)
        taken += len(record)
    assert tls.whole and taken <= LIMIT + len(record)


def test_an_endless_stream_of_tickets_is_cut_off(certificates: Certificates) -> None:
    """The handshake is over, and no word of http ever comes."""
    server = certificates.server()
    server.num_tickets = 3000
    into, out = ssl.MemoryBIO(), ssl.MemoryBIO()
    side = server.wrap_bio(into, out, server_side=True)
    tls = talk()
    into.write(tls.greeting)
    while not tls.whole:
        with contextlib.suppress(ssl.SSLWantReadError):
            side.do_handshake()
        sent = out.read(65536)
        assert sent, "nothing more is sent, and it was not cut off"
        tls.feed(sent)
        into.write(tls.reply())
    assert tls.outcome is not None and "more than 256 KiB" in tls.outcome.words
