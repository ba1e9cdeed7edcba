"""A bound on tries in flight, in which hung targets cannot crowd out the others."""

from __future__ import annotations

from collections import deque
from typing import Protocol


class Waiter(Protocol):
    suspect: bool
    """Its last try ran into its timeout."""
    dropped: bool

    def begin(self) -> None: ...


class Lane:
    """At most ``limit`` at a time, of which at most half are suspects."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._running = 0
        self._suspects = 0
        self._waiting: tuple[deque[Waiter], deque[Waiter]] = (deque(), deque())

    def offer(self, waiter: Waiter) -> None:
        """Begins it now, or when its turn comes."""
        if self._room(waiter.suspect):
            self._admit(waiter)
        else:
            self._waiting[waiter.suspect].append(waiter)

    def leave(self, suspect: bool) -> None:
        """One that was begun as (no) suspect is over."""
        self._running -= 1
        self._suspects -= suspect
        for kind in (False, True):
            waiting = self._waiting[kind]
            while waiting and self._room(kind):
                waiter = waiting.popleft()
                if not waiter.dropped:
                    self._admit(waiter)

    def _room(self, suspect: bool) -> bool:
        if self._running >= self._limit:
            return False
        return not suspect or self._suspects < max(1, self._limit // 2)

    def _admit(self, waiter: Waiter) -> None:
        self._running += 1
        self._suspects += waiter.suspect
        waiter.begin()
