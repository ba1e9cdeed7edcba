"""Randomized runs: ``tests/chaos_hosts --runs N --seed S [--hosts N]``; exit 0 when all is well."""

from __future__ import annotations

import argparse
import contextlib
import random
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from tests.hosts.chaos_faults import Chaos, company
from tests.hosts.chaos_judge import BOUND, SETTLED, amiss, outages, restarts
from tests.hosts.fleet import Fleet
from tests.hosts.watch import Watch
from tests.lab.wait import wait_for


@dataclass
class Figures:
    """Of one run; times in seconds."""

    made: bool = True
    """False: it could not be made, and its times mean nothing."""
    settled: float = 0.0
    outage: float = 0.0
    """The longest."""
    doubled: float = 0.0
    """In sum, of all that is to have one copy."""
    wrong: list[str] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)


def run(fleet: Fleet, seed: int, faults: int) -> Figures:
    """One run. The fleet is whole before, and need not be afterwards."""
    chaos = Chaos(fleet, company(fleet.hosts), random.Random(seed))
    figures = Figures(counts=chaos.counts)
    for part in list(chaos.parts.values()):
        chaos.declare(part)
    _until_real(chaos)
    watched = {part.name: part.port for part in chaos.parts.values() if part.port is not None}
    with contextlib.ExitStack() as stack:
        watches = {n: stack.enter_context(Watch(fleet, port)) for n, port in watched.items()}
        for name, watch in watches.items():
            wait_for(watch.answers, 10, f"{name} answers")
        chaos.run(faults)
        chaos.heal()
        healed = time.monotonic()
        try:
            _until_real(chaos)
        except AssertionError as error:
            figures.wrong.append(str(error))
        figures.settled = time.monotonic() - healed
        settled = time.monotonic()
        time.sleep(2.0)
    for name, watch in watches.items():
        figures.outage = max([figures.outage, *outages(watch, chaos.moments)])
        figures.doubled += watch.doubled()
        figures.wrong += restarts(name, watch.answers(), chaos.moments)
        figures.wrong += _gone(name, watch, settled)
    if figures.outage > BOUND:
        figures.wrong.append(f"no copy for {figures.outage:.1f} s, not at most {BOUND:g}")
    if figures.wrong:
        for moment in chaos.moments:
            _say(f"    {moment.at - watch.begun:6.1f} s  {moment.words}")
    return figures


def _until_real(chaos: Chaos) -> None:
    wrong: list[str] = []

    def real() -> bool:
        wrong[:] = amiss(chaos.fleet, chaos.parts)
        return not wrong

    try:
        wait_for(real, SETTLED)
    except AssertionError:
        raise AssertionError("not as declared: " + "; ".join(wrong)) from None


def _gone(name: str, watch: Watch, settled: float) -> list[str]:
    """When all was as declared: one copy went on, and no second one came."""
    hosts = {each.host for each in watch.answers(settled)}
    if len(hosts) == 1 and watch.gap(settled) < 1.0:
        return []
    return [f"{name} did not stay where it was: {sorted(hosts)}, gap {watch.gap(settled):.1f} s"]


def main(words: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="tests/chaos_hosts", description=__doc__)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--seed", type=int, default=1, help="of the first run; then one more each")
    parser.add_argument("--hosts", type=int, default=3, choices=range(2, 10))
    parser.add_argument("--faults", type=int, default=4, help="in each run")
    asked = parser.parse_args(words)
    all_: list[Figures] = []
    fleet = Fleet(asked.hosts)
    try:
        fleet.up()
        for seed in range(asked.seed, asked.seed + asked.runs):
            if all_ and all_[-1].wrong:
                # What went wrong in one run shall not be counted in the next.
                fleet.close()
                fleet = Fleet(asked.hosts)
                fleet.up()
            all_.append(_told(fleet, seed, asked.faults))
    finally:
        fleet.close()
    _summary(all_)
    return 1 if any(figures.wrong for figures in all_) else 0


def _told(fleet: Fleet, seed: int, faults: int) -> Figures:
    try:
        fleet.reset()
        figures = run(fleet, seed, faults)
    except AssertionError as error:
        figures = Figures(made=False, wrong=[f"the run could not be made: {error}"])
    _say(
        f"seed {seed}: {'WRONG' if figures.wrong else 'well'}; settled {figures.settled:.1f} s, "
        f"longest outage {figures.outage:.1f} s, two copies for {figures.doubled:.1f} s; "
        + ", ".join(f"{n} × {what}" for what, n in sorted(figures.counts.items()))
    )
    for line in figures.wrong:
        _say(f"  WRONG: {line}")
    if figures.wrong:
        _say(fleet.scene())
    return figures


def _summary(all_: Sequence[Figures]) -> None:
    counts = sum((figures.counts for figures in all_), Counter[str]())
    for what, n in sorted(counts.items()):
        _say(f"  {n:5} × {what}")
    for name in ("settled", "outage", "doubled"):
        values = sorted(getattr(figures, name) for figures in all_ if figures.made) or [0.0]
        middle = values[len(values) // 2]
        _say(f"  {name}: min {values[0]:.1f}, median {middle:.1f}, max {values[-1]:.1f} s")
    bad = sum(1 for figures in all_ if figures.wrong)
    _say(f"{len(all_)} runs, {bad} of them WRONG" if bad else f"{len(all_)} runs, all well")


def _say(words: str) -> None:
    print(words, flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
