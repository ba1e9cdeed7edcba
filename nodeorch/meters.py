"""Plain counters, kept by the adapters and the loop, and read when somebody asks for metrics.

Counting is an addition to a number: it takes no lock and tells nobody, because it happens on
the way of every restart. All of it happens on the loop. What the numbers are called outside is
in ``api/catalogue.py``.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from typing import Any

from msgspec import Struct, field

from nodeorch.model.happened import Happened
from nodeorch.model.workload import Probe
from nodeorch.ports import ProbeTarget

STEP_BOUNDS = (0.0001, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1.0)
"""Seconds. A step of the loop takes a tenth of a millisecond for 50 workloads."""
CALL_BOUNDS = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 60.0)
"""Seconds. From a ping to the longest timeout of a call."""
PROBE_BOUNDS = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0)
METHODS = ("http", "tcp", "exec", "grpc")
"""Of probes; exactly one is set."""
WRITE_BOUNDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1.0, 5.0)
DOWN_BOUNDS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)


class Histogram:
    """Observations, counted by the smallest bound that is not below them."""

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        """By bound; the last is for what is above all of them."""
        self.total = 0.0

    def add(self, value: float) -> None:
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value


class LoopMeter(Struct):
    """What the loop does."""

    steps: Histogram = field(default_factory=lambda: Histogram(STEP_BOUNDS))
    """Seconds from the first fact of a step to the hand-over of its actions."""
    facts: Counter[type] = field(default_factory=Counter)
    actions: Counter[tuple[type, str]] = field(default_factory=Counter)
    """(kind, "ok" or the kind of the failure) → how many ended so."""
    entries: Counter[str] = field(default_factory=Counter)
    """Code → journal entries stored."""
    stepped_at: float = 0.0
    """When the last step ended, boot time."""


class CallMeter(Struct):
    """Calls of the engine, or writes of the store."""

    bounds: tuple[float, ...] = CALL_BOUNDS
    results: Counter[tuple[str, str]] = field(default_factory=Counter)
    """(operation, "ok" or the kind of the failure)."""
    seconds: dict[str, Histogram] = field(default_factory=dict)
    """By operation; failed ones count, too."""

    def add(self, operation: str, result: str, seconds: float) -> None:
        self.results[operation, result] += 1
        histogram = self.seconds.get(operation)
        if histogram is None:
            histogram = self.seconds[operation] = Histogram(self.bounds)
        histogram.add(seconds)


class ProbeMeter(Struct):
    """Tries of probes."""

    tries: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    """(purpose, method, result): ("liveness", "http", "failed")."""
    failures: Counter[tuple[str, str]] = field(default_factory=Counter)
    """(workload, purpose)."""
    seconds: dict[str, Histogram] = field(default_factory=dict)
    """By method: http, tcp, exec …"""

    def add(self, target: ProbeTarget, passed: bool | None, seconds: float) -> None:
        """``passed`` None: it could not be tried, for a reason that is not the workload's."""
        purpose, method = target.kind, probe_method(target.probe)
        workload = target.instance.partition(".")[0]
        result = "not_tried" if passed is None else "passed" if passed else "failed"
        self.tries[purpose, method, result] += 1
        if passed is False:
            self.failures[workload, purpose] += 1
        if passed is not None:
            histogram = self.seconds.get(method)
            if histogram is None:
                histogram = self.seconds[method] = Histogram(PROBE_BOUNDS)
            histogram.add(seconds)

    def keep(self, workloads: Iterable[str]) -> None:
        """Forget all others."""
        known = set(workloads)
        for key in [key for key in self.failures if key[0] not in known]:
            del self.failures[key]


class WorkloadMeter(Struct):
    """What befell one workload while this daemon ran."""

    restarts: int = 0
    oom_kills: int = 0
    exits: Counter[str] = field(default_factory=Counter)
    """By cause, a model.world.Code."""
    updates: Counter[str] = field(default_factory=lambda: Counter(ok=0, failed=0))


class WorkloadMeters(Struct):
    by_name: defaultdict[str, WorkloadMeter] = field(
        default_factory=lambda: defaultdict(WorkloadMeter)
    )
    down: Histogram = field(default_factory=lambda: Histogram(DOWN_BOUNDS))
    """Seconds from an end that nobody asked for to the next run, waiting included."""

    def add(self, event: Happened) -> None:
        meter = self.by_name[event.workload]
        if event.what == "restart":
            meter.restarts += event.count
        elif event.what == "oom":
            meter.oom_kills += event.count
        elif event.what == "exit":
            meter.exits[event.detail] += event.count
        else:
            meter.updates[event.detail] += event.count
        if event.down is not None:
            self.down.add(event.down)

    def keep(self, workloads: Iterable[str]) -> None:
        """Forget all others."""
        for name in self.by_name.keys() - set(workloads):
            del self.by_name[name]


class Process(Struct, frozen=True):
    """The daemon's own use of the host."""

    resident: int
    """Bytes."""
    cpu_seconds: float
    open_files: int
    most_files: int
    started_wall: float


class Meters(Struct):
    """All of them, as the API reads them."""

    loop: LoopMeter
    workloads: WorkloadMeters
    engine: CallMeter
    probes: ProbeMeter
    store: CallMeter
    process: Callable[[], Process]
    store_bytes: Callable[[], int]
    """Size of the database's files."""
    waiting: Callable[[], int]
    """Facts in the queue."""
    requests: Counter[tuple[str, str]] = field(default_factory=Counter)
    """(method and path of a route of the API, status)."""

    def keep(self, workloads: Iterable[str]) -> None:
        """Forget what is counted of workloads that are not among these."""
        known = tuple(workloads)
        self.workloads.keep(known)
        self.probes.keep(known)


def probe_method(probe: Probe) -> str:
    """Which of its keys is set: "http", "tcp", "exec" …"""
    return next(key for key in METHODS if getattr(probe, key) is not None)


def short(kind: type[Any]) -> str:
    """A class as a label: "StartContainer" as "start_container"."""
    return "".join(f"_{c.lower()}" if c.isupper() else c for c in kind.__name__).lstrip("_")
