"""Measure what was promised, beside the bare engine or a peer, and print one table.

    sudo python -m bench [NAME…] [--venv DIR]

Names: recovery bulk memory cpu status api storm probes replan failover simulate; all by default.
Needs root, Podman, Serf, busybox-static and podman-compose; the daemon is installed as users have
it, into DIR, or into a folder that is removed in the end. What is measured: docs/benchmarks.md.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from bench import api, bulk, cpu, failover, memory, probes, replan, simulate, status
from bench.installed import install
from bench.place import MANY, Place
from bench.recovery import QUIET, STORM, Recovery
from bench.storm import storm
from bench.table import Row, markdown

ONE_HOST = ("recovery", "bulk", "memory", "cpu", "status", "api", "storm")
NAMES = (*ONE_HOST, "probes", "replan", "failover", "simulate")
NONE_MIB, MANY_MIB = 45, 55


def with_engine(place: Place, wanted: set[str]) -> list[Row]:
    rows: list[Row] = []
    recovery = Recovery(place)
    if "memory" in wanted:
        rows += memory.measure(place, 0, NONE_MIB)
    if wanted & {"recovery", "storm"}:
        recovery.measure(QUIET)
    if "storm" in wanted:
        with storm(place):
            recovery.measure(STORM)
    if "bulk" in wanted:
        rows += bulk.measure(place)
    if wanted & {"memory", "cpu", "status", "api", "recovery"}:
        with place.hundred():
            rows += with_hundred(place, wanted, recovery)
        if "recovery" in wanted:
            recovery.measure(QUIET)
    return recovery.rows() + rows


def with_hundred(place: Place, wanted: set[str], recovery: Recovery) -> list[Row]:
    rows: list[Row] = []
    if "memory" in wanted:
        rows += memory.measure(place, MANY, MANY_MIB)
    if "status" in wanted:
        rows += status.measure(place)
    if "api" in wanted:
        rows += api.measure(place)
    if "cpu" in wanted:
        rows += cpu.measure(place)
    if "recovery" in wanted:
        recovery.crowded()
    if "memory" in wanted and len(wanted) > 1:
        rows += memory.measure(place, MANY, MANY_MIB, ", after all else")
    return rows


def measure(wanted: set[str], venv: Path) -> list[Row]:
    rows: list[Row] = []
    if wanted.intersection(ONE_HOST):
        install(venv)
        place = Place(venv)
        try:
            rows += with_engine(place, wanted)
        except BaseException:
            print(place.host.journal(), file=sys.stderr)
            raise
        finally:
            place.close()
    if "probes" in wanted:
        rows += probes.measure()
    if "replan" in wanted:
        rows += replan.measure()
    if "failover" in wanted:
        rows += failover.measure()
    if "simulate" in wanted:
        rows += simulate.measure(simulate.Plan())
    return rows


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {' '.join(NAMES)}")
    parser.add_argument("--venv", type=Path, help="where to install the daemon; kept")
    options = parser.parse_args(arguments)
    wanted = set(options.names or NAMES)
    if unknown := wanted - set(NAMES):
        parser.error(f"cannot measure {', '.join(sorted(unknown))}: no such name")
    with tempfile.TemporaryDirectory(prefix="nodeorch-bench-", dir="/var/tmp") as folder:
        rows = measure(wanted, options.venv or Path(folder) / "venv")
    print(f"\n{markdown(rows)}")


if __name__ == "__main__":
    main(sys.argv[1:])
