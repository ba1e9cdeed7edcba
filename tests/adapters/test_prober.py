"""The prober against real sockets: what it reports, when, and what it refuses to do."""

from __future__ import annotations

import asyncio
import contextlib
import os
import resource
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

import pytest

from nodeorch.adapters.probes import ProbeRunner
from nodeorch.adapters.probes.runner import NET_SLOTS
from nodeorch.model.facts import ProbeSeen
from nodeorch.model.workload import Http, Probe, Tcp
from nodeorch.ports import EngineError, ProbeTarget
from tests.lab.wait import async_wait_for

FAST = 0.05
Answer = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class Server:
    """A real listener; what it answers can be changed, and what came is counted."""

    def __init__(self, reply: bytes = b"HTTP/1.1 200 OK\r\n\r\n") -> None:
        self.reply: bytes | None = reply
        """None: never a word."""
        self.requests: list[bytes] = []
        self.open = 0
        self.most_open = 0
        self.reset = False
        self._server: asyncio.Server | None = None
        self.port = 0

    async def start(self, port: int = 0) -> Server:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", port)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    def stop(self) -> None:
        if self._server is not None:
            self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.open += 1
        self.most_open = max(self.open, self.most_open)
        try:
            self.requests.append(await reader.read(65536))
            if self.reset:
                linger = struct.pack("ii", 1, 0)
                sock: socket.socket = writer.get_extra_info("socket")
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            elif self.reply is None:
                await reader.read()
            else:
                writer.write(self.reply)
        except OSError:
            pass
        finally:
            self.open -= 1
            writer.close()


class Engine:
    """An exec whose answers are scripted."""

    def __init__(self) -> None:
        self.answer: tuple[int, str] | Exception = (0, "")
        self.gate = asyncio.Event()
        self.gate.set()
        self.running = self.most_running = 0
        self.calls: list[tuple[str, tuple[str, ...], float]] = []

    async def exec(
        self,
        container_id: str,
        command: Sequence[str],
        timeout: float,
    ) -> tuple[int, str]:
        self.calls.append((container_id, tuple(command), timeout))
        self.running += 1
        self.most_running = max(self.running, self.most_running)
        try:
            await self.gate.wait()
        finally:
            self.running -= 1
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


class Bench:
    def __init__(self) -> None:
        self.facts: list[ProbeSeen] = []
        self.engine = Engine()
        self.runner = ProbeRunner(
            self.facts.append,  # type: ignore[arg-type]
            self.engine.exec,
        )
        self.servers: list[Server] = []
        self.wanted: dict[tuple[str, str], ProbeTarget] = {}

    async def server(self, reply: bytes = b"HTTP/1.1 200 OK\r\n\r\n") -> Server:
        self.servers.append(await Server(reply).start())
        return self.servers[-1]

    def want(
        self,
        probe: Probe,
        *,
        instance: str = "web.0.g1",
        kind: str = "readiness",
        address: str = "127.0.0.1",
        run: str = "",
    ) -> None:
        target = ProbeTarget(instance, f"id-{instance}", kind, address, probe, run)
        self.wanted[instance, kind] = target
        self.runner.sync(self.wanted)

    async def verdicts(self, number: int) -> list[bool]:
        await async_wait_for(lambda: len(self.facts) >= number, what=f"{number} verdicts")
        return [fact.passed for fact in self.facts]

    async def runs(self, number: int, instance: str = "web.0.g1", kind: str = "readiness") -> None:
        def made() -> bool:
            result = self.runner.results().get((instance, kind))
            return result is not None and result.runs >= number

        await async_wait_for(made, what=f"{number} runs of {instance}'s {kind}")

    @property
    def words(self) -> str:
        (result,) = self.runner.results().values()
        return result.words


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    bench = Bench()
    yield bench
    await bench.runner.close()
    for server in bench.servers:
        server.stop()


def http(port: int, **fields: object) -> Probe:
    return Probe(http=Http(port), **({"interval": FAST} | fields))  # type: ignore[arg-type]


def tcp(port: int, **fields: object) -> Probe:
    return Probe(tcp=Tcp(port), **({"interval": FAST} | fields))  # type: ignore[arg-type]


def unused_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@contextlib.contextmanager
def deaf_port() -> object:
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
    assert bench.facts == [ProbeSeen("web.0.g1", "id-web.0.g1", "readiness", True, "status 200")]
    result = bench.runner.results()["web.0.g1", "readiness"]
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
        bench.want(http(hung.port, timeout=1.0), instance=f"hung{number}")
    hanging = [f"hung{number}" for number in range(NET_SLOTS * 2)]
    await async_wait_for(
        lambda: sum(key[0] in hanging for key in bench.runner.results()) == len(hanging), 20.0
    )
    bench.want(http(good.port, timeout=1.0), instance="good")
    await async_wait_for(lambda: any(fact.instance == "good" for fact in bench.facts), 0.5)
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
    assert "too small pieces" in bench.words or "headers are longer" in bench.words
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


# sync


async def test_sync_disturbs_only_what_changed(bench: Bench) -> None:
    server = await bench.server()
    bench.want(http(server.port), instance="a")
    bench.want(http(server.port), instance="b")
    await bench.verdicts(2)
    await bench.runs(3, "a")
    await bench.runs(3, "b")
    bench.want(http(server.port), instance="b", run="2")
    results = bench.runner.results()
    assert results["a", "readiness"].runs >= 3
    assert ("b", "readiness") not in results
    await bench.verdicts(3)
    assert [fact.instance for fact in bench.facts] == ["a", "b", "b"]


async def test_what_is_unwanted_ends_at_once_and_reports_no_more(bench: Bench) -> None:
    server = await bench.server()
    server.reply = None
    bench.want(http(server.port, timeout=0.3))
    await async_wait_for(lambda: server.open == 1)
    bench.runner.sync({})
    await async_wait_for(lambda: server.open == 0, 5.0)
    await asyncio.sleep(0.4)
    assert bench.facts == [] and bench.runner.results() == {}


async def test_everything_is_closed_in_the_end(bench: Bench) -> None:
    server = await bench.server()
    before = len(os.listdir("/proc/self/fd"))
    for number in range(20):
        bench.want(http(server.port), instance=f"w{number}")
    bench.engine.gate.clear()
    bench.want(Probe(exec=("true",)), instance="exec")
    await bench.verdicts(20)
    await async_wait_for(lambda: bench.engine.running == 1)
    await bench.runner.close()
    assert bench.engine.running == 0
    await async_wait_for(lambda: len(os.listdir("/proc/self/fd")) <= before)


async def test_hundreds_at_once(bench: Bench) -> None:
    server = await bench.server()
    for number in range(600):
        bench.want(http(server.port, interval=1.0), instance=f"w{number}")
    assert await bench.verdicts(600) == [True] * 600
    assert server.most_open <= NET_SLOTS


# exec


async def test_exec_goes_through_the_engine(bench: Bench) -> None:
    bench.want(Probe(exec=("check", "-x"), interval=FAST, timeout=2.0, failures=2))
    assert await bench.verdicts(1) == [True]
    assert bench.engine.calls[0] == ("id-web.0.g1", ("check", "-x"), 2.0)
    bench.engine.answer = (3, "broken\nin two\x1b[0m lines")
    assert await bench.verdicts(2) == [True, False]
    words = 'exec check -x: exit code 3, output "broken in two\\x1b[0m lines"'
    assert bench.facts[1].words == words
    bench.engine.answer = (124, "")
    await async_wait_for(lambda: bench.words == "exec check -x: no end within 2s")


@pytest.mark.parametrize("kind", ["unreachable", "timeout", "not_found"])
async def test_trouble_of_the_engine_is_not_the_workloads(bench: Bench, kind: str) -> None:
    bench.engine.answer = EngineError(kind, "podman is away")
    probe = Probe(exec=("check",), interval=FAST, failures=1)
    bench.want(probe, kind="liveness")
    await bench.runs(5, kind="liveness")
    assert bench.facts == [] and bench.words == "cannot probe: podman is away"


async def test_exec_probes_are_few_at_a_time(bench: Bench) -> None:
    bench.engine.gate.clear()
    for number in range(20):
        bench.want(Probe(exec=("check",), interval=FAST), instance=f"w{number}")
    await async_wait_for(lambda: bench.engine.running == 4)
    await asyncio.sleep(0.1)
    assert bench.engine.most_running == 4
    bench.engine.gate.set()
    assert await bench.verdicts(20) == [True] * 20
    assert bench.engine.most_running == 4


async def test_an_engine_that_never_answers_gives_its_slot_back(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nodeorch.adapters.probes.exec._PATIENCE", 0.05)
    bench.engine.gate.clear()
    bench.want(Probe(exec=("check",), interval=FAST, timeout=0.05, failures=1))
    await bench.runs(2)
    assert bench.words == "cannot probe: the engine does not answer"
    assert bench.facts == []
