"""Run a soak: ``tests/soak --minutes N --seed S [--workloads N]``; exit 0 when all is well.

The first part of the time kills and freezes the daemon, too; in the second it lives on, so
that its memory, descriptors, threads and tasks can be followed.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from collections.abc import Sequence

from tests.lab import Lab, namespaces
from tests.soaking.cast import company, declare
from tests.soaking.chaos import Chaos
from tests.soaking.verdict import TOLD, held, leaks, lost_cgroups, scene, too_much, until_real
from tests.system.host import Host

HARSH = 0.5
"""Share of the time in which the daemon is killed, too."""

WARM = 0.3
"""Share of the rest after which its memory is first looked at."""


def soak(host: Host, minutes: float, seed: int, workloads: int) -> list[str]:
    """What is wrong in the end."""
    parts = company(workloads)
    for part in parts.values():
        declare(host, part)
    host.start()
    begun = time.monotonic()
    until_real(host, parts)
    _say(f"{workloads} workloads run after {time.monotonic() - begun:.1f} s")
    chaos = Chaos(host, parts, random.Random(seed))
    chaos.run(minutes * 60 * HARSH, harsh=True)
    until_real(host, parts)
    _say("declared is real after faults that end the daemon; from here on it lives")
    calm = minutes * 60 * (1 - HARSH)
    chaos.run(calm * WARM, harsh=False)
    before = held(host)
    chaos.run(calm * (1 - WARM), harsh=False)
    quiet = time.monotonic()
    until_real(host, parts)
    _say(f"declared is real {time.monotonic() - quiet:.1f} s after the last fault")
    soaked = held(host)
    wrong = leaks(host, parts)
    host.stop()
    host.start()
    until_real(host, parts)
    fresh = held(host)
    here = set(host.lab.podman("ps", "-aq", "--no-trunc").split())
    _say(f"  {len(lost_cgroups(host, here)):5} empty cgroups left by the engine")
    for name, count in sorted(chaos.counts.items()):
        _say(f"  {count:5} × {name.replace('_', ' ')}")
    for name, what in (("before", before), ("soaked", soaked), ("fresh", fresh)):
        _say(f"  {name}: {what}")
    return wrong + too_much(soaked, fresh, before)


def main(words: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="tests/soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--workloads", type=int, default=60)
    asked = parser.parse_args(words)
    namespaces.enter()
    lab = Lab()
    try:
        lab.up()
        host = Host(lab)
        host.program = ["-c", TOLD, str(host.dir / "tasks")]
        try:
            _say(f"seed {asked.seed}, {asked.minutes:g} minutes")
            wrong = soak(host, asked.minutes, asked.seed, asked.workloads)
        except AssertionError as error:
            wrong = [str(error)]
            _say(scene(host))
        finally:
            host.close()
    finally:
        lab.close()
    for line in wrong:
        _say(f"WRONG: {line}")
    _say("soak FAILED" if wrong else "soak passed")
    return 1 if wrong else 0


def _say(words: str) -> None:
    print(words, flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
