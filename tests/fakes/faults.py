"""Faults by operation's name, scripted by a test: fail the second start, hang a stop, lie."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from nodeorch.model.world import Container
from nodeorch.ports import EngineError

FOREVER = 1 << 30


@dataclass
class Fault:
    operation: str
    first: int
    """The call, counted from 1, that it hits first."""
    times: int
    error: EngineError | None = None
    gate: asyncio.Event | None = None
    """Hang until it is set."""
    seconds: float = 0.0

    def hits(self, operation: str, count: int) -> bool:
        return operation == self.operation and self.first <= count < self.first + self.times


class Faults:
    """``nth`` counts from the next call; ``times``: how many calls in a row are hit."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._faults: list[Fault] = []
        self._lies: list[Callable[[tuple[Container, ...]], tuple[Container, ...]]] = []
        self.events_lost = False

    def fail(
        self,
        operation: str,
        kind: str = "refused",
        words: str = "scripted",
        *,
        nth: int = 1,
        times: int = 1,
    ) -> None:
        """It does nothing and raises EngineError(kind)."""
        self._add(operation, nth, times, error=EngineError(kind, words))

    def hang(self, operation: str, *, nth: int = 1, times: int = 1) -> asyncio.Event:
        """It hangs until the returned event is set, then goes on as usual."""
        gate = asyncio.Event()
        self._add(operation, nth, times, gate=gate)
        return gate

    def delay(self, operation: str, seconds: float, *, nth: int = 1, times: int = 1) -> None:
        self._add(operation, nth, times, seconds=seconds)

    def down(self, kind: str = "unreachable") -> None:
        """Every call fails until ``clear``."""
        self._add("*", 1, FOREVER, error=EngineError(kind, "the engine is down"))

    def lie(self, change: Callable[[tuple[Container, ...]], tuple[Container, ...]]) -> None:
        """The next listing is what ``change`` makes of it."""
        self._lies.append(change)

    def clear(self) -> None:
        for fault in self._faults:
            if fault.gate is not None:
                fault.gate.set()
        self._faults.clear()
        self._lies.clear()
        self.events_lost = False

    def _add(
        self,
        operation: str,
        nth: int,
        times: int,
        *,
        error: EngineError | None = None,
        gate: asyncio.Event | None = None,
        seconds: float = 0.0,
    ) -> None:
        first = self._counts[operation] + nth
        self._faults.append(Fault(operation, first, times, error, gate, seconds))

    async def meet(self, operation: str) -> None:
        """Called by the fake at the begin of each operation."""
        for name in (operation, "*"):
            self._counts[name] += 1
            for fault in list(self._faults):
                if not fault.hits(name, self._counts[name]):
                    continue
                if fault.gate is not None:
                    await fault.gate.wait()
                if fault.seconds:
                    await asyncio.sleep(fault.seconds)
                if fault.error is not None:
                    raise fault.error

    def told(self, containers: tuple[Container, ...]) -> tuple[Container, ...]:
        return self._lies.pop(0)(containers) if self._lies else containers
