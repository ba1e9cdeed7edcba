"""kill -9 of a container's first process → it runs again, beside `podman run --restart=always`.

Running again is when the new first process has written to a pipe. Kills alternate between
ours and Podman's. Three moments: nothing else on the host; a hundred other workloads and
one that crash-loops; and a storm of all kinds of misbehaviour.
"""

from __future__ import annotations

import os
import random
import signal
import statistics
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.place import Place
from bench.process import cgroup, first_process, kill
from bench.table import Row, compared, spread

TRIALS = 20
LIVES = 0.5
"""Seconds that a victim runs between two kills: longer than its backoff's reset."""
ALWAYS = '[restart]\npolicy = "always"\nbackoff = { initial = "100ms", reset = "200ms" }\n'
"""Each kill is the first in a row: Podman has no backoff to compare with."""

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


Figures = dict[str, tuple[list[float], list[float]]]


def measure(place: Place, trials: int, when: str) -> Figures:
    figures: Figures = {}
    for network in ("none", "bridge"):
        victims = Victims(place, network)
        victims.up()
        try:
            figures[network] = victims.trials(trials)
        finally:
            victims.down()
        for who, seconds in zip(("nodeorch", "podman"), figures[network], strict=True):
            print(spread(f"recovery, {when}, {network}, {who}", seconds), flush=True)
    return figures


def quiet(place: Place, figures: dict[str, Figures]) -> list[Row]:
    figures["quiet"] = measure(place, TRIALS, "quiet")
    rows = []
    for network, (ours, theirs) in figures["quiet"].items():
        what = f"kill -9 → running again, network {network}"
        medians = statistics.median(ours) * 1000, statistics.median(theirs) * 1000
        rows.append(compared(what, *medians, "podman --restart=always", "ms", 1.3))
    return rows


def _against_quiet(what: str, figures: dict[str, Figures], when: str) -> list[Row]:
    rows = []
    for network, (ours, theirs) in figures[when].items():
        calm = figures["quiet"][network]
        now, before = statistics.median(ours) * 1000, statistics.median(calm[0]) * 1000
        rows.append(compared(f"{what}, network {network}", now, before, "quiet", "ms", 1.3))
        now, before = statistics.median(theirs) * 1000, statistics.median(calm[1]) * 1000
        rows.append(
            Row(
                "– Podman's own in the same moments",
                "–",
                f"{now:.3g} ms, quiet {before:.3g} ms",
                now / before,
            )
        )
    return rows


def crowded(place: Place, figures: dict[str, Figures]) -> list[Row]:
    """With a hundred others, which are up already, and one that crash-loops."""
    place.declare({"crasher": place.spec("crasher", CRASHES)})
    try:
        figures["crowded"] = measure(place, TRIALS, "100 others and a crash loop")
    finally:
        place.withdraw(["crasher"])
    return _against_quiet("the same, 100 others and a crash loop", figures, "crowded")


def storm(place: Place, figures: dict[str, Figures]) -> list[Row]:
    with _storm(place):
        figures["storm"] = measure(place, TRIALS, "storm")
    return _against_quiet("the same, in a storm", figures, "storm")


def _misbehaving(place: Place) -> dict[str, str]:
    """A crash loop, one deaf to TERM, a leak, a fork bomb at its limit, one that fills its log."""

    def spec(name: str, script: str, more: str = "") -> str:
        limits = f'[resources]\nmemory = "24MiB"\ncpu = 0.1\n{more}'
        return place.spec(name, ["sh", "-c", script], "none", limits)

    return {
        "crasher": place.spec("crasher", CRASHES, "none"),
        "deaf": spec("deaf", "trap '' TERM; while true; do sleep 1; done"),
        "leak": spec(
            "leak", "x=$(head -c 1000000 /dev/zero | tr '\\0' x); while true; do x=$x$x; done"
        ),
        "forks": spec("forks", "while true; do sleep 60 & done", "pids = 64\n"),
        "chatty": spec(
            "chatty", f"while true; do echo {'x' * 1000}; done", '[logs]\nmax_size = "1MiB"\n'
        ),
    }


@contextmanager
def _storm(place: Place) -> Iterator[None]:
    bad = _misbehaving(place)
    others = {f"other{n}": place.spec(f"other{n}", ["sleep", "1000000"], "none") for n in range(10)}
    place.declare(bad | others)
    groups = [cgroup(place.host.running(name)["instances"][0]["pid"]) for name in others]
    over = threading.Event()

    def kills() -> None:
        """About two a second, and a restart of the deaf one now and then."""
        dice = random.Random(1)
        while not over.wait(dice.uniform(0.2, 0.8)):
            if pid := first_process(dice.choice(groups)):
                os.kill(pid, signal.SIGKILL)
            if dice.random() < 0.1:
                place.host.client.post("/v1/workloads/deaf/restart")

    thread = threading.Thread(target=kills)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
        place.withdraw([*bad, *others])
