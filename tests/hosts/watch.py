"""Watches from the switch which hosts serve a workload: no cut and no loss comes between.

A workload is watched by HTTP on a port that it publishes on every host that runs it. Each start
of a copy has to serve another page (see ``SERVING``), so that one that was restarted is told
from one that went on.
"""

from __future__ import annotations

import http.client
import itertools
import threading
import time
from collections.abc import Iterable
from types import TracebackType
from typing import NamedTuple

from tests.hosts.fleet import Fleet
from tests.lab import namespaces

PERIOD = 0.05
"""Seconds between two looks at a host."""
PATIENCE = 0.5
"""Seconds for an answer."""

SERVING = '''\
[workload]
name = "{name}"
image = "localhost/lab:1"
command = ["sh", "-c", """
cat /proc/sys/kernel/random/uuid > /tmp/index.html
exec httpd -f -p 8080 -h /tmp"""]
{workload}
[resources]
memory = "16MiB"
{ports}[stop]
grace = "200ms"
signal = "KILL"
{more}'''


PORTS = """\
[[ports]]
container = 8080
host = {port}
address = "0.0.0.0"
"""


def serving(name: str, port: int | None, more: str = "", workload: str = "") -> str:
    """A spec that can be watched, if it has a port. ``workload``: more lines for that table."""
    ports = "" if port is None else PORTS.format(port=port)
    return SERVING.format(name=name, ports=ports, more=more, workload=workload)


class Answer(NamedTuple):
    at: float
    """CLOCK_MONOTONIC, seconds, when the answer was here."""
    host: str
    page: str


class Watch:
    """``with Watch(fleet, port) as watch:`` looks at all hosts until the block ends."""

    def __init__(self, fleet: Fleet, port: int, hosts: Iterable[str] | None = None) -> None:
        self._fleet = fleet
        self._port = port
        self._over = threading.Event()
        self._lock = threading.Lock()
        self._answers: list[Answer] = []
        self.begun = time.monotonic()
        self._threads = [
            threading.Thread(target=self._look, args=(host,), daemon=True)
            for host in hosts or fleet.hosts
        ]

    def __enter__(self) -> Watch:
        self.begun = time.monotonic()
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        where: TracebackType | None,
    ) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()

    def _look(self, host: str) -> None:
        # The thread alone moves there.
        namespaces.join_network(str(self._fleet.dir / "run" / "switch.net"))
        address = self._fleet.address(host)
        while not self._over.is_set():
            begun = time.monotonic()
            page = _page(address, self._port)
            if page is not None:
                with self._lock:
                    self._answers.append(Answer(time.monotonic(), host, page))
            self._over.wait(max(0.0, begun + PERIOD - time.monotonic()))

    # -- what was seen ---------------------------------------------------------------------

    def answers(self, since: float = 0.0) -> list[Answer]:
        """In order of time."""
        with self._lock:
            return sorted(each for each in self._answers if each.at >= since)

    def serves(self, within: float = 3 * PERIOD) -> dict[str, str]:
        """Host → page, of those that answered in the last moments."""
        return {each.host: each.page for each in self.answers(time.monotonic() - within)}

    def gap(self, since: float | None = None) -> float:
        """The longest time without an answer of any host until now, seconds."""
        begun = self.begun if since is None else since
        times = [begun, *(each.at for each in self.answers(begun)), time.monotonic()]
        return max(b - a for a, b in itertools.pairwise(times))

    def first(self, host: str, since: float) -> float | None:
        """Seconds from then until the host answered first."""
        return next((each.at - since for each in self.answers(since) if each.host == host), None)

    def pages(self, since: float = 0.0) -> dict[str, list[str]]:
        """Host → what it served, each start of a copy once, in order."""
        found: dict[str, list[str]] = {}
        for each in self.answers(since):
            pages = found.setdefault(each.host, [])
            if pages[-1:] != [each.page]:
                pages.append(each.page)
        return found

    def doubled(self, since: float = 0.0, copies: int = 1) -> float:
        """For how long, seconds, more than ``copies`` hosts answered at the same time."""
        last: dict[str, float] = {}
        total, before = 0.0, None
        for each in self.answers(since):
            last[each.host] = each.at
            live = [at for at in last.values() if each.at - at < 3 * PERIOD]
            if len(live) > copies and before is not None:
                total += min(each.at - before, 3 * PERIOD)
            before = each.at
        return total


def _page(address: str, port: int) -> str | None:
    connection = http.client.HTTPConnection(address, port, timeout=PATIENCE)
    try:
        connection.request("GET", "/index.html")
        answer = connection.getresponse()
        page = answer.read().decode().strip()
        return page if answer.status == 200 and page else None
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()
