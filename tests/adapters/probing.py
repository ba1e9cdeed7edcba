"""A prober with real servers and a scripted engine, for its tests."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Sequence

from nodeorch.adapters.probes import ProbeRunner
from nodeorch.files import read_regular
from nodeorch.model.facts import ProbeSeen
from nodeorch.model.workload import Http, Probe, Tcp
from nodeorch.ports import ProbeTarget
from tests.lab.wait import async_wait_for

FAST = 0.05


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
            read_regular,
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


def http(port: int, **fields: object) -> Probe:
    return Probe(http=Http(port), **({"interval": FAST} | fields))  # type: ignore[arg-type]


def tcp(port: int, **fields: object) -> Probe:
    return Probe(tcp=Tcp(port), **({"interval": FAST} | fields))  # type: ignore[arg-type]
