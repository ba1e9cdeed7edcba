"""The API on a real socket, served from a thread: tests stay synchronous, as its clients are."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar

from nodeorch.api.server import ApiServer, serve
from nodeorch.client.unix import Client
from tests.api.standin import StandIn

T = TypeVar("T")

WEB = """
[workload]
name = "web"
image = "localhost/web:1"
[resources]
memory = "64MiB"
"""


class Harness:
    def __init__(self, folder: Path, **options: Any) -> None:
        self.directory = folder / "workloads.d"
        self.directory.mkdir()
        self.socket = folder / "run" / "api.sock"
        self._group: str | None = options.pop("group", None)
        self._options = options
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self.standin: StandIn = self.do(lambda: StandIn(self.directory))
        self.server: ApiServer | None = None
        self.open()

    @property
    def client(self) -> Client:
        return Client(str(self.socket), timeout=10.0)

    def open(self) -> None:
        self.server = self.run(
            lambda: serve(self.standin, self.socket, self._group, **self._options)
        )

    def close_server(self) -> None:
        if self.server is not None:
            server, self.server = self.server, None
            self.run(server.close)

    def close(self) -> None:
        self.close_server()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10.0)
        self._loop.close()

    def do(self, function: Callable[[], T]) -> T:
        """Call it inside the loop's thread."""

        async def call() -> T:
            return function()

        return self.run(call)

    def run(self, function: Callable[[], Awaitable[T]]) -> T:
        async def call() -> T:
            return await function()

        return asyncio.run_coroutine_threadsafe(call(), self._loop).result(20.0)

    def declare(self, *texts: str) -> None:
        """Specs that are accepted, and run."""
        self.do(lambda: self.standin.declare(*texts))
        self.obey()

    def obey(self) -> None:
        self.do(self.standin.obey)


def spec(
    name: str, more: str = "", image: str = "localhost/web:1", schedule: str | None = None
) -> str:
    head = f'[workload]\nname = "{name}"\nimage = "{image}"\n'
    job = f'[job]\nschedule = "{schedule}"\n' if schedule else ""
    return f'{head}{more}\n{job}[resources]\nmemory = "64MiB"\n'
