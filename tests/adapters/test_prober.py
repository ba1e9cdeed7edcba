"""The prober against real sockets: what it reports, when, and what it refuses to do."""

from __future__ import annotations

import asyncio
import contextlib
import os
import resource
import socket
from collections.abc import AsyncIterator, Iterator

import pytest

from nodeorch.adapters.probes.runner import NET_SLOTS
from nodeorch.model.facts import ProbeSeen
from tests.adapters.probing import Bench, Server, http, tcp
from tests.lab.wait import async_wait_for


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    bench = Bench()
    yield bench
    await bench.runner.close()
    for server in bench.servers:
        server.stop()


def unused_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@contextlib.contextmanager
def deaf_port() -> Iterator[int]:
    """A port whose backlog is full: a SYN is never answered."""
    with socket.socket() as listener, contextlib.ExitStack() as stack:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(4):
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())
        yield listener.getsockname()[1]


async def test_a_pass_is_told_once_and_results_are_shown(bench: Bench) -> None:
    server = await bench.server()
    bench.want(http(server.port))
    assert bench.runner.results() == {}
    await bench.runs(4)
    [fact] = bench.facts
    took = fact.latency
    assert took is not None and 0 < took < 5
    whole = ProbeSeen("web.0.g1", "id-web.0.g1", "readiness", True, "status 200", took)
    assert fact == whole
    result = bench.runner.results()["web.0.g1", "readiness"]
    assert 1e9 < result.since < result.wall
    assert result.passed and result.in_a_row == result.runs and result.words == "status 200"
    assert 0 < result.latency < 5 and result.wall > 1e9
    assert server.requests[0].startswith(b"GET / HTTP/1.1\r\nHost: 127.0.0.1:")


async def test_failing_is_told_after_the_threshold_and_recovery_too(bench: Bench) -> None:
    server = await bench.server()
    bench.want(http(server.port, failures=3))
    assert await bench.verdicts(1) == [True]
    server.reply = b"HTTP/1.1 503 No\r\n\r\nout of \x1b[31mtea"
    before = bench.runner.results()["web.0.g1", "readiness"].runs
    assert await bench.verdicts(2) == [True, False]
    assert bench.runner.results()["web.0.g1", "readiness"].runs >= before + 2
    url = f"GET http://127.0.0.1:{server.port}/"
    assert bench.facts[1].words == f'{url}: status 503, body "out of \\x1b[31mtea"'
    server.reply = b"HTTP/1.1 200 OK\r\n\r\n"
    assert await bench.verdicts(3) == [True, False, True]


async def test_readiness_is_seen_long_before_the_interval_is_over(bench: Bench) -> None:
    """First nobody listens; 10 s is the interval; the deadline of waiting is 5."""
    port = unused_port()
    bench.want(tcp(port, interval=10.0))
    await bench.runs(2)
    assert bench.words == f"tcp 127.0.0.1:{port}: connection refused"
    server = await Server().start(port)
    bench.servers.append(server)
    await async_wait_for(lambda: bench.facts, 5.0)
    assert bench.facts[0].passed


async def test_quick_tries_do_not_use_up_the_threshold(bench: Bench) -> None:
    bench.want(tcp(unused_port(), interval=30.0, failures=1), kind="startup")
    await bench.runs(3, kind="startup")
    assert bench.facts == []


async def test_liveness_keeps_to_its_interval_from_the_start(bench: Bench) -> None:
    bench.want(tcp(unused_port(), interval=60.0, failures=1), kind="liveness")
    assert await bench.verdicts(1) == [False]
    await asyncio.sleep(0.5)
    assert bench.runner.results()["web.0.g1", "liveness"].runs == 1


async def test_the_delay_comes_before_the_first_try(bench: Bench) -> None:
    server = await bench.server()
    loop = asyncio.get_running_loop()
    began = loop.time()
    bench.want(http(server.port, delay=0.3))
    await bench.verdicts(1)
    assert loop.time() - began >= 0.3


@pytest.mark.parametrize("kind", ["http", "tcp"])
async def test_silence_ends_at_the_timeout(bench: Bench, kind: str) -> None:
    with deaf_port() as port:
        probe = (http if kind == "http" else tcp)(port, timeout=0.1)
        bench.want(probe)
        await bench.runs(2)
    what = f"GET http://127.0.0.1:{port}/" if kind == "http" else f"tcp 127.0.0.1:{port}"
    assert bench.words == f"{what}: no answer within 100ms"


async def test_a_hung_target_never_has_two_tries_at_a_time(bench: Bench) -> None:
    server = await bench.server()
    server.reply = None
    bench.want(http(server.port, timeout=0.2, interval=0.02))
    await bench.runs(4)
    assert server.most_open == 1


async def test_hung_targets_do_not_hold_up_the_others(bench: Bench) -> None:
    hung, good = await bench.server(), await bench.server()
    hung.reply = None
    for number in range(NET_SLOTS * 2):
        bench.want(http(hung.port, timeout=1.5), instance=f"hung{number}")
    hanging = [f"hung{number}" for number in range(NET_SLOTS * 2)]
    await async_wait_for(
        lambda: sum(key[0] in hanging for key in bench.runner.results()) == len(hanging), 20.0
    )
    bench.want(http(good.port, timeout=1.0), instance="good")
    await async_wait_for(lambda: any(fact.instance == "good" for fact in bench.facts), 1.4)
    await async_wait_for(lambda: bench.runner.results()["good", "readiness"].runs > 5, 5.0)
    assert hung.most_open <= NET_SLOTS


async def test_a_reset_is_a_failure_with_words(bench: Bench) -> None:
    server = await bench.server()
    server.reset = True
    bench.want(http(server.port))
    await bench.runs(1)
    assert bench.words == f"GET http://127.0.0.1:{server.port}/: closed without an answer"


async def test_a_streaming_answer_passes_by_its_first_line(bench: Bench) -> None:
    release = asyncio.Event()

    async def stream(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n\r\ndata: 1\n")
        await release.wait()
        writer.close()

    server = await asyncio.start_server(stream, "127.0.0.1", 0)
    bench.want(http(server.sockets[0].getsockname()[1], timeout=30.0))
    assert await bench.verdicts(1) == [True]
    release.set()
    server.close()


async def test_an_answer_byte_by_byte_is_cut_off(bench: Bench) -> None:
    async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            writer.write(b"HTTP/1.1 500 X\r\n")
            while True:
                writer.write(b"x")
                await writer.drain()
                await asyncio.sleep(0)

    server = await asyncio.start_server(drip, "127.0.0.1", 0)
    bench.want(http(server.sockets[0].getsockname()[1], timeout=60.0))
    await bench.runs(1)
    assert "too small pieces" in bench.words
    server.close()


async def test_ipv6_works(bench: Bench) -> None:
    try:
        server = await asyncio.start_server(lambda r, w: w.close(), "::1", 0)
    except OSError:
        pytest.skip("no IPv6 here")
    bench.want(tcp(server.sockets[0].getsockname()[1]), address="::1")
    assert await bench.verdicts(1) == [True]
    server.close()


@pytest.mark.parametrize("address", ["", "localhost", "not an address"])
async def test_an_address_that_is_none_fails_and_is_not_looked_up(
    bench: Bench, address: str
) -> None:
    server = await bench.server()
    bench.want(http(server.port, failures=2), address=address)
    assert await bench.verdicts(1) == [False]
    assert server.requests == []
    assert "address" in bench.words or "argument" in bench.words


async def test_when_we_have_no_descriptors_the_workload_is_not_blamed(bench: Bench) -> None:
    server = await bench.server()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    top = max(int(name) for name in os.listdir("/proc/self/fd")) + 1
    taken = [
        os.open("/dev/null", os.O_RDONLY) for _ in range(top - len(os.listdir("/proc/self/fd")))
    ]
    resource.setrlimit(resource.RLIMIT_NOFILE, (top, hard))
    try:
        taken += _take_all()
        bench.want(http(server.port, failures=1), kind="liveness")
        await bench.runs(3, kind="liveness")
        assert bench.words == "cannot probe: too many open files"
        assert bench.facts == []
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        for fd in taken:
            os.close(fd)
    assert await bench.verdicts(1) == [True]


def _take_all() -> list[int]:
    taken = []
    with contextlib.suppress(OSError):
        while True:
            taken.append(os.open("/dev/null", os.O_RDONLY))
    return taken


async def test_every_try_is_counted(bench: Bench) -> None:
    server = await bench.server()
    bench.want(http(server.port))
    bench.want(tcp(unused_port()), kind="liveness")
    await bench.runs(3)
    meter = bench.runner.meter
    await async_wait_for(lambda: meter.tries["liveness", "tcp", "failed"] >= 3)
    assert meter.tries["readiness", "http", "passed"] >= 3
    assert meter.failures["web", "liveness"] == meter.tries["liveness", "tcp", "failed"]
    assert meter.seconds["http"].total < 5
    bench.runner.sync({})
    bench.runner.keep(["db"])
    assert not meter.failures
