"""The whole process of `nodeorch status` with 100 workloads, beside `podman ps`, in turns."""

from __future__ import annotations

import statistics
import subprocess
import time
from collections.abc import Mapping

from bench.place import Place
from bench.process import calm
from bench.table import Row, compared, spread

TRIALS = 20
MOST_MS = 150.0


def timed(command: list[str], env: Mapping[str, str]) -> float:
    begun = time.monotonic()
    subprocess.run(command, env=env, check=True, capture_output=True, stdin=subprocess.DEVNULL)
    return time.monotonic() - begun


def measure(place: Place) -> list[Row]:
    calm()
    mine = [str(place.host.venv / "bin/nodeorch"), "--socket", str(place.host.socket), "status"]
    theirs = [*place.lab.command, "ps"]
    ours, others = [], []
    for _ in range(TRIALS):
        ours.append(timed(mine, place.host.env))
        others.append(timed(theirs, place.lab.env))
    print(spread("nodeorch status", ours))
    print(spread("podman ps", others), flush=True)
    middle = statistics.median(ours) * 1000
    what = "`nodeorch status`, 100 workloads, whole process"
    row = compared(what, middle, statistics.median(others) * 1000, "podman ps", "ms", 2.0)
    met = bool(row.met) and middle <= MOST_MS
    return [row._replace(bar=f"≤ {MOST_MS:g} ms and ≤ 2 ×", met=met)]
