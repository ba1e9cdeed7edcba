"""How long GET /v1/status takes under 50 requests a second, with 100 workloads.

An open loop: requests are sent at their times, whether or not earlier ones were answered,
each on a connection of its own, and timed from before the connection to the last byte.
The engine's own listing over its socket is asked in the same way, in a run of its own.
"""

from __future__ import annotations

import socket
import statistics
import time
from concurrent.futures import ThreadPoolExecutor

from bench.place import Place
from bench.process import calm
from bench.table import Row, spread

RATE = 50
SECONDS = 20
MOST_MS = 10.0


def request(path: str, target: str) -> float:
    begun = time.monotonic()
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(path)
        words = f"GET {target} HTTP/1.1\r\nHost: d\r\nConnection: close\r\n\r\n"
        connection.sendall(words.encode())
        status = connection.recv(1 << 20)
        while connection.recv(1 << 20):
            pass
    assert status.startswith(b"HTTP/1.1 200"), status[:80]
    return time.monotonic() - begun


def load(path: str, target: str, seconds: int) -> list[float]:
    begun = time.monotonic()
    with ThreadPoolExecutor(16) as pool:
        futures = []
        for number in range(RATE * seconds):
            time.sleep(max(0.0, begun + number / RATE - time.monotonic()))
            futures.append(pool.submit(request, path, target))
        return sorted(future.result() for future in futures)


def p99(seconds: list[float]) -> float:
    return seconds[int(len(seconds) * 0.99)]


def measure(place: Place) -> list[Row]:
    calm()
    ours = load(str(place.host.socket), "/v1/status", SECONDS)
    theirs = load(place.lab.socket, "/v4.0.0/libpod/containers/json", SECONDS // 4)
    print(spread("GET /v1/status", ours))
    print(spread("GET containers/json of Podman", theirs), flush=True)
    mine, other = p99(ours) * 1000, p99(theirs) * 1000
    middle = statistics.median(ours) * 1000
    return [
        Row(
            f"GET status under {RATE} requests/s, 100 workloads, p99",
            f"{mine:.1f} ms (median {middle:.1f})",
            f"{other:.0f} ms (Podman's listing)",
            mine / other,
            f"≤ {MOST_MS:g} ms",
            mine <= MOST_MS,
        )
    ]
