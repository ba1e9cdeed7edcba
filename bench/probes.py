"""What one probe costs: CPU time per try, http and tcp, in this process alone.

The servers run in a child, so that their work is not counted. The same tries are made with
asyncio's streams, one task per try, in turns with ours. No engine is involved.

    python -m bench.probes
"""

from __future__ import annotations

import asyncio
import multiprocessing
import statistics
import time
from collections.abc import Awaitable, Callable
from multiprocessing.connection import Connection

from bench.table import Row, compared, markdown
from nodeorch.adapters.probes.http import Answer, request
from nodeorch.adapters.probes.net import NetTry
from nodeorch.adapters.probes.outcome import Outcome
from nodeorch.model.workload import Http

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok"
TRIES = 500
ROUNDS = 5

Way = Callable[[int, Http | None], Awaitable[None]]


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


async def ours(port: int, http: Http | None) -> None:
    loop = asyncio.get_running_loop()
    message = request(http, "127.0.0.1") if http else b""
    outcomes: list[Outcome] = []
    for _ in range(TRIES):
        over: asyncio.Future[None] = loop.create_future()

        def end(over: asyncio.Future[None] = over) -> None:
            over.set_result(None)

        talk = Answer(http, "127.0.0.1", message) if http else None
        NetTry("127.0.0.1", port, talk, 5.0, outcomes.append, end).start()
        await over
    assert all(outcome.passed for outcome in outcomes), outcomes[-1]


async def streams(port: int, http: Http | None) -> None:
    async def one() -> None:
        async with asyncio.timeout(5):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            if http:
                writer.write(request(http, "127.0.0.1"))
                assert b"200" in await reader.read()
            writer.close()
            await writer.wait_closed()

    for _ in range(TRIES):
        await asyncio.create_task(one())


async def cpu_ms(way: Way, port: int, http: Http | None) -> float:
    """Per try."""
    begun = time.process_time()
    await way(port, http)
    return (time.process_time() - begun) / TRIES * 1000


async def _rows(port: int) -> list[Row]:
    rows = []
    for name, http in (("HTTP", Http(port)), ("TCP", None)):
        figures: dict[Way, list[float]] = {ours: [], streams: []}
        for _ in range(ROUNDS):
            for way, taken in figures.items():
                taken.append(await cpu_ms(way, port, http))
        mine, other = (statistics.median(taken) for taken in figures.values())
        rows.append(compared(f"CPU of one {name} probe", mine, other, "asyncio streams", "ms"))
    return rows


def measure() -> list[Row]:
    here, there = multiprocessing.Pipe()
    child = multiprocessing.get_context("spawn").Process(target=serve, args=(there,), daemon=True)
    child.start()
    try:
        return asyncio.run(_rows(here.recv()))
    finally:
        child.terminate()
        child.join()


if __name__ == "__main__":
    print(markdown(measure()))
