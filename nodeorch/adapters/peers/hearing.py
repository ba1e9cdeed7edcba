"""Whether another daemon is heard, and whether at least its host answers. Pure: time is handed in.

All times are seconds of one clock of this host. Three things are told apart:

- *heard*: messages come on the link.
- *answers*: none do, but the host's kernel accepts or refuses connections, or acknowledges what we
  send: the daemon is gone or hangs, its containers may well run.
- *silent*: nothing at all, for long enough that a lost packet and its repetition do not explain it.
"""

from __future__ import annotations

from math import inf
from typing import NamedTuple

from nodeorch.model.fleet import Hearing

BEAT, SLOW_BEAT = 0.5, 1.0
"""Seconds between two beats, and in a fleet of more than ``MANY`` other hosts: there each host
would else send and receive hundreds of messages a second."""
MANY = 20
QUIET, SLOW_QUIET = 1.5, 2.5
"""Seconds without a message until a link is doubted: two beats may be late, or lost and repeated
by TCP (after 0.2 s and more)."""
SILENCE = 0.5
"""Seconds more, in which two attempts to connect find no answer, until a host is silent."""
LOSS = 2.0
"""The same after a link was lost, or after the last answer: there was no quiet time before."""
DOUBT = 0.3
"""Seconds between attempts to connect while in doubt. Each is a new one: the first repetition of a
lost SYN would only come after 1 s."""
WATCH = 0.5
"""The same once it is known that nothing is heard."""
TRUST = 1.0
"""Seconds for which an answer is enough while the link stands: each beat of ours is acknowledged,
and a hanging daemon's queue of connections is not filled, which would look like silence then."""
LATE = 0.5
"""Seconds by which a timer of ours may be late until we believe nothing of what we did not hear."""


class Pace(NamedTuple):
    """Which of the times hold, by the size of the fleet."""

    beat: float = BEAT
    quiet: float = QUIET

    @staticmethod
    def of(others: int) -> Pace:
        return Pace(SLOW_BEAT, SLOW_QUIET) if others > MANY else Pace()


class Ear:
    """What is heard of one host."""

    __slots__ = ("_doubt", "_silent", "answered", "hearing", "how", "knocked", "linked", "why")

    def __init__(self, now: float) -> None:
        self.hearing = Hearing.NEVER
        self.linked = False
        self._doubt = now
        """From when on it takes an answer of the kernel to know more."""
        self._silent = now + LOSS
        """From when on the lack of an answer counts."""
        self.answered = -inf
        self.knocked = -inf
        self.why = "there has been no link yet"
        self.how = ""

    def heard(self, now: float, quiet: float) -> None:
        """A message has come."""
        self.linked = True
        self.why = f"no beat for {quiet:g} s"
        self._doubt = now + quiet
        self._silent = self._doubt + SILENCE

    def lost(self, now: float, why: str) -> None:
        """The link is gone. If it was in doubt already, that doubt goes on."""
        self.linked = False
        self.why = why
        if not self.doubted(now):
            self._doubt, self._silent = now, now + LOSS

    def answer(self, when: float, how: str) -> None:
        """The host's kernel has answered."""
        if when > self.answered:
            self.answered, self.how = when, how

    def late(self, now: float, quiet: float) -> None:
        """We did not run for a while: what we did not hear then says nothing."""
        if self.hearing is Hearing.ANSWERS:
            self.answered = now
        elif self.hearing is Hearing.SILENT:
            pass  # what was judged in time stands
        elif self.linked:
            self.heard(now, quiet)
        else:
            self._doubt, self._silent = now, now + LOSS

    def doubted(self, now: float) -> bool:
        """Whether it takes attempts to connect to know more."""
        return now >= self._doubt

    def judge(self, now: float) -> Hearing:
        """What comes of it now; remembered."""
        self.hearing = self._judge(now)
        return self.hearing

    def _judge(self, now: float) -> Hearing:
        if not self.doubted(now):
            return Hearing.HEARD
        if self.hearing is Hearing.NEVER and now < self._silent:
            return Hearing.NEVER  # the links of a daemon that has just started are on their way
        if self.answered >= self._doubt and now - self.answered < LOSS:
            return Hearing.ANSWERS
        return Hearing.SILENT if now >= self._silent else self.hearing

    @property
    def words(self) -> str:
        """Why it is not heard."""
        if self.hearing is Hearing.ANSWERS:
            return f"{self.why}; its host {self.how}"
        return f"{self.why}; its host answers no connection" if self.hearing is not _HEARD else ""

    def knock_at(self) -> float:
        """When to try a connection next."""
        if self.knocked < self._doubt:
            return self._doubt
        unsure = self.hearing in (Hearing.HEARD, Hearing.NEVER)
        pause = DOUBT if unsure else WATCH
        return max(self.knocked + pause, self.answered + (TRUST if self.linked else WATCH))

    def due(self, now: float) -> float:
        """When to look again, if nothing comes before."""
        if not self.doubted(now):
            return self._doubt
        ends = (when for when in (self._silent, self.answered + LOSS) if when > now)
        return min(self.knock_at(), now + WATCH, *ends)


_HEARD = Hearing.HEARD
