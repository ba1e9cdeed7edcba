"""All probes of this node, on one heap and one timer."""

from __future__ import annotations

import asyncio
import heapq
import time
from collections.abc import Callable, Iterable, Mapping
from itertools import count as counter

from nodeorch.adapters.probes import cadence
from nodeorch.adapters.probes.exec import Exec, ExecTry
from nodeorch.adapters.probes.lane import Lane
from nodeorch.adapters.probes.net import NetTry
from nodeorch.adapters.probes.outcome import Outcome, excerpt
from nodeorch.adapters.probes.talk import Read, talker
from nodeorch.meters import ProbeMeter
from nodeorch.model.facts import ProbeSeen
from nodeorch.model.tally import Tally, count
from nodeorch.ports import Inbox, ProbeResult, ProbeTarget

NET_SLOTS = 128
EXEC_SLOTS = 4
"""An exec costs the engine 80 ms and two processes, whatever the command."""

_AT_ONCE = 16
"""Tries begun before the loop gets its turn again."""


class _Probe:
    """One (instance, kind), from a sync() that wants it to one that does not."""

    __slots__ = (
        "attempt",
        "cadence",
        "dropped",
        "due",
        "result",
        "runner",
        "runs",
        "since",
        "started",
        "suspect",
        "suspected",
        "talker",
        "tally",
        "target",
    )

    def __init__(self, runner: ProbeRunner, target: ProbeTarget, now: float) -> None:
        probe = target.probe
        self.runner = runner
        self.target = target
        self.due = now + probe.delay
        interval = max(probe.interval, 0.01)
        self.cadence = cadence.Cadence(
            interval,
            cadence.phase(target.instance, target.kind, interval),
            self.due,
            quick=target.kind in ("startup", "readiness"),
        )
        self.talker = talker(probe, target.address, runner.read)
        self.tally = Tally()
        self.attempt: NetTry | ExecTry | None = None
        self.dropped = False
        self.suspect = False
        self.suspected = False
        """Whether it was a suspect when the current try began."""
        self.result: ProbeResult | None = None
        self.runs = 0
        self.since = 0.0
        """When the last try's result began to be the same; wall time."""
        self.started = 0.0

    def begin(self) -> None:
        self.started = self.runner.loop.time()
        self.suspected = self.suspect
        attempt = self._attempt()
        if isinstance(attempt, Outcome):
            self.done(attempt)
            # Not from inside the lane's own bookkeeping.
            self.runner.loop.call_soon(self.closed)
            return
        self.attempt = attempt
        attempt.start()

    def _attempt(self) -> NetTry | ExecTry | Outcome:
        """What to start, or what came of it already."""
        target, probe = self.target, self.target.probe
        if probe.exec is not None:
            return ExecTry(
                self.runner.exec,
                target.container_id,
                probe.exec,
                probe.timeout,
                self.done,
                self.closed,
            )
        net = probe.http or probe.tcp or probe.grpc
        if net is None or not target.address:
            return Outcome(False, "the container has no address; use an exec probe")
        try:
            talk = self.talker()
        except (OSError, ValueError) as error:  # of our own files: it says nothing about the target
            return Outcome(None, f"cannot probe: {excerpt(str(error))}")
        return NetTry(
            target.address,
            net.port,
            talk,
            probe.timeout,
            self.done,
            self.closed,
        )

    def done(self, outcome: Outcome) -> None:
        """Count, tell, and find the next time."""
        now = self.runner.loop.time()
        passed = bool(outcome.passed)
        self.suspect = outcome.timed_out
        verdict = None
        if outcome.passed is not None:
            counts = passed or self.cadence.counts(now)
            self.tally, verdict = count(self.tally, self.target.probe, passed, counts=counts)
            if verdict:
                self.cadence.quick = False
        self.due = self.cadence.after(passed, self.started, now)
        self._remember(passed, outcome.words, now - self.started)
        self.runner.meter.add(self.target, outcome.passed, now - self.started)
        if verdict is not None:
            self.runner.inbox(
                ProbeSeen(
                    self.target.instance,
                    self.target.container_id,
                    self.target.kind,
                    verdict,
                    outcome.words,
                    now - self.started,
                )
            )

    def _remember(self, passed: bool, words: str, latency: float) -> None:
        same = self.result is not None and self.result.passed is passed
        in_a_row = self.result.in_a_row + 1 if self.result is not None and same else 1
        wall = self.runner.wall()
        self.since = self.since if same else wall
        self.runs += 1
        self.result = ProbeResult(passed, words, latency, wall, in_a_row, self.runs, self.since)

    def closed(self) -> None:
        """The try is over: only now may there be another."""
        self.attempt = None
        if not self.dropped:
            self.runner.schedule(self)
        self.lane.leave(self.suspected)

    def drop(self) -> None:
        self.dropped = True
        if self.attempt is not None:
            self.attempt.cancel()
            self.attempt = None
            self.lane.leave(self.suspected)

    @property
    def lane(self) -> Lane:
        return self.runner.lanes[self.target.probe.exec is not None]


class ProbeRunner:
    """ports.Prober. ``exec`` is ports.Engine.exec, ``read`` is files.read_regular.

    Use it inside the running loop only.
    """

    def __init__(
        self,
        inbox: Inbox,
        exec: Exec,
        read: Read,
        *,
        net_slots: int = NET_SLOTS,
        exec_slots: int = EXEC_SLOTS,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self.loop = asyncio.get_running_loop()
        self.inbox = inbox
        self.exec = exec
        self.read = read
        self.wall = wall
        self.lanes = (Lane(net_slots), Lane(exec_slots))
        self.meter = ProbeMeter()
        self._probes: dict[tuple[str, str], _Probe] = {}
        self._heap: list[tuple[float, int, _Probe]] = []
        self._numbers = counter()
        self._timer: asyncio.TimerHandle | None = None

    def sync(self, wanted: Mapping[tuple[str, str], ProbeTarget]) -> None:
        """Run exactly these; one whose target is unchanged goes on undisturbed."""
        for key, probe in list(self._probes.items()):
            if wanted.get(key) != probe.target:
                del self._probes[key]
                probe.drop()
        now = self.loop.time()
        for key, target in wanted.items():
            if key not in self._probes:
                self._probes[key] = probe = _Probe(self, target, now)
                self.schedule(probe)

    def results(self) -> Mapping[tuple[str, str], ProbeResult]:
        return {key: probe.result for key, probe in self._probes.items() if probe.result}

    def keep(self, workloads: Iterable[str]) -> None:
        self.meter.keep(workloads)

    async def close(self) -> None:
        """Ends all tries; returns when no task is left."""
        attempts = [probe.attempt for probe in self._probes.values()]
        self.sync({})
        if self._timer is not None:
            self._timer.cancel()
        self._heap.clear()
        tasks = [try_.task for try_ in attempts if isinstance(try_, ExecTry) and try_.task]
        await asyncio.gather(*tasks, return_exceptions=True)

    def schedule(self, probe: _Probe) -> None:
        heapq.heappush(self._heap, (probe.due, next(self._numbers), probe))
        if self._heap[0][2] is probe:
            self._arm()

    def _arm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self.loop.call_at(self._heap[0][0], self._fire)

    def _fire(self) -> None:
        self._timer = None
        now = self.loop.time()
        begun = 0
        while self._heap and self._heap[0][0] <= now and begun < _AT_ONCE:
            probe = heapq.heappop(self._heap)[2]
            if not probe.dropped:
                begun += 1
                self.lanes[probe.target.probe.exec is not None].offer(probe)
        if self._heap:
            self._arm()
