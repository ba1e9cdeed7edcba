"""grpc probes: against a real gRPC server, and against everything that is none."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator

import h2.config
import h2.connection
import h2.events
import pytest
from grpc_health.v1 import health_pb2
from hypothesis import given
from hypothesis import strategies as st

from nodeorch.adapters.probes.grpc import EVENTS, LIMIT, Check
from nodeorch.adapters.probes.outcome import Outcome
from nodeorch.model.workload import Grpc, Probe
from tests.adapters.probing import FAST, Bench
from tests.lab.grpcd import NOT_SERVING, SERVING, GrpcServer

WHERE = "grpc 10.88.0.5:50051"


@pytest.fixture
def real() -> Iterator[GrpcServer]:
    server = GrpcServer()
    yield server
    server.stop()


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    bench = Bench()
    yield bench
    await bench.runner.close()


def probe(port: int, service: str = "", timeout: float = 5.0, failures: int = 2) -> Probe:
    return Probe(grpc=Grpc(port, service), interval=FAST, timeout=timeout, failures=failures)


async def test_a_real_server_from_serving_to_not_and_back(bench: Bench, real: GrpcServer) -> None:
    real.say(SERVING)
    bench.want(probe(real.port))
    assert await bench.verdicts(1) == [True]
    assert bench.facts[0].words == "serving"
    real.say(NOT_SERVING)
    assert await bench.verdicts(2) == [True, False]
    assert bench.facts[1].words == f"grpc 127.0.0.1:{real.port}: not serving"
    assert bench.facts[1].latency is not None and 0 < bench.facts[1].latency < 5
    real.say(SERVING)
    assert await bench.verdicts(3) == [True, False, True]


@pytest.mark.parametrize("service", ["bank.Ledger", "x" * 255])
async def test_each_service_has_its_own_health(
    bench: Bench, real: GrpcServer, service: str
) -> None:
    real.say(SERVING)
    bench.want(probe(real.port, service))
    assert await bench.verdicts(1) == [False]
    assert bench.words.endswith(f'the server knows no service "{service}"')
    real.say(SERVING, service)
    assert await bench.verdicts(2) == [False, True]


async def test_a_server_without_the_health_service(bench: Bench) -> None:
    server = GrpcServer(healthy=False)
    bench.want(probe(server.port))
    assert await bench.verdicts(1) == [False]
    assert "unimplemented: the server has no grpc.health.v1.Health" in bench.words
    server.stop()
    await bench.server()
    bench.want(probe(server.port))
    await bench.runs(bench.runner.results()["web.0.g1", "readiness"].runs + 3)
    assert bench.words == f"grpc 127.0.0.1:{server.port}: connection refused"


async def test_a_web_server_is_named_as_what_it_is(bench: Bench) -> None:
    server = await bench.server(b"HTTP/1.1 400 Bad Request\r\n\r\n")
    bench.want(probe(server.port))
    await bench.runs(1)
    assert bench.words == f"grpc 127.0.0.1:{server.port}: it speaks HTTP/1, not HTTP/2"
    server.stop()


async def test_silence_ends_at_the_timeout(bench: Bench) -> None:
    server = await bench.server()
    server.reply = None
    bench.want(probe(server.port, timeout=0.1))
    await bench.runs(2)
    assert bench.words == f"grpc 127.0.0.1:{server.port}: no answer within 100ms"
    assert server.most_open == 1
    server.stop()


# what a server can say, without a socket


def frame(kind: int, flags: int = 0, stream: int = 0, payload: bytes = b"") -> bytes:
    head = len(payload).to_bytes(3, "big") + bytes((kind, flags))
    return head + stream.to_bytes(4, "big") + payload


DATA, HEADERS, PRIORITY, RESET, SETTINGS, PUSH, PING, GOAWAY, WINDOW, MORE = range(10)
END_STREAM, END_HEADERS = 1, 4
HELLO = frame(SETTINGS)


def check(service: str = "") -> Check:
    return Check(Grpc(50051, service), "10.88.0.5", 1.0)


def answered(
    message: bytes | None = b"\x08\x01",
    status: str = "0",
    http: str = "200",
    kind: str = "application/grpc",
    **more: str,
) -> bytes:
    """By an h2 that plays the server; without a message, in one block of headers."""
    link = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False))
    link.initiate_connection()
    link.receive_data(check().greeting)
    trailers = [("grpc-status", status)] if status else [("x", "y")]
    trailers += [(name.replace("_", "-"), value) for name, value in more.items()]
    head = [(":status", http), ("content-type", kind)]
    if message is None:
        link.send_headers(1, head + trailers, end_stream=True)
    else:
        link.send_headers(1, head)
        link.send_data(1, b"\x00" + len(message).to_bytes(4, "big") + message)
        link.send_headers(1, trailers, end_stream=True)
    return link.data_to_send()


def judge(data: bytes, piece: int = 0) -> Outcome | None:
    talk = check("bank.Ledger")
    step = piece or len(data) or 1
    for at in range(0, len(data), step):
        if talk.whole:
            break
        talk.feed(data[at : at + step])
        talk.reply()
    if not talk.whole:
        talk.end()
    return talk.outcome


def test_what_is_asked_is_a_health_check() -> None:
    link = h2.connection.H2Connection(
        h2.config.H2Configuration(client_side=False, header_encoding="utf-8")
    )
    events = link.receive_data(check("bank.Ledger").greeting)
    [asked] = [e for e in events if isinstance(e, h2.events.RequestReceived)]
    headers = dict(asked.headers)
    assert headers[":path"] == "/grpc.health.v1.Health/Check"
    assert headers[":authority"] == "10.88.0.5:50051" and headers["te"] == "trailers"
    assert headers["grpc-timeout"] == "1000m"
    [body] = [e.data for e in events if isinstance(e, h2.events.DataReceived)]
    request = health_pb2.HealthCheckRequest.FromString(body[5:])
    assert request.service == "bank.Ledger" and body[1:5] == len(body[5:]).to_bytes(4, "big")


ANSWERS: list[tuple[bytes, str]] = [
    (answered(), "+serving"),
    (answered(b"\x08\x02"), f"-{WHERE} bank.Ledger: not serving"),
    (answered(b""), "-its health is unknown (UNKNOWN)"),
    (answered(b"\x08\x03"), '-the server knows no service "bank.Ledger"'),
    (answered(b"\x12\x03abc\x19" + bytes(8) + b"\x25" + bytes(4) + b"\x08\x01"), "+serving"),
    (answered(b"\x12\xff"), "-its answer is no health check's"),
    (answered(b"\x08" + b"\x80" * 20), "-its answer is no health check's"),
    (answered(b"\x0b\x08\x01"), "-its answer is no health check's"),
    (answered(b"\x08\x63"), "-its answer is no health check's"),
    (answered(b"x" * 2000), "-its answer is longer than a health check's"),
    (answered(None, "5"), '-the server knows no service "bank.Ledger"'),
    (answered(None, "12"), "-unimplemented"),
    (
        answered(None, "14", grpc_message="down%0afor \x1b%41"),
        '-grpc status UNAVAILABLE: "down for \\x1bA"',
    ),
    (answered(None, "99"), "-grpc status 99"),
    (answered(None, "x\x1b[2J"), "-grpc status x\\x1b[2J"),
    (answered(None, "", "404", "text/html"), "-HTTP status 404 Not Found, content type text/html"),
    (answered(None, "", "200", "text/html"), "-it is no gRPC server"),
    (HELLO + frame(GOAWAY, payload=bytes(4) + bytes(3) + b"\x0b"), "-GOAWAY, ENHANCE_YOUR_CALM"),
    (HELLO + frame(RESET, stream=1, payload=bytes(3) + b"\x07"), "-REFUSED_STREAM"),
    (HELLO + frame(RESET, stream=1, payload=b"\xff" * 4), "-the server reset the request"),
    (b"SSH-2.0-OpenSSH_9.2\r\n", "-which is no HTTP/2"),
    (b"", "-closed without an answer"),
    (HELLO, "-closed before the answer was complete"),
    (HELLO + frame(MORE, END_HEADERS, 1, b"x"), "-broken HTTP/2"),
    (HELLO + frame(HEADERS, END_HEADERS, 1, b"\xff" * 40), "-broken HTTP/2"),
    (HELLO + frame(HEADERS, END_HEADERS, 2, b"\x88"), "-broken HTTP/2"),
]  # fmt: skip


@pytest.mark.parametrize(("data", "said"), ANSWERS)
@pytest.mark.parametrize("piece", [0, 1])
def test_answers(data: bytes, said: str, piece: int) -> None:
    outcome = judge(data, piece)
    assert outcome is not None and outcome.passed is (said[0] == "+"), outcome
    assert said[1:] in outcome.words and outcome.words.isprintable()


INTERIM = frame(HEADERS, END_HEADERS, 1, b"\x08\x03103")
BOMB = frame(HEADERS, END_HEADERS, 1, b"\x40\x01a\x7f\x80\x1e" + b"b" * 3967 + b"\xbe" * 200)
FLOODS = {
    "pings": frame(PING, payload=bytes(8)),
    "settings": HELLO,
    "windows": frame(WINDOW, stream=0, payload=bytes(3) + b"\x01"),
    "headers without end": frame(MORE, 0, 1, b"\x00"),
    "a long header": frame(MORE, 0, 1, b"\x00\x01a\x7f\xff\x7f" + b"b" * 16000),
    "interim answers": INTERIM,
    "references to a large header": BOMB,
    "empty data": frame(DATA, 0, 1),
    "padding": frame(DATA, 8, 1, b"\xff" + bytes(255)),
    "unknown frames": frame(77, payload=bytes(100)),
    "pushes": frame(PUSH, END_HEADERS, 1, bytes(3) + b"\x02\x82"),
    "a huge frame": (1 << 23).to_bytes(3, "big") + b"\x00\x00" + bytes(4000),
}


@pytest.mark.parametrize("name", FLOODS)
@pytest.mark.parametrize("piece", [65536, 100])
def test_a_flood_is_cut_off(name: str, piece: int) -> None:
    """Whatever is repeated: the end is there after a known number of bytes or frames."""
    begin = HELLO
    if "header" in name and "references" not in name:
        begin += frame(HEADERS, 0, 1, b"\x88")
    elif "data" in name or name == "padding":
        begin += frame(HEADERS, END_HEADERS, 1, b"\x88")
    endless = FLOODS[name] * (4 * LIMIT // len(FLOODS[name]) + 4 * EVENTS)
    talk, taken = check(), 0
    talk.feed(begin)
    while not talk.whole and taken < len(endless):
        talk.feed(endless[taken : taken + piece])
        assert len(talk.reply()) < 2 * LIMIT
        taken += piece
    assert talk.whole and talk.outcome is not None and not talk.outcome.passed
    assert talk._seen <= LIMIT + 1024
    assert talk._events <= EVENTS + 1


@given(st.binary(max_size=400), st.integers(1, 50))
def test_nothing_makes_it_raise(noise: bytes, piece: int) -> None:
    for data in (noise, HELLO + noise, HELLO + frame(HEADERS, END_HEADERS, 1, noise)):
        outcome = judge(data, piece)
        assert outcome is not None and outcome.words.isprintable()


def test_nor_does_a_parser_that_breaks(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(self: object, data: bytes) -> None:
        raise KeyError("frame")

    monkeypatch.setattr(h2.connection.H2Connection, "receive_data", broken)
    talk = check()
    talk.feed(HELLO)
    assert talk.whole and talk.outcome is not None
    assert talk.outcome.words == f"{WHERE}: broken HTTP/2: KeyError"


@given(st.binary(max_size=60))
def test_nor_does_any_message(message: bytes) -> None:
    outcome = judge(answered(message))
    assert outcome is not None
    if outcome.passed:
        assert health_pb2.HealthCheckResponse.FromString(message).status == SERVING


async def test_a_flood_leaves_the_others_their_turn(bench: Bench, real: GrpcServer) -> None:
    stop = asyncio.Event()

    async def flood(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            writer.write(HELLO)
            while not stop.is_set():
                writer.write(FLOODS["pings"] * 3000)
                await writer.drain()
        except OSError:
            pass
        finally:
            writer.close()

    real.say(SERVING)
    hostile = await asyncio.start_server(flood, "127.0.0.1", 0)
    port = hostile.sockets[0].getsockname()[1]
    for number in range(10):
        bench.want(probe(port), instance=f"evil{number}")
    bench.want(probe(real.port), instance="good")
    await bench.runs(3, "good")
    await bench.runs(3, "evil0")
    results = bench.runner.results()
    assert results["good", "readiness"].passed
    assert "sends more than 64 frames" in results["evil0", "readiness"].words
    stop.set()
    hostile.close()
