"""kill -9 of a container's first process → it runs again, beside `podman run --restart=always`.

Running again is when the new first process has written to a pipe. Kills alternate between
ours and Podman's. Three moments: nothing else on the host, before and after all else; a
hundred other workloads and one that crash-loops; a storm of all kinds of misbehaviour.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.place import Place
from bench.process import calm, cgroup, kill
from bench.table import Row, compared, spread

NETWORKS = ("none", "bridge")
TRIALS = 20
LIVES = 0.5
"""Seconds that a victim runs between two kills: longer than its backoff's reset."""
ALWAYS = '[restart]\npolicy = "always"\nbackoff = { initial = "100ms", reset = "200ms" }\n'
"""Each kill is the first in a row: Podman has no backoff to compare with."""

QUIET, CROWD, STORM = "quiet", "100 others and a crash loop", "in a storm"

CRASHES = ["sh", "-c", "sleep 0.2; exit 1"]


class Victims:
    """Two of one kind: ours and Podman's."""

    def __init__(self, place: Place, network: str) -> None:
        self.place = place
        self.network = network
        self.ours, self.theirs = f"ours-{network}", f"theirs-{network}"
        self.cgroups: dict[str, Path] = {}

    def up(self) -> None:
        place = self.place
        command = place.beats.command(self.ours)
        place.declare({self.ours: place.spec(self.ours, command, self.network, ALWAYS)})
        place.beats.wait(self.ours)
        self.cgroups[self.ours] = cgroup(place.host.running(self.ours)["instances"][0]["pid"])
        command = place.beats.command(self.theirs)
        run = place.run_command(self.theirs, command, self.network, "--restart=always")
        place.lab.podman(*run[len(place.lab.command) :])
        place.beats.wait(self.theirs)
        self.cgroups[self.theirs] = cgroup(place.lab.pid(self.theirs))

    def down(self) -> None:
        self.place.remove([self.theirs])
        self.place.withdraw([self.ours])

    def trial(self, name: str) -> float:
        self.place.beats.drain(name)
        begun = kill(self.cgroups[name])
        return self.place.beats.wait(name) - begun

    def trials(self, count: int) -> tuple[list[float], list[float]]:
        """Seconds (ours, theirs), in turns."""
        ours, theirs = [], []
        for _ in range(count):
            time.sleep(LIVES)
            ours.append(self.trial(self.ours))
            time.sleep(LIVES)
            theirs.append(self.trial(self.theirs))
        return ours, theirs


class Recovery:
    """Collects what was measured in each moment; the quiet one may come several times."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._taken: dict[tuple[str, str], tuple[list[float], list[float]]] = {}

    def measure(self, moment: str) -> None:
        for network in NETWORKS:
            if moment != STORM:
                calm()
            victims = Victims(self._place, network)
            victims.up()
            try:
                taken = victims.trials(TRIALS)
            finally:
                victims.down()
            kept = self._taken.setdefault((moment, network), ([], []))
            for who, old, new in zip(("nodeorch", "podman"), kept, taken, strict=True):
                old += new
                print(spread(f"recovery, {moment}, {network}, {who}", new), flush=True)

    def crowded(self) -> None:
        """With a hundred others, which are up already, and one that crash-loops."""
        with others(self._place, {"crasher": self._place.spec("crasher", CRASHES)}):
            self.measure(CROWD)

    def rows(self) -> list[Row]:
        rows: list[Row] = []
        for moment in (QUIET, CROWD, STORM):
            for network in NETWORKS:
                if (moment, network) in self._taken:
                    rows += self._rows(moment, network)
        return rows

    def _rows(self, moment: str, network: str) -> list[Row]:
        ours, theirs = self._medians(moment, network)
        calm, their_calm = self._medians(QUIET, network)
        what = f"kill -9 → running again, {moment}, network {network}"
        against_podman = compared(what, ours, theirs, "podman --restart=always", "ms", 1.3)
        own = f"Podman's own: × {theirs / their_calm:.2f}"
        if moment == QUIET:
            return [against_podman]
        if moment == CROWD:
            row = compared(what, ours, calm, "quiet", "ms", 1.3)
            return [row._replace(other=f"{row.other}; {own}")]
        row = compared("– against its quiet figure", ours, calm, "quiet", "ms")
        return [against_podman, row._replace(other=f"{row.other}; {own}")]

    def _medians(self, moment: str, network: str) -> tuple[float, float]:
        """Milliseconds (ours, theirs)."""
        ours, theirs = self._taken[moment, network]
        return statistics.median(ours) * 1000, statistics.median(theirs) * 1000


@contextmanager
def others(place: Place, specs: dict[str, str]) -> Iterator[None]:
    """While these workloads are there, too."""
    place.declare(specs)
    try:
        yield
    finally:
        place.withdraw(list(specs))
