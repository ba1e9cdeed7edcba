"""The last hour of what each instance used, in rings of fixed size.

An instance costs about 2.6 KB, whatever it does; their number is bounded. Nothing of it is
stored: a new daemon begins anew.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterator
from typing import Protocol

from msgspec import Struct

from nodeorch.model.view import Pressure

STEP = 30.0
"""Seconds of one point: three samples, or fifteen while somebody looks."""
POINTS = 120
"""An hour."""
INSTANCES = 1000
"""With a history. When there are more, one that has long been silent gives way; if there is none,
the newcomer has no history."""

FIELDS = 5
"""Of a point: CPU, memory, and the pressure on CPU, memory and I/O; a NaN is unknown. As 32-bit
floats: seven digits are enough for a line of blocks."""
NAN = math.nan
NOTHING = array("f", [NAN] * FIELDS)


class Sample(Protocol):
    """See adapters/usage.py."""

    @property
    def memory(self) -> int | None: ...

    @property
    def cpu_percent(self) -> float | None: ...

    @property
    def pressure(self) -> Pressure: ...

    @property
    def at(self) -> float: ...


class Point(Struct, frozen=True):
    at: float
    """Boot time of its begin."""
    cpu_percent: float | None
    memory: int | None
    pressure: Pressure


class _Ring:
    """Points are numbered by time: number N begins at N times STEP and lies at N modulo POINTS."""

    __slots__ = ("at", "first", "last", "values", "weights")

    def __init__(self, sample: Sample) -> None:
        self.values = NOTHING * POINTS
        self.first = self.last = int(sample.at // STEP)
        self.at = sample.at
        self.weights = array("f", [0.0] * FIELDS)
        """Seconds that the means of the last point stand for, by field."""

    def add(self, sample: Sample) -> None:
        number = int(sample.at // STEP)
        for skipped in range(max(self.last, number - POINTS) + 1, number + 1):
            self._put(skipped, NOTHING)
        if number > self.last:
            self.last = number
            self.weights = array("f", [0.0] * FIELDS)
        # A sample stands for the time since the one before; the first of all for a moment.
        weight = min(max(sample.at - self.at, 0.001), STEP)
        self.at = sample.at
        point = self.point(number)
        pressure = sample.pressure
        if sample.memory is not None:
            point[1] = sample.memory if math.isnan(point[1]) else max(point[1], sample.memory)
        means = (sample.cpu_percent, None, pressure.cpu, pressure.memory, pressure.io)
        for field, value in enumerate(means):
            if value is not None:
                self.weights[field] += weight
                known = 0.0 if math.isnan(point[field]) else point[field]
                point[field] = known + (value - known) * weight / self.weights[field]
        self._put(number, point)

    def point(self, number: int) -> array[float]:
        start = number % POINTS * FIELDS
        return self.values[start : start + FIELDS]

    def _put(self, number: int, point: array[float]) -> None:
        start = number % POINTS * FIELDS
        self.values[start : start + FIELDS] = point


class History:
    def __init__(self) -> None:
        self._rings: dict[str, _Ring] = {}

    def add(self, instance: str, sample: Sample) -> None:
        ring = self._rings.get(instance)
        if ring is None:
            if not self._room(sample.at):
                return
            ring = self._rings[instance] = _Ring(sample)
        ring.add(sample)

    def names(self, workload: str, now: float) -> list[str]:
        """Its instances with a point in the last hour; instances are called WORKLOAD.SLOT.gN."""
        oldest = _oldest(now)
        return sorted(
            name
            for name, ring in self._rings.items()
            if name.partition(".")[0] == workload and ring.last >= oldest
        )

    def points(self, instance: str, now: float) -> Iterator[Point]:
        """Oldest first, from its first to the present; what is not known is None."""
        ring = self._rings.get(instance)
        if ring is None:
            return
        end = int(now // STEP)
        if ring.last == end - 1:
            end = ring.last  # the present one has no sample yet
        for number in range(max(ring.first, _oldest(now)), end + 1):
            point = ring.point(number) if ring.last - POINTS < number <= ring.last else NOTHING
            cpu, memory, *pressure = (None if math.isnan(v) else v for v in point)
            yield Point(
                number * STEP, cpu, None if memory is None else int(memory), Pressure(*pressure)
            )

    def _room(self, now: float) -> bool:
        """Is there room for one more? What has been silent for an hour leaves first."""
        if len(self._rings) < INSTANCES:
            return True
        silent = min(self._rings, key=lambda name: self._rings[name].at)
        if now - self._rings[silent].at < 2 * STEP:
            return False
        oldest = _oldest(now)
        self._rings = {
            n: ring for n, ring in self._rings.items() if ring.last >= oldest and n != silent
        }
        return True


def _oldest(now: float) -> int:
    return int(now // STEP) - POINTS + 1
