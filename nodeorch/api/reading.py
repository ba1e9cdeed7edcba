"""What metrics are read from, and the ways in which a family of them is written down."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple

from nodeorch.api.openmetrics import Family, Kind, Labels, Value
from nodeorch.meters import Histogram, Meters, Process
from nodeorch.model.view import WorkloadView
from nodeorch.model.world import World

Samples = Iterable[tuple[Labels, Value]]


class Reading(NamedTuple):
    """What one answer is read from: all of one moment."""

    world: World
    now: float
    views: list[WorkloadView]
    meters: Meters
    process: Process
    requested: int
    """Bytes of memory that workloads hold or are promised."""


Metric = Family[Reading]


class Section(NamedTuple):
    title: str
    metrics: tuple[Metric, ...]


def one(get: Callable[[Reading], float | Histogram | None]) -> Callable[[Reading], Samples]:
    """A single value without labels; none while it is not known."""

    def read(reading: Reading) -> Samples:
        value = get(reading)
        return [((), value)] if value is not None else []

    return read


def counter(name: str, labels: Labels, help: str, read: Callable[[Reading], Samples]) -> Metric:
    return Family(f"nodeorch_{name}", Kind.COUNTER, _unit(name), labels, help, read)


def gauge(name: str, labels: Labels, help: str, read: Callable[[Reading], Samples]) -> Metric:
    return Family(f"nodeorch_{name}", Kind.GAUGE, _unit(name), labels, help, read)


def histogram(name: str, labels: Labels, help: str, read: Callable[[Reading], Samples]) -> Metric:
    return Family(f"nodeorch_{name}", Kind.HISTOGRAM, _unit(name), labels, help, read)


def _unit(name: str) -> str:
    """Base units only; whatever has none counts things."""
    last = name.rpartition("_")[2]
    return last if last in ("seconds", "bytes", "ratio") else ""
