"""What running instances use, and what the kernel did to them: memory, CPU, OOM kills, limits."""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import Callable, Mapping

from msgspec import Struct

from nodeorch.model.facts import LimitsSeen, OomSeen
from nodeorch.model.view import Pressure
from nodeorch.model.world import Limits
from nodeorch.ports import Cgroups, Clock, Inbox, Usage

SLICE = 0.5
"""Seconds between two slices of work. On the same grid as the probes: one waking serves both."""
BUDGET = 0.005
"""Seconds of a slice; what does not fit waits for the next one."""
USAGE_EVERY = 10.0
WATCHED_EVERY = 2.0
"""Instead, while somebody looks at the figures live."""
WATCHED = 10.0
"""Seconds for which one look counts."""
OOM_EVERY = 2.0
LIMITS_EVERY = 30.0
LIMITS_AGAIN = 10
"""Every so many readings the limits are told even if unchanged: a fact may have been overtaken
by a change of ours that a person then undid."""


class Sample(Struct, frozen=True):
    """An instance's use, for display. None: not known (yet), or no limit."""

    memory: int | None
    """Bytes."""
    cpu_percent: float | None
    """Of one CPU, since the sample before."""
    memory_limit: int | None
    at: float
    """Boot time, seconds."""
    pressure: Pressure = Pressure()
    """Since the sample before."""


Record = Callable[[str, Sample], None]
"""Told of each sample, with its instance."""


class _Run:
    """One run of an instance's container: a restart has a new pid, and its counters begin anew."""

    __slots__ = (
        "container_id",
        "instance",
        "limits",
        "oom_kills",
        "pid",
        "readings",
        "sample",
        "usage",
    )

    def __init__(self, instance: str, container_id: str, pid: int) -> None:
        self.instance = instance
        self.container_id = container_id
        self.pid = pid
        self.oom_kills = 0
        self.limits: Limits | None = None
        self.readings = 0
        self.usage: Usage | None = None
        self.sample: Sample | None = None


class _Round:
    """Comes to each run once a period, a few at a time."""

    def __init__(self, period: float, visit: Callable[[_Run], None]) -> None:
        self.period = period
        self._visit = visit
        self._queue: deque[_Run] = deque()
        self._fresh: deque[_Run] = deque()
        self._owed = 0.0

    def replace(self, gone: set[_Run], new: list[_Run]) -> None:
        """New ones are visited in the next slice, whatever their turn."""
        if gone:
            self._queue = deque(run for run in self._queue if run not in gone)
            self._fresh = deque(run for run in self._fresh if run not in gone)
        self._fresh.extend(new)

    def slice(self, has_time: Callable[[], bool]) -> None:
        self._owed = min(self._owed + len(self._queue) * SLICE / self.period, len(self._queue))
        while has_time():
            if self._fresh:
                run = self._fresh.popleft()
            elif self._owed >= 1:
                self._owed -= 1
                run = self._queue.popleft()
            else:
                return
            self._visit(run)
            self._queue.append(run)


class UsageSampler:
    """Reads cgroups in small slices on the loop; each read is of files in memory, not of a disk.

    Reports facts.OomSeen when the count of OOM kills is another than last seen in this run,
    facts.LimitsSeen when the kernel's limits are, and once every five minutes. Use it
    inside the running loop only.
    """

    def __init__(
        self, cgroups: Cgroups, clock: Clock, inbox: Inbox, record: Record | None = None
    ) -> None:
        self._cgroups = cgroups
        self._clock = clock
        self._inbox = inbox
        self._record = record
        self._watched_until = 0.0
        self._loop = asyncio.get_running_loop()
        self._runs: dict[str, _Run] = {}
        self._usage_round = _Round(USAGE_EVERY, self._read_usage)
        self._rounds = (
            # Limits first: the reader learns from the pid where a container's cgroup is.
            _Round(LIMITS_EVERY, self._read_limits),
            _Round(OOM_EVERY, self._read_oom),
            self._usage_round,
        )
        self._timer = self._loop.call_at(self._next_slice(), self._slice)

    def sync(self, wanted: Mapping[str, tuple[str, int]]) -> None:
        """instance → (container id, pid): sample exactly these."""
        gone: set[_Run] = set()
        for name, run in list(self._runs.items()):
            if wanted.get(name) != (run.container_id, run.pid):
                gone.add(self._runs.pop(name))
        new = [
            _Run(name, container_id, pid)
            for name, (container_id, pid) in wanted.items()
            if name not in self._runs
        ]
        if gone or new:
            self._runs |= {run.instance: run for run in new}
            for round in self._rounds:
                round.replace(gone, new)

    def samples(self) -> Mapping[str, Sample]:
        return {name: run.sample for name, run in self._runs.items() if run.sample}

    def watched(self) -> None:
        """Somebody looks at the figures: they shall be fresher for a while."""
        self._watched_until = self._clock.now() + WATCHED

    def close(self) -> None:
        self._timer.cancel()

    def _next_slice(self) -> float:
        return (math.floor(self._loop.time() / SLICE) + 1) * SLICE

    def _slice(self) -> None:
        self._timer = self._loop.call_at(self._next_slice(), self._slice)
        now = self._clock.now()
        end = now + BUDGET
        self._usage_round.period = WATCHED_EVERY if now < self._watched_until else USAGE_EVERY
        for round in self._rounds:
            round.slice(lambda: self._clock.now() < end)

    def _read_oom(self, run: _Run) -> None:
        kills = self._cgroups.oom_kills(run.container_id)
        if kills is not None and kills != run.oom_kills:
            run.oom_kills = kills
            self._inbox(OomSeen(run.instance, run.container_id, kills))

    def _read_usage(self, run: _Run) -> None:
        usage = self._cgroups.usage(run.pid, run.container_id)
        if usage is None:
            return
        limit = run.limits.memory if run.limits else None
        run.sample = Sample(
            usage.memory, _percent(run, usage), limit, usage.at, _pressure(run, usage)
        )
        run.usage = usage
        if self._record is not None:
            self._record(run.instance, run.sample)

    def _read_limits(self, run: _Run) -> None:
        limits = self._cgroups.limits(run.pid, run.container_id)
        if limits is None:
            return
        run.readings += 1
        if limits != run.limits or run.readings % LIMITS_AGAIN == 0:
            run.limits = limits
            self._inbox(LimitsSeen(run.instance, run.container_id, limits))


def _percent(run: _Run, usage: Usage) -> float | None:
    """CPU since the last sample; the first of a run has nothing to be compared with."""
    before, sample = run.usage, run.sample
    if before is None or before.cpu_seconds is None or usage.cpu_seconds is None:
        return None
    passed = usage.at - before.at
    if passed <= 0:
        return sample.cpu_percent if sample else None
    return max(0.0, (usage.cpu_seconds - before.cpu_seconds) / passed * 100)


def _pressure(run: _Run, usage: Usage) -> Pressure:
    """Of the kernel's totals, not of its averages: those look back over another time than ours."""
    before, sample = run.usage, run.sample
    if before is None or sample is None:
        return Pressure()
    passed = usage.at - before.at
    if passed <= 0:
        return sample.pressure
    both = before.stalled.keys() & usage.stalled.keys()
    waited = {name: usage.stalled[name] - before.stalled[name] for name in both}
    return Pressure(**{name: min(max(w / passed, 0.0), 1.0) * 100 for name, w in waited.items()})
