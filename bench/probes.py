"""What a probe costs: CPU milliseconds per try, http and tcp, in this process alone.

The servers run in a child, so that their work is not counted. For comparison the same
tries are made with asyncio's streams, one task per try.

    python -m bench.probes [TRIES]
"""

from __future__ import annotations

import asyncio
import multiprocessing
import sys
import time
from collections.abc import Awaitable, Callable
from multiprocessing.connection import Connection

from nodeorch.adapters.probes.http import request
from nodeorch.adapters.probes.net import NetTry
from nodeorch.adapters.probes.outcome import Outcome
from nodeorch.adapters.probes.runner import ProbeRunner
from nodeorch.model.facts import Fact
from nodeorch.model.workload import Http, Probe
from nodeorch.ports import ProbeTarget

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok"


def serve(pipe: Connection) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if await reader.read(4096):
            writer.write(ANSWER)
        writer.close()

    async def main() -> None:
        server = await asyncio.start_server(answer, "127.0.0.1", 0)
        pipe.send(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    asyncio.run(main())


async def _exec(*_: object) -> tuple[int, str]:
    return 0, ""


async def raw(port: int, http: Http | None, tries: int) -> None:
    loop = asyncio.get_running_loop()
    message = request(http, "127.0.0.1") if http else b""
    outcomes: list[Outcome] = []
    for _ in range(tries):
        over = loop.create_future()
        NetTry(
            "127.0.0.1",
            port,
            http,
            message,
            5.0,
            outcomes.append,
            lambda f=over: f.set_result(None),
        ).start()
        await over
    assert all(outcome.passed for outcome in outcomes), outcomes[-1]


async def streams(port: int, http: Http | None, tries: int) -> None:
    async def one() -> None:
        async with asyncio.timeout(5):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            if http:
                writer.write(request(http, "127.0.0.1"))
                assert b"200" in await reader.read()
            writer.close()
            await writer.wait_closed()

    for _ in range(tries):
        await asyncio.create_task(one())


async def measure(what: Callable[[], Awaitable[None]], tries: int) -> float:
    began = time.process_time()
    await what()
    return (time.process_time() - began) / tries * 1000


async def steady(port: int, probes: int, interval: float, seconds: float) -> tuple[float, int]:
    """(share of a core, tries) of many probes on the real schedule."""
    facts: list[Fact] = []
    runner = ProbeRunner(facts.append, _exec)
    probe = Probe(http=Http(port), interval=interval)
    runner.sync(
        {
            (f"w{n}", "readiness"): ProbeTarget(f"w{n}", "id", "readiness", "127.0.0.1", probe)
            for n in range(probes)
        }
    )
    await asyncio.sleep(interval + 0.5)  # all have passed and found their places
    before = sum(result.runs for result in runner.results().values())
    cpu, wall = time.process_time(), time.monotonic()
    await asyncio.sleep(seconds)
    share = (time.process_time() - cpu) / (time.monotonic() - wall)
    tries = sum(result.runs for result in runner.results().values()) - before
    assert len(facts) == probes
    await runner.close()
    return share, tries


async def main(tries: int, port: int) -> None:
    print(f"{'CPU ms per try':<28}{'sockets':>9}{'streams':>9}")
    for name, http in (("http", Http(port)), ("tcp", None)):
        ours = await measure(lambda http=http: raw(port, http, tries), tries)  # type: ignore[misc]
        theirs = await measure(lambda http=http: streams(port, http, tries), tries)  # type: ignore[misc]
        print(f"{name:<28}{ours:>9.3f}{theirs:>9.3f}")
    for probes, interval in ((100, 10.0), (200, 1.0)):
        share, made = await steady(port, probes, interval, 10.0)
        print(
            f"{probes} http probes each {interval:g} s: {share * 100:.2f} % of a core,"
            f" {made / 10:g} tries a second"
        )


if __name__ == "__main__":
    here, there = multiprocessing.Pipe()
    child = multiprocessing.get_context("spawn").Process(target=serve, args=(there,), daemon=True)
    child.start()
    try:
        asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else 3000, here.recv()))
    finally:
        child.terminate()
        child.join()
