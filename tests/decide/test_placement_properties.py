"""Placement over random fleets: rules are kept, nothing moves without need, all hosts agree."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from collections.abc import Mapping, Sequence

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from nodeorch.decide.placement import Ask, Candidate, Placement, place, refusals
from nodeorch.decide.placement.rank import PRIME, cost, key, weight

HOSTS = ("h1", "h2", "h3", "h4", "h5")
NAMES = ("a", "b", "c", "d", "e", "f")
ZONES = ("x", "y", "z")

candidates = st.lists(
    st.builds(
        Candidate,
        name=st.sampled_from(HOSTS),
        memory=st.integers(0, 30),
        labels=st.sampled_from([{}, *({"zone": zone} for zone in ZONES)]),
        names=st.frozensets(st.sampled_from(NAMES), max_size=1),
        ports=st.frozensets(st.integers(1, 3), max_size=1),
    ),
    unique_by=lambda host: host.name,
    max_size=5,
)
wishes = st.lists(
    st.builds(
        Ask,
        name=st.sampled_from(NAMES),
        slots=st.integers(0, 4),
        memory=st.integers(0, 12),
        home=st.sampled_from(("", *HOSTS)),
        together=st.booleans(),
        every_host=st.sampled_from((False, False, False, True)),
        constraints=st.sampled_from([{}, {}, {"zone": ("x",)}, {"zone": ("y", "z")}]),
        spread=st.sampled_from(("host", "zone")),
        avoid=st.lists(st.sampled_from(NAMES), max_size=1).map(tuple),
        prefer=st.lists(st.sampled_from(HOSTS), max_size=2, unique=True).map(tuple),
        ports=st.sampled_from((frozenset[int](), frozenset({1}), frozenset({2, 3}))),
        priority=st.integers(0, 2),
    ).map(lambda ask: replace(ask, avoid=tuple(n for n in ask.avoid if n != ask.name))),
    unique_by=lambda ask: ask.name,
    max_size=6,
)
holdings = st.dictionaries(
    st.sampled_from(NAMES), st.lists(st.sampled_from(("", *HOSTS)), max_size=5).map(tuple)
)


def by_name(hosts: Sequence[Candidate]) -> dict[str, Candidate]:
    return {host.name: host for host in hosts}


def again(placement: Placement) -> dict[str, tuple[str, ...]]:
    """What it placed, as that is held afterwards."""
    return {**placement.seats, **placement.everywhere}


def allowed(ask: Ask, host: Candidate) -> bool:
    home = host.name == ask.home
    labels = all(host.labels.get(label) in values for label, values in ask.constraints.items())
    return (labels or (home and ask.together)) and (home or ask.name not in host.names)


def used(asks: Sequence[Ask], held: Mapping[str, Sequence[str]]) -> Counter[str]:
    sums: Counter[str] = Counter()
    for ask in asks:
        for host in held.get(ask.name, ()):
            sums[host] += ask.memory * (ask.slots if ask.every_host else 1)
    return sums


@given(wishes, candidates, holdings)
def test_rules_are_kept_and_what_is_validly_held_stays(
    asks: list[Ask], hosts: list[Candidate], before: dict[str, tuple[str, ...]]
) -> None:
    fleet = by_name(hosts)
    after = again(place(asks, fleet, before))
    sums = used(asks, after)
    wished = {ask.name: ask for ask in asks}
    fresh: dict[str, Counter[str]] = {}
    for ask in asks:
        here = after[ask.name]
        was = before.get(ask.name, ())
        assert ask.every_host or len(here) == ask.slots
        for slot, name in enumerate(was[: ask.slots]):
            valid = name in fleet and allowed(ask, fleet[name])
            if valid and not (ask.together or ask.every_host):
                assert here[slot] == name
        if ask.together and not ask.every_host:
            assert len(set(here) - {""}) <= 1
        assert all(allowed(ask, fleet[name]) for name in here if name)
        fresh[ask.name] = Counter(name for name in here if name) - Counter(was)
    for name, hosts_of_it in fresh.items():
        ask = wished[name]
        for host in hosts_of_it:
            if ask.together and host in before.get(name, ()):
                continue  # the rest joins those that are there, which nobody asked to move
            assert not ask.memory or not ask.slots or sums[host] <= fleet[host].memory
            assert not ask.ports & fleet[host].ports
            for other in asks:
                if host not in after[other.name]:
                    continue
                assert other.name not in ask.avoid
                assert name not in other.avoid
                if other is not ask or not ask.together:
                    assert other is ask or not ask.ports & other.ports
            if ask.ports and not ask.together and not ask.every_host:
                assert after[name].count(host) == 1


@given(wishes, candidates, holdings, st.randoms(use_true_random=False))
def test_the_order_of_asks_and_hosts_does_not_matter(
    asks: list[Ask], hosts: list[Candidate], before: dict[str, tuple[str, ...]], random: object
) -> None:
    found = place(asks, by_name(hosts), before)
    random.shuffle(asks)  # type: ignore[attr-defined]
    random.shuffle(hosts)  # type: ignore[attr-defined]
    assert place(asks, by_name(hosts), before) == found


@given(wishes, candidates, holdings)
def test_a_placement_is_stable_and_a_lost_host_moves_only_its_own(
    asks: list[Ask], hosts: list[Candidate], before: dict[str, tuple[str, ...]]
) -> None:
    fleet = by_name(hosts)
    first = place(asks, fleet, before)
    assert place(asks, fleet, again(first)) == first
    for lost in fleet:
        rest = {name: host for name, host in fleet.items() if name != lost}
        after = again(place(asks, rest, again(first)))
        for name, held in again(first).items():
            kept = [host for host in held if host not in (lost, "")]
            assert not Counter(kept) - Counter(after[name])
            assert lost not in after[name]


@given(wishes, candidates, holdings)
def test_a_new_host_moves_nothing(
    asks: list[Ask], hosts: list[Candidate], before: dict[str, tuple[str, ...]]
) -> None:
    for late in hosts:
        fleet = by_name([host for host in hosts if host is not late])
        first = again(place(asks, fleet, before))
        after = again(place(asks, by_name(hosts), first))
        for name, held in first.items():
            assert not Counter(filter(None, held)) - Counter(after[name])


plain = st.lists(
    st.builds(
        Ask,
        name=st.text("abcdef", min_size=1, max_size=4),
        slots=st.integers(1, 9),
        memory=st.integers(0, 9),
        together=st.booleans(),
        constraints=st.sampled_from([{}, {"zone": ("x", "y")}]),
    ),
    unique_by=lambda ask: ask.name,
    max_size=6,
)


@given(plain, st.dictionaries(st.text("hij", min_size=1), st.integers(40, 50), max_size=9))
def test_without_a_past_too_a_lost_host_moves_only_its_own(
    asks: list[Ask], sizes: dict[str, int]
) -> None:
    fleet = {
        name: Candidate(name, 1 << bits, labels={"zone": ZONES[bits % 3]})
        for name, bits in sizes.items()
    }
    first = place(asks, fleet).seats
    for lost in fleet:
        rest = {name: host for name, host in fleet.items() if name != lost}
        after = place(asks, rest).seats
        for name, held in first.items():
            stayed = Counter(filter(None, held)) - Counter({lost: 99})
            assert not stayed - Counter(after[name])


@given(
    st.lists(st.integers(0, 2), max_size=20),
    st.lists(st.integers(0, 40), min_size=1, max_size=5),
    st.integers(1, 9),
)
def test_equal_asks_fill_all_the_room_the_highest_priority_first(
    priorities: list[int], sizes: list[int], memory: int
) -> None:
    fleet = by_name([Candidate(f"h{i}", size) for i, size in enumerate(sizes)])
    asks = [Ask(f"w{i}", 1, memory, priority=p) for i, p in enumerate(priorities)]
    seats = place(asks, fleet).seats
    placed = [ask.priority for ask in asks if seats[ask.name] != ("",)]
    room = sum(size // memory for size in sizes)
    assert sorted(placed, reverse=True) == sorted(priorities, reverse=True)[:room]


@given(wishes, candidates, holdings)
def test_what_finds_no_place_is_refused_by_every_host(
    asks: list[Ask], hosts: list[Candidate], before: dict[str, tuple[str, ...]]
) -> None:
    fleet = by_name(hosts)
    found = place(asks, fleet, before)
    for ask in asks:
        if ask.every_host or not ask.slots:
            continue
        seats = found.seats[ask.name]
        if "" in seats and not (ask.together and any(seats)):
            assert refusals(ask, fleet, found, asks).keys() == fleet.keys()


@given(
    st.integers(1, 5),
    st.sampled_from(("host", "zone")),
    st.lists(st.sampled_from(HOSTS), max_size=2, unique=True),
    candidates,
    st.lists(st.sampled_from(HOSTS), max_size=8),
)
def test_the_choice_is_the_best_of_all_by_the_stated_order(
    slots: int, spread: str, prefer: list[str], hosts: list[Candidate], full: list[str]
) -> None:
    """The shortcuts of the search against a plain minimum over all hosts."""
    fleet = by_name([replace(host, names=frozenset(), ports=frozenset()) for host in hosts])
    ask = Ask("web", slots, 4, spread=spread, prefer=tuple(prefer))
    other = Ask("other", len(full), 3)
    seats = place([ask, other], fleet, {"other": full}).seats
    sums = Counter(name for name in seats["other"] if name)
    sums = Counter({name: count * 3 for name, count in sums.items()})
    demand, room = 4 * slots + 3 * len(full), max(1, sum(h.memory for h in fleet.values()))
    count, values = Counter[str](), Counter[str]()

    def order(host: Candidate) -> tuple[object, ...]:
        share = host.memory * demand * 5 // (4 * room)
        too_full = sums[host.name] + 4 > min(host.memory, max(host.memory // 2, share))
        number = key("host", host.name) * key("workload", "web") % PRIME
        return (
            prefer.index(host.name) if host.name in prefer else len(prefer),
            values[host.labels.get("zone", "")] if spread == "zone" else 0,
            count[host.name],
            too_full,
            sums[host.name] / host.memory if too_full else 0,
            cost(number, weight(host.memory)),
        )

    if len([name for name in full if name in fleet]) < len(full):
        return  # the other's lost replicas are placed too: that is not what is looked at here
    for name in seats["web"]:
        fitting = [h for h in fleet.values() if sums[h.name] + 4 <= h.memory]
        best = min(fitting, key=order).name if fitting else ""
        assert name == best
        if best:
            sums[best] += 4
            count[best] += 1
            values[fleet[best].labels.get("zone", "")] += 1


SCRIPT = """
from nodeorch.decide.placement import Ask, Candidate, place
hosts = {f"h{i}": Candidate(f"h{i}", 40 + i % 7, {"zone": "xyz"[i % 3]}) for i in range(40)}
asks = [Ask(f"w{i}", 1 + i % 3, 1 + i % 5, avoid=(f"w{i - 9}",), spread="zone") for i in range(150)]
print(sorted(place(asks, hosts).seats.items()))
"""


def test_every_process_finds_the_same() -> None:
    found = {
        subprocess.run(
            [sys.executable, "-c", SCRIPT],
            env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": os.pathsep.join(sys.path)},
            check=True,
            capture_output=True,
            timeout=60,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(found) == 1


def test_shares_follow_the_memory_of_hosts() -> None:
    sizes = {"h1": 1, "h2": 2, "h3": 4}
    fleet = {name: Candidate(name, size << 40) for name, size in sizes.items()}
    seats = place([Ask(f"w{i}", 1, 1) for i in range(7000)], fleet).seats
    counts = Counter(host for (host,) in seats.values())
    for name, size in sizes.items():
        assert abs(counts[name] - 1000 * size) < 150, counts
