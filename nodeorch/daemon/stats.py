"""What `top` and `stats` show: the world, what its instances use, and the last hour of it."""

from __future__ import annotations

from collections.abc import Callable

from nodeorch.daemon.history import STEP, History, Point
from nodeorch.decide.status import Surroundings, instance_view, rfc3339
from nodeorch.model.view import (
    HistoryView,
    HostStats,
    InstanceHistory,
    InstanceStats,
    InstanceView,
    PointView,
    Pressure,
    StatsView,
)
from nodeorch.model.world import World

PROBES = ("readiness", "liveness", "startup")
"""The first of them that an instance has is shown."""


class Stats:
    def __init__(
        self, watched: Callable[[], None], host: Callable[[], HostStats], history: History
    ) -> None:
        """``watched``: called when somebody looks, so that samples come sooner."""
        self._watched = watched
        self._host = host
        self._history = history

    def live(self, world: World, around: Surroundings) -> StatsView:
        self._watched()
        return StatsView(
            at=rfc3339(around.wall) or "",
            node=world.node.name,
            host=self._host(),
            instances=[
                _instance(name, instance_view(world, state, instance, around), around)
                for name, state in sorted(world.workloads.items())
                for _, instance in sorted(state.instances.items())
            ],
        )

    def hour(self, world: World, workload: str, around: Surroundings) -> HistoryView:
        """Of the instances that are, then of those that were. Raises KeyError: no such workload."""
        state = world.workloads[workload]
        views = {
            name: instance_view(world, state, instance, around)
            for name, instance in sorted(state.instances.items())
        }
        gone = [n for n in self._history.names(workload, around.now) if n not in views]
        return HistoryView(
            workload=workload,
            step_seconds=STEP,
            instances=[
                *(self._instance(name, view, around) for name, view in views.items()),
                *(self._instance(name, None, around) for name in gone),
            ],
        )

    def _instance(
        self, name: str, view: InstanceView | None, around: Surroundings
    ) -> InstanceHistory:
        points = self._history.points(name, around.now)
        return InstanceHistory(
            name=name,
            state=view.state if view else "gone",
            memory_limit_bytes=view.memory_limit_bytes if view else None,
            points=[_point(point, around) for point in points],
        )


def _point(point: Point, around: Surroundings) -> PointView:
    return PointView(
        at=rfc3339(around.wall - around.now + point.at) or "",
        cpu_percent=_rounded(point.cpu_percent),
        memory_bytes=point.memory,
        pressure=_percent(point.pressure),
    )


def _instance(workload: str, view: InstanceView, around: Surroundings) -> InstanceStats:
    sample = around.samples.get(view.name) if view.pid else None
    kind = next((kind for kind in PROBES if kind in view.probes), "")
    probe = view.probes.get(kind)
    return InstanceStats(
        name=view.name,
        workload=workload,
        state=view.state,
        ready=view.ready,
        reason=view.reason,
        restarts=view.restarts,
        oom_kills=view.oom_kills,
        cpu_percent=_rounded(view.cpu_percent),
        memory_bytes=view.memory_bytes,
        memory_limit_bytes=view.memory_limit_bytes,
        pressure=_percent(sample.pressure) if sample else Pressure(),
        probe=kind,
        probe_passed=probe.passed if probe else None,
        probe_latency_ms=probe.latency_ms if probe else None,
    )


def _percent(pressure: Pressure) -> Pressure:
    return Pressure(_rounded(pressure.cpu), _rounded(pressure.memory), _rounded(pressure.io))


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 2)
