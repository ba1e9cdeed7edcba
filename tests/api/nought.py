"""A daemon that has done nothing yet: its clock and its counters."""

from __future__ import annotations

from nodeorch.meters import CallMeter, LoopMeter, Meters, ProbeMeter, Process, WorkloadMeters

WALL = 1_700_000_000.0
"""2023-11-14T22:13:20Z."""


class StandInClock:
    def __init__(self) -> None:
        self.time = 1000.0

    def now(self) -> float:
        return self.time

    def wall(self) -> float:
        return WALL + self.time


def no_meters(now: float = 0.0) -> Meters:
    """All at nought; the loop has just stepped."""
    return Meters(
        loop=LoopMeter(stepped_at=now),
        workloads=WorkloadMeters(),
        engine=CallMeter(),
        probes=ProbeMeter(),
        store=CallMeter(),
        process=lambda: Process(
            resident=1 << 25, cpu_seconds=1.5, open_files=20, most_files=1024, started_wall=WALL
        ),
        store_bytes=lambda: 4096,
        waiting=lambda: 0,
    )
