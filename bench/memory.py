"""Proportional set size of the installed daemon, Podman's service beside it."""

from __future__ import annotations

import time

from bench.place import Place
from bench.process import pss
from bench.table import Row

SETTLE = 15.0
"""Seconds after which it is looked at: past the first samples of everything."""
MIB = 1 << 20


def measure(place: Place, workloads: int, most: int, when: str = "") -> list[Row]:
    time.sleep(SETTLE)
    ours, theirs = pss(place.host.pid) / MIB, pss(place.lab.service_pid) / MIB
    what = f"memory of the daemon, {workloads} workloads{when}"
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
