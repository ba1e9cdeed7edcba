"""Workloads that misbehave in every way at once, around others whose recovery is measured."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.place import Place
from bench.process import cgroup, first_process
from bench.recovery import CRASHES, others


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
def storm(place: Place) -> Iterator[None]:
    """While those misbehave, and ten others are killed at random."""
    bad = _misbehaving(place)
    killed = {f"other{n}": place.spec(f"other{n}", ["sleep", "1000000"], "none") for n in range(10)}
    with others(place, bad | killed):
        groups = [cgroup(place.host.running(name)["instances"][0]["pid"]) for name in killed]
        over = threading.Event()
        thread = threading.Thread(target=_kills, args=(place, groups, over))
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()


def _kills(place: Place, groups: list[Path], over: threading.Event) -> None:
    """About two a second, and a restart of the deaf one now and then."""
    dice = random.Random(1)
    while not over.wait(dice.uniform(0.2, 0.8)):
        if pid := first_process(dice.choice(groups)):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        if dice.random() < 0.1:
            place.host.client.post("/v1/workloads/deaf/restart")
