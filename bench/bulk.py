"""Thirty workloads at once → all running, beside `podman run` and podman-compose.

All are on the bridge network, with the safe options, from the same image. They run when
the first process of each has written to its pipe. Rounds of all ways take turns.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from bench.beats import TARGET
from bench.place import IMAGE, Place
from bench.process import calm
from bench.table import Row, compared, spread

COUNT = 30
ROUNDS = 5
PEER_ROUNDS = 2
"""podman-compose needs half a minute: it sleeps for a second after each container."""
CONCURRENCY = (1, 4, 8)
PEER = "podman-compose"
NAMES = [f"b{n}" for n in range(COUNT)]


def ours(place: Place) -> float:
    specs = {name: place.spec(name, place.beats.command(name)) for name in NAMES}
    begun = place.declare(specs)
    taken = place.beats.wait_all(NAMES) - begun
    place.withdraw(NAMES)
    return taken


def run(place: Place, concurrency: int) -> float:
    """`podman run` of each, so many at a time."""
    commands = [
        place.run_command(name, place.beats.command(name), "bridge", "--restart=always")
        for name in NAMES
    ]

    def one(command: list[str]) -> None:
        process = place.popen(command)
        _, errors = process.communicate()
        if process.returncode != 0:
            raise AssertionError(errors.decode())

    begun = time.monotonic()
    with ThreadPoolExecutor(concurrency) as pool:
        list(pool.map(one, commands))
    taken = place.beats.wait_all(NAMES) - begun
    place.remove(NAMES)
    return taken


def compose(place: Place) -> float:
    """podman-compose of the same thirty, on its project's network, as it does by itself."""
    services = {
        name: {
            "image": IMAGE,
            "container_name": name,
            "command": place.beats.command(name),
            "restart": "always",
            "read_only": True,
            "cap_drop": ["all"],
            "security_opt": ["no-new-privileges"],
            "mem_limit": "256m",
            "volumes": [f"{place.beats.folder}:{TARGET}"],
        }
        for name in NAMES
    }
    folder = place.host.dir / "thirty"
    folder.mkdir(exist_ok=True)
    (folder / "compose.yml").write_text(json.dumps({"version": "3", "services": services}))
    command = ["podman-compose", f"--podman-path={wrapper(place)}", "-f", "compose.yml"]
    begun = time.monotonic()
    subprocess.run(
        [*command, "up", "-d"],
        cwd=folder,
        check=True,
        capture_output=True,
        stdin=subprocess.DEVNULL,
    )
    taken = place.beats.wait_all(NAMES) - begun
    place.remove(NAMES)
    place.lab.podman("pod", "rm", "-f", "-a")
    return taken


def wrapper(place: Place) -> str:
    """A `podman` that is the private one."""
    path = place.host.dir / "podman"
    conf = place.lab.env["CONTAINERS_CONF"]
    words = " ".join(place.lab.command)
    path.write_text(f'#!/bin/sh\nCONTAINERS_CONF={conf} exec {words} "$@"\n')
    path.chmod(0o755)
    return str(path)


def measure(place: Place) -> list[Row]:
    calm()
    ways: dict[str, Callable[[], float]] = {"nodeorch": lambda: ours(place)}
    for number in CONCURRENCY:
        ways[f"podman run, {number} at a time"] = lambda number=number: run(place, number)  # type: ignore[misc]
    ways[PEER] = lambda: compose(place)
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for turn in range(ROUNDS):
        for name, way in ways.items():
            if name != PEER or turn < PEER_ROUNDS:
                seconds[name].append(way())
    for name, figures in seconds.items():
        print(spread(f"30 workloads, {name}", figures), flush=True)
    medians = {name: statistics.median(figures) for name, figures in seconds.items()}
    mine, peer = medians.pop("nodeorch"), medians.pop(PEER)
    best = min(medians, key=lambda name: medians[name])
    return [
        compared("30 specs dropped → all running", mine, medians[best], f"best: {best}", "s", 1.15),
        compared("the same", mine, peer, PEER, "s", 1.0),
    ]
