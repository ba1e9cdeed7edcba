"""Proportional set size of the installed daemon, Podman's service beside it."""

from __future__ import annotations

import time

from bench.place import Place
from bench.process import memory
from bench.table import Row

SETTLE = 15.0
"""Seconds after which it is looked at: past the first samples of everything."""


def measure(place: Place, workloads: int, most: int, when: str = "") -> list[Row]:
    time.sleep(SETTLE)
    ours, resident = memory(place.host.pid)
    theirs, _ = memory(place.lab.service_pid)
    what = f"memory of the daemon, {workloads} workloads{when}"
    print(f"{what}: PSS {ours:.1f} MiB, RSS {resident:.1f} MiB", flush=True)
    return [
        Row(
            what,
            f"{ours:.1f} MiB",
            f"{theirs:.1f} MiB (podman service)",
            ours / theirs,
            f"≤ {most} MiB",
            ours <= most,
        )
    ]
