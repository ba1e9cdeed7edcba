"""A fleet of many hosts, simulated: the real functions, made-up hosts and workloads.

How well memory is used against what any packing could, how much moves against what has to, how
long a decision takes, and what hosts send each other.

    python -m bench.simulate [--hosts 1000] [--workloads 10000] [--losses 5] [--worlds 30] …
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from random import Random

import msgspec

from bench.simulate_fleet import Made, make, most, moves, placed
from bench.simulate_worlds import decide
from bench.table import Row, markdown
from nodeorch.decide.placement import Ask, Candidate, place
from nodeorch.model.fleet import Beat, Report, Running, Told

LEVELS = (0.5, 0.7, 0.9, 0.97)
TOO_MUCH = 1.1
"""Asked for as a share of what there is, to see how full the fleet gets."""
SCRATCH_S, LOSS_MS = 2.0, 50.0
SMALL_HOSTS = 50
"""Of a fleet of which every host is looked at."""
FULL = 0.98
"""Of the memory, to be used where more is asked for than there is."""

Seats = Mapping[str, Sequence[str]]
NOTHING: Seats = {}


class Plan(msgspec.Struct, frozen=True):
    """What to simulate."""

    hosts: int = 1000
    workloads: int = 10000
    losses: int = 5
    worlds: int = 30
    """How many hosts of the large fleet decide; those that take something over come first."""
    seed: int = 1


def placing(made: Made, plan: Plan) -> list[Row]:
    """The placement function alone, at several levels of use."""
    rows, asks = [], made.homeless
    for level in LEVELS:
        hosts = made.filled(level)
        seats, seconds = timed(asks, hosts)
        count, _ = placed(made.asks, seats)
        bound, _ = most(made.asks, sum(host.memory for host in hosts.values()))
        rows.append(
            Row(
                f"placing all from scratch, {level:.0%} of the memory asked for",
                f"{seconds:.2f} s",
                f"{count} of {bound} replicas placed",
                count / bound,
                f"≤ {SCRATCH_S:g} s",
                seconds <= SCRATCH_S,
            )
        )
        rows += losing(made, hosts, seats, plan, level)
    return [*rows, overfull(made)]


def losing(
    made: Made, hosts: dict[str, Candidate], seats: Seats, plan: Plan, level: float
) -> list[Row]:
    """Hosts are lost one after the other, then all come back."""
    left, times, moved, least, asks = dict(hosts), [], 0, 0, made.homeless
    random = Random(plan.seed)
    for lost in random.sample(sorted(hosts), min(plan.losses, len(hosts) - 1)):
        del left[lost]
        after, seconds = timed(asks, left, seats)
        times.append(seconds * 1000)
        moved += moves(seats, after)
        least += sum(held.count(lost) for held in seats.values())
        seats = after
    back = moves(seats, place(asks, hosts, seats).seats)
    middle = statistics.median(times)
    homeless = sum(held.count("") for held in seats.values())
    return [
        Row(
            f"after a host's loss, {level:.0%}",
            f"{middle:.0f} ms (median), {max(times):.0f} (max) of {len(times)}",
            f"{moved} moved of {least} on lost hosts, {homeless} without a place; "
            f"{back} when they came back",
            moved / max(1, least),
            f"≤ {LOSS_MS:g} ms, no other moved",
            middle <= LOSS_MS and moved <= least and back == 0,
        )
    ]


def overfull(made: Made) -> Row:
    hosts = made.filled(TOO_MUCH)
    room = sum(host.memory for host in hosts.values())
    seats, seconds = timed(made.homeless, hosts)
    _, used = placed(made.asks, seats)
    _, bound = most(made.asks, room)
    return Row(
        f"memory in use where {TOO_MUCH:.0%} of it is asked for",
        f"{used / room:.1%} ({seconds:.2f} s)",
        f"{bound / room:.1%} (no packing is better)",
        used / bound,
        f"≥ {FULL:.0%}",
        used / bound >= FULL,
    )


def exchanging(made: Made, plan: Plan) -> list[Row]:
    """Bytes on the links, as the bodies of messages: views are pulled, reports and beats sent."""
    views = [len(msgspec.json.encode(view)) for view in made.views.values()]
    others = len(views) - 1
    hosts = made.filled(0.7)
    seats = place(made.homeless, hosts).seats
    lost = Random(plan.seed).choice(sorted(hosts))
    left = {name: host for name, host in hosts.items() if name != lost}
    after = place(made.homeless, left, seats).seats
    takers = {host for name in after for host in set(after[name]) - set(seats[name])}
    told = sum(len(msgspec.msgpack.encode(Told(_report(h, made, after)))) for h in takers)
    beats = others * len(msgspec.msgpack.encode(Beat(silent=(lost,))))
    start = sum(views) * others / len(views)
    return [
        Row(
            "views that a host pulls when the fleet starts",
            kib(start),
            f"{kib(statistics.mean(views))} a view",
        ),
        Row(
            "pulled by each host when one spec changes: one view",
            kib(statistics.mean(views)),
            f"{kib(max(views))} the largest",
        ),
        Row(
            "received by each host after a host's loss",
            kib(told + beats),
            f"reports of {len(takers)} that took over {kib(told)}, beats {kib(beats)}, no view",
        ),
    ]


def _report(host: str, made: Made, seats: Seats) -> Report:
    running = {
        name: Running(
            home="",
            term=1,
            digest=made.views[home].declared[name].digest,
            slots=tuple(slot for slot, at in enumerate(seats[name]) if at == host),
        )
        for home, view in made.views.items()
        for name in view.declared
        if host in seats[name]
    }
    return Report(host=host, memory=made.hosts[host].memory, running=running)


def deciding(made: Made, plan: Plan) -> list[Row]:
    """Whole worlds, told of a loss: some of a large fleet, and all of a small one."""
    small = make(SMALL_HOSTS, SMALL_HOSTS * 10, plan.seed)
    rows = []
    for fleet, worlds in ((made, plan.worlds), (small, SMALL_HOSTS)):
        told = decide(fleet, 0.7, plan.seed, worlds)
        lost, taken = len(told.lost), len(told.lost & told.takers.keys())
        doubled = sum(count > 1 for count in told.takers.values())
        rows.append(
            Row(
                f"worlds of {len(told.seconds)} of {len(fleet.hosts)} hosts decide after a loss",
                f"{statistics.median(told.seconds) * 1000:.0f} ms (median), "
                f"{max(told.seconds) * 1000:.0f} (max)",
                f"{taken} of {lost} replicas taken, {doubled} twice, {told.moved} others moved",
                taken / max(1, lost),
                "all, once",
                (taken, doubled, told.moved) == (lost, 0, 0),
            )
        )
    return rows


STAGES: tuple[Callable[[Made, Plan], list[Row]], ...] = (placing, exchanging, deciding)


def measure(plan: Plan) -> list[Row]:
    made = make(plan.hosts, plan.workloads, plan.seed)
    replicas = sum(one.slots for one in made.asks)
    print(
        f"simulating {plan.hosts} hosts, {plan.workloads} workloads, {replicas} replicas, "
        f"seed {plan.seed}",
        flush=True,
    )
    return [row for stage in STAGES for row in stage(made, plan)]


def timed(
    asks: Sequence[Ask], hosts: Mapping[str, Candidate], before: Seats = NOTHING
) -> tuple[Seats, float]:
    """Seats, and the seconds that it took to find them."""
    begun = time.perf_counter()
    found = place(asks, hosts, before).seats
    return found, time.perf_counter() - begun


def kib(count: float) -> str:
    return f"{count / 1024:.1f} KiB" if count < 1 << 20 else f"{count / 1024 / 1024:.1f} MiB"


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.simulate", description=__doc__)
    for name, value in msgspec.structs.asdict(Plan()).items():
        parser.add_argument(f"--{name}", type=int, default=value)
    rows = measure(Plan(**vars(parser.parse_args(arguments))))
    print(f"\n{markdown(rows)}")
    return 0 if all(row.met is not False for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
