"""Counters of a daemon that has done nothing yet."""

from __future__ import annotations

from nodeorch.meters import CallMeter, LoopMeter, Meters, ProbeMeter, Process, WorkloadMeters


def no_meters(now: float = 0.0, wall: float = 0.0) -> Meters:
    """All at nought; the loop has just stepped."""
    return Meters(
        loop=LoopMeter(stepped_at=now),
        workloads=WorkloadMeters(),
        engine=CallMeter(),
        probes=ProbeMeter(),
        store=CallMeter(),
        process=lambda: Process(
            resident=1 << 25, cpu_seconds=1.5, open_files=20, most_files=1024, started_wall=wall
        ),
        store_bytes=lambda: 4096,
        waiting=lambda: 0,
    )
