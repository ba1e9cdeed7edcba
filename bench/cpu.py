"""What the daemon uses while nothing happens: 100 workloads, an HTTP probe each every 10 s."""

from __future__ import annotations

from bench.place import Place
from bench.process import calm, cpu_share
from bench.table import Row

SECONDS = 60.0
MOST = 1.0


def measure(place: Place) -> list[Row]:
    calm()
    shares = cpu_share([place.host.pid, place.lab.service_pid], SECONDS)
    ours, theirs = (share * 100 for share in shares)
    return [
        Row(
            "CPU of the daemon, 100 workloads probed every 10 s",
            f"{ours:.2f} % of a core",
            f"{theirs:.2f} % (podman service, for us)",
            None,
            f"≤ {MOST:g} %",
            ours <= MOST,
        )
    ]
