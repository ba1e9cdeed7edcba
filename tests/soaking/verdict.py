"""What must be so when the faults are over: declared is real, and nothing was left behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.lab.wait import wait_for
from tests.soaking.cast import Part
from tests.system.host import Host
from tests.system.kit import events

CONVERGED = 120.0
"""Seconds in which all that is declared has to be real."""
SPARE = {"fds": 12, "threads": 8, "tasks": 12, "mib": 6.0}
"""How much more than a fresh daemon a soaked one may hold: connections, threads in a pool, the
last hour's figures, a heap with holes."""
GROWTH_MIB = 3.0
"""From the first look at a warm daemon to the last."""
MIB = 1 << 20

TOLD = """\
import asyncio, signal, sys
file = sys.argv.pop(1)
def tell(*_):
    open(file, "w").write(str(len(asyncio.all_tasks())))
signal.signal(signal.SIGUSR2, tell)
from nodeorch.daemon.main import main
main()
"""
"""The daemon, which writes the number of its tasks into a file when it is sent USR2."""


@dataclass(frozen=True)
class Held:
    """What a daemon holds at a moment."""

    fds: int
    threads: int
    tasks: int
    mib: float
    """Proportional set size."""


def held(host: Host) -> Held:
    proc = Path(f"/proc/{host.pid}")
    tasks = host.dir / "tasks"
    tasks.unlink(missing_ok=True)
    os.kill(host.pid, signal.SIGUSR2)
    wait_for(lambda: tasks.exists() and tasks.read_text(), 20, "the daemon tells its tasks")
    rollup = (proc / "smaps_rollup").read_text().splitlines()
    pss = next(int(line.split()[1]) for line in rollup if line.startswith("Pss:"))
    return Held(
        fds=len(list((proc / "fd").iterdir())),
        threads=len(list((proc / "task").iterdir())),
        tasks=int(tasks.read_text()),
        mib=pss * 1024 / MIB,
    )


def until_real(host: Host, parts: Mapping[str, Part]) -> None:
    """All that is declared runs; what ends of itself is at least being kept up."""
    wrong: list[str] = []

    def real() -> bool:
        wrong[:] = _amiss(host, parts)
        return not wrong

    try:
        wait_for(real, CONVERGED)
    except AssertionError:
        raise AssertionError("not real: " + "; ".join(wrong)) from None


def _amiss(host: Host, parts: Mapping[str, Part]) -> list[str]:
    views = {view["name"]: view for view in host.status()}
    wrong = [f"{name} is not declared" for name in views.keys() - parts.keys()]
    for name, part in parts.items():
        view = views.get(name)
        if view is not None and view["stopped_by_operator"]:
            host.client.post(f"/v1/workloads/{name}/start")
        if view is None:
            wrong.append(f"{name} is missing")
        elif len(view["instances"]) != part.replicas:
            wrong.append(f"{name} has {len(view['instances'])} instances")
        elif part.steady and (view["ready"] != part.replicas or view["state"] != "running"):
            wrong.append(f"{name} is {view['state']}: {view['reason']}")
    return wrong


def leaks(host: Host, parts: Mapping[str, Part]) -> list[str]:
    """What is on the host and belongs to nothing declared."""
    instances = {i["name"]: i["container_id"] for v in host.status() for i in v["instances"]}
    found = []
    rows = json.loads(host.lab.podman("ps", "-a", "--format", "json") or "[]")
    for row in rows:
        if instances.get(row["Names"][0]) != row["Id"]:
            found.append(f"container {row['Names'][0]} {row['Id'][:12]} is nobody's")
    networks = host.lab.podman("network", "ls", "-q").split()
    found += [f"network {name}" for name in networks if name != "podman"]
    found += [f"volume {name}" for name in host.lab.podman("volume", "ls", "-q").split()]
    ours = {row["Id"] for row in rows}
    found += [
        f"{_words(pid)} of {owner[:12]}, which was {_known(host)[owner]}"
        for owner, group in lost_cgroups(host, ours)
        for pid in (group / "cgroup.procs").read_text().split()
    ]
    internal = [e["words"] for e in events(host) if "internal error" in e["words"]]
    return found + internal


def _words(pid: str) -> str:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[:2]
        return f"process {pid} {Path(f'/proc/{pid}/cmdline').read_text()!r} {state}"
    except OSError:
        return f"process {pid}, which has just ended,"


def lost_cgroups(host: Host, ours: set[str]) -> list[tuple[str, Path]]:
    """Cgroups of containers that are gone. An engine under fire leaves empty ones."""
    known = _known(host)
    groups = Path("/sys/fs/cgroup").glob("pids/libpod_parent/libpod-*")
    owned = [(group.name.rpartition("-")[2].removesuffix(".scope"), group) for group in groups]
    return [(owner, group) for owner, group in owned if owner in known and owner not in ours]


def _known(host: Host) -> dict[str, str]:
    """What became of each container that this host's engine ever had: others' are not ours."""
    log = host.lab.dir / "tmp" / "events" / "events.log"
    known: dict[str, str] = {}
    for line in log.read_text().splitlines() if log.exists() else []:
        event = json.loads(line)
        if event.get("Type") == "container":
            before = known.get(event["ID"], event["Name"])
            known[event["ID"]] = f"{before}, {event['Status']}"
    return known


def too_much(soaked: Held, fresh: Held, before: Held) -> list[str]:
    """``before`` and ``soaked`` are one daemon's; ``fresh`` its successor's, same workloads."""
    wrong = [
        f"{what}: {getattr(soaked, what)}, a fresh daemon has {getattr(fresh, what)}"
        for what, spare in SPARE.items()
        if getattr(soaked, what) > getattr(fresh, what) + spare
    ]
    if soaked.mib > before.mib + GROWTH_MIB:
        wrong.append(f"memory grew from {before.mib:.1f} to {soaked.mib:.1f} MiB")
    return wrong


def scene(host: Host) -> str:
    """What the host looks like, for whoever reads of a failure."""
    listeners = subprocess.run(["ss", "-ltnp"], capture_output=True, text=True).stdout
    return f"{host.journal()}\n{host.lab.podman('ps', '-a')}\n{listeners}"
