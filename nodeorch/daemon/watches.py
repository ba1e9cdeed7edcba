"""Keeps death watch, probes and usage samples in step with the world, level-triggered.

Only workloads whose state object changed since the last look cost anything.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from nodeorch.decide.watch import probes, processes
from nodeorch.model.world import WorkloadState, World
from nodeorch.ports import Deaths, Prober, ProbeTarget


class Usages(Protocol):
    def sync(self, wanted: Mapping[str, tuple[str, int]]) -> None: ...


class Watches:
    def __init__(self, deaths: Deaths, prober: Prober, usages: Usages) -> None:
        self._deaths = deaths
        self._prober = prober
        self._usages = usages
        self._seen: Mapping[str, WorkloadState] = {}
        self._processes: dict[str, dict[str, tuple[str, int]]] = {}
        self._probes: dict[str, dict[tuple[str, str], ProbeTarget]] = {}

    def sync(self, world: World) -> None:
        old, new = self._seen, world.workloads
        if old is new:
            return
        self._seen = new
        processes_moved = probes_moved = False
        gone = old.keys() - new.keys()
        for name in gone:
            processes_moved |= bool(self._processes.pop(name, None))
            probes_moved |= bool(self._probes.pop(name, None))
        for name, state in new.items():
            if old.get(name) is state:
                continue
            running = processes(state)
            if running != self._processes.get(name):
                self._processes[name] = running
                processes_moved = True
            targets = probes(state)
            if targets != self._probes.get(name):
                self._probes[name] = targets
                probes_moved = True
        if processes_moved:
            merged = {k: v for part in self._processes.values() for k, v in part.items()}
            self._deaths.sync(merged)
            self._usages.sync(merged)
        if probes_moved:
            self._prober.sync({k: v for part in self._probes.values() for k, v in part.items()})
        if gone:
            self._prober.keep(new)
