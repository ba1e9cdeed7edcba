"""What runs on a fleet while a test hurts it: declared, watched, and compared with before."""

from __future__ import annotations

import concurrent.futures
import contextlib
import os
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from types import TracebackType
from typing import Self

import pytest

from tests.hosts.fleet import First, Fleet
from tests.hosts.watch import Watch, serving

TAKEN = 8.0
"""Seconds in which what fails over runs again: 6 to take over, 2 to start on a loaded machine."""
BACK = 20.0
"""Seconds in which all is as declared, once a fault is over."""
SEAMLESS = 0.6
"""Seconds without an answer that a loaded machine makes of a workload that goes on."""

ALL = os.environ.get("NODEORCH_TEST_HOSTS") == "all"
thorough = pytest.mark.skipif(not ALL, reason="takes long: NODEORCH_TEST_HOSTS=all runs it")
"""packaging/check has no time for it."""


@dataclass(frozen=True)
class Part:
    """A workload as a test declares it."""

    name: str
    home: str
    port: int | None = None
    """It is watched there."""
    mode: str = "available"
    failback: str = "never"
    scope: str = "host"
    replicas: int = 1
    colour: int = 0
    """Another one is another version."""

    @property
    def movable(self) -> bool:
        return self.mode != "none" or self.scope != "host"

    def text(self) -> str:
        workload = f'env = {{ COLOUR = "{self.colour}" }}\n'
        if self.scope == "every-host":
            workload += f'scope = "{self.scope}"\n'
        elif self.scope == "fleet":
            workload += f'scope = "{self.scope}"\nreplicas = {self.replicas}\n'
        more = ""
        if self.scope == "host" and self.movable:
            more = f'[failover]\nmode = "{self.mode}"\nfailback = "{self.failback}"\n'
        return serving(self.name, self.port, more, workload)


def pinned(name: str, home: str) -> Part:
    """One that stays on its home."""
    return Part(name, home, mode="none")


class Scene:
    """``with Scene(fleet, parts…) as scene:`` all of them run when the block begins."""

    def __init__(self, fleet: Fleet, *parts: Part) -> None:
        self.fleet = fleet
        self.parts = {part.name: part for part in parts}
        self.watches: dict[str, Watch] = {}
        self.before: dict[str, dict[str, First]] = {}
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> Self:
        fleet = self.fleet
        for part in self.parts.values():
            fleet.write_spec(part.home, part.name, part.text())
        self.until({name: _copies(part, fleet) for name, part in self.parts.items()})
        moves = {part.name for part in self.parts.values() if part.movable}
        fleet.wait_for(
            lambda: all(moves <= fleet.homes(host).keys() for host in fleet.hosts), BACK, "mirrors"
        )
        for part in self.parts.values():
            if part.port is not None:
                watch = self._stack.enter_context(Watch(fleet, part.port))
                self.watches[part.name] = watch
                fleet.wait_for(watch.answers, BACK, f"{part.name} answers")
        self.remember()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        where: TracebackType | None,
    ) -> None:
        self._stack.close()

    # -- what to compare with --------------------------------------------------------------

    def remember(self) -> None:
        """From here on ``kept`` and ``gap`` count."""
        self.before = {host: self.fleet.firsts(host) for host in self.fleet.hosts}
        self.since = time.monotonic()

    def kept(self, hosts: Iterable[str], but: Iterable[str] = ()) -> None:
        """What ran on these hosts runs on, with the same first processes."""
        for host in hosts:
            now = self.fleet.firsts(host)
            for container, first in self.before[host].items():
                if container.split(".")[0] not in but:
                    assert now.get(container) == first, f"{container} on {host} was touched"

    def gap(self, name: str, since: float | None = None) -> float:
        """The longest time without an answer."""
        return self.watches[name].gap(self.since if since is None else since)

    # -- where things are ------------------------------------------------------------------

    def where(self, name: str) -> list[str]:
        """Hosts that run it, one for each copy. Asks the kernel, not nodeorch."""
        return [
            host
            for host in self.fleet.hosts
            for container in self.fleet.firsts(host)
            if container.split(".")[0] == name
        ]

    def until(self, copies: dict[str, int | list[str]], deadline: float = BACK) -> float:
        """Until each has so many copies, or is on these hosts; the seconds that it took."""
        began = time.monotonic()

        def so() -> bool:
            return all(_fits(self.where(name), want) for name, want in copies.items())

        self.fleet.wait_for(so, deadline, f"copies: {copies}")
        return time.monotonic() - began

    def back(self, copies: dict[str, int | list[str]], deadline: float = BACK) -> float:
        """Until all hosts see each other and it is so; the seconds that it took."""
        began = time.monotonic()
        self.fleet.wait_for(self.fleet.whole, deadline, "all hosts see each other")
        self.until(copies, max(1.0, began + deadline - time.monotonic()))
        took = time.monotonic() - began
        self.stays(copies)
        return took

    def stays(self, copies: dict[str, int | list[str]], seconds: float = 1.5) -> None:
        """It is still so, some beats later."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            for name, want in copies.items():
                where = self.where(name)
                assert _fits(where, want), f"{name} is on {where}\n{self.fleet.scene()}"
            time.sleep(0.1)

    # -- what the hosts say ------------------------------------------------------------------

    def told(self, host: str, name: str, *words: str) -> None:
        """`nodeorch why` of the host has all these words, in time."""
        said = ""

        def so() -> bool:
            nonlocal said
            said = self.fleet.why(host, name)
            return all(word in said for word in words)

        try:
            self.fleet.wait_for(so, 5.0, "why")
        except AssertionError:
            raise AssertionError(f"why {name} on {host} lacks one of {words}: {said}") from None

    def events(self, host: str, *words: str) -> None:
        """One of the host's last events has all these words, in time."""
        self.fleet.wait_for(
            lambda: any(
                all(word in line for word in words)
                for line in self.fleet.shell(host, "nodeorch", "events").splitlines()
            ),
            5.0,
            f"an event of {host} with {words}",
        )


def braked(fleet: Fleet, host: str) -> bool:
    """Whether most of the others vanished at once, by its account."""
    return "nothing is taken over" in fleet.shell(host, "nodeorch", "members")


def together(*acts: Callable[[], object]) -> None:
    """All at once, each in a thread; the first error is raised."""

    with concurrent.futures.ThreadPoolExecutor(len(acts)) as pool:
        for done in [pool.submit(act) for act in acts]:
            done.result()


def _copies(part: Part, fleet: Fleet) -> int | list[str]:
    if part.scope == "every-host":
        return fleet.hosts
    return part.replicas if part.scope == "fleet" else [part.home]


def _fits(where: list[str], want: int | list[str]) -> bool:
    return len(where) == want if isinstance(want, int) else where == want
