"""Where movable workloads run: rules, order of preferences, what stays, and the words for it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from nodeorch.decide.placement import Ask, Candidate, Placement, place, refusals

MIB = 1 << 20


def fleet(*hosts: Candidate) -> dict[str, Candidate]:
    return {host.name: host for host in hosts}


def zoned(**zones: str) -> dict[str, Candidate]:
    return fleet(
        *(Candidate(name, 1024 * MIB, labels={"zone": zone}) for name, zone in zones.items())
    )


def seats(
    asks: list[Ask], hosts: Mapping[str, Candidate], **before: tuple[str, ...]
) -> Mapping[str, tuple[str, ...]]:
    return place(asks, hosts, before).seats


THREE = zoned(h1="a", h2="b", h3="c")


def test_a_label_has_to_have_one_of_the_wanted_values() -> None:
    for value, host in (("a", "h1"), ("b", "h2"), ("c", "h3")):
        ask = Ask("web", 1, MIB, constraints={"zone": (value,)})
        assert seats([ask], THREE) == {"web": (host,)}
    nowhere = Ask("web", 1, MIB, constraints={"zone": ("d",)})
    assert seats([nowhere], THREE) == {"web": ("",)}


def test_what_is_held_where_a_label_forbids_it_moves() -> None:
    ask = Ask("web", 2, MIB, constraints={"zone": ("a", "b")})
    assert set(seats([ask], THREE, web=("h3", "h1"))["web"]) == {"h1", "h2"}
    assert seats([ask], THREE, web=("h3", "h1"))["web"][1] == "h1"


def test_together_at_home_stays_whatever_the_labels_say() -> None:
    ask = Ask("db", 2, MIB, home="h1", together=True, constraints={"zone": ("c",)})
    assert seats([ask], THREE, db=("h1", "h1")) == {"db": ("h1", "h1")}
    assert seats([ask], THREE) == {"db": ("h1", "h1")}
    assert seats([ask], THREE, db=("h2", "h2")) == {"db": ("h1", "h1")}
    del (hosts := dict(THREE))["h1"]
    assert seats([ask], hosts, db=("h1", "h1")) == {"db": ("h3", "h3")}


def test_a_host_that_declares_the_name_itself_does_not_run_another_homes() -> None:
    hosts = fleet(Candidate("h1", 100, names=frozenset({"web"})), Candidate("h2", 100))
    assert seats([Ask("web", 1, 1, home="h3")], hosts, web=("h1",)) == {"web": ("h2",)}
    del hosts["h2"]
    assert seats([Ask("web", 1, 1, home="h3")], hosts) == {"web": ("",)}
    assert seats([Ask("web", 1, 1, home="h1")], hosts) == {"web": ("h1",)}


def test_avoided_by_either_they_share_no_host() -> None:
    hosts = zoned(h1="a", h2="b")
    for one, other in ((("db",), ()), ((), ("web",))):
        asks = [Ask("web", 1, MIB, avoid=one), Ask("db", 2, MIB, avoid=other, together=True)]
        found = seats(asks, hosts)
        assert set(found["web"]) | set(found["db"]) == {"h1", "h2"}
        assert seats(asks, hosts, web=("h1",))["db"] == ("h2", "h2")


def test_what_is_pinned_on_a_host_is_avoided_too() -> None:
    hosts = fleet(Candidate("h1", 100, names=frozenset({"db"})), Candidate("h2", 100))
    ask = Ask("web", 2, 1, avoid=("db",))
    assert seats([ask], hosts) == {"web": ("h2", "h2")}
    moved = Ask("db", 1, 1, home="h1")  # it is movable, and elsewhere
    assert set(seats([ask, moved], hosts, db=("h2",))["web"]) == {"h1"}


def test_a_host_port_has_one_holder() -> None:
    hosts = fleet(
        Candidate("h1", 100), Candidate("h2", 100, ports=frozenset({80})), Candidate("h3", 100)
    )
    port = frozenset({80})
    found = seats([Ask("a", 1, 1, ports=port), Ask("b", 2, 1, ports=port)], hosts, a=("h3",))
    assert found == {"a": ("h3",), "b": ("h1", "")}


def test_preferred_hosts_come_first_in_their_order_as_far_as_there_is_room() -> None:
    ask = Ask("db", 1, 600 * MIB, together=True, prefer=("h3", "h9", "h2"))
    assert seats([ask], THREE) == {"db": ("h3",)}
    other = Ask("full", 1, 600 * MIB)
    assert seats([ask, other], THREE, full=("h3",))["db"] == ("h2",)
    assert seats([Ask("web", 3, 600 * MIB, prefer=("h3", "h2"))], THREE)["web"][:2] == ("h3", "h2")


def test_replicas_are_spread_over_hosts_and_over_values() -> None:
    assert sorted(seats([Ask("web", 3, MIB)], THREE)["web"]) == ["h1", "h2", "h3"]
    assert sorted(seats([Ask("web", 7, MIB)], THREE)["web"].count(h) for h in THREE) == [2, 2, 3]
    hosts = zoned(h1="a", h2="a", h3="a", h4="a", h5="b")
    found = seats([Ask("web", 4, MIB, spread="zone")], hosts)["web"]
    assert found.count("h5") == 2
    assert len(set(found)) == 3


def test_what_is_held_stays_also_against_the_spread() -> None:
    ask = Ask("web", 3, MIB)
    assert seats([ask], THREE, web=("h1", "h1"))["web"][:2] == ("h1", "h1")
    assert seats([ask], THREE, web=("h1", "h1", "h1")) == {"web": ("h1", "h1", "h1")}
    assert seats([ask], THREE, web=("h1", "", "h9", "h2"))["web"][0] == "h1"


def test_a_replica_more_of_what_is_together_joins_the_others_or_waits() -> None:
    ask = Ask("db", 3, 400 * MIB, together=True)
    assert seats([ask], THREE, db=("h2",)) == {"db": ("h2", "h2", "")}
    assert seats([ask], THREE, db=("h2", "h3", "h3")) == {"db": ("", "h3", "h3")}
    assert seats([ask], THREE) == {"db": ("", "", "")}


def test_where_room_is_short_the_higher_priority_has_it() -> None:
    hosts = fleet(Candidate("h1", 100))
    for first in ("a", "b"):
        asks = [Ask(name, 1, 60 if name == "a" else 80, priority=name == first) for name in "ab"]
        assert [name for name, held in seats(asks, hosts).items() if held == ("h1",)] == [first]
    low = Ask("low", 1, 60)
    high = Ask("high", 1, 60, priority=9)
    assert seats([low, high], hosts, low=("h1",)) == {"low": ("h1",), "high": ("",)}


def test_what_runs_on_every_host_takes_its_room_on_each() -> None:
    hosts = fleet(
        Candidate("h1", 100), Candidate("h2", 30), Candidate("h3", 100, names=frozenset({"log"}))
    )
    log = Ask("log", 2, 20, home="h1", every_host=True)
    asks = [log, Ask("web", 1, 80)]
    found = place(asks, hosts)
    assert found.everywhere == {"log": ("h1",)}
    assert found.seats == {"log": (), "web": ("h3",)}
    found = place(asks, hosts, {"log": ("h1", "h2"), "web": ("h3",)})
    assert found.everywhere == {"log": ("h1", "h2")}, "what is held there stays"


def test_what_requests_nothing_finds_room_on_a_full_host() -> None:
    hosts = fleet(Candidate("h1", 10))
    found = seats([Ask("a", 2, 10), Ask("b", 1, 0)], hosts, a=("h1", "h1"))
    assert found == {"a": ("h1", "h1"), "b": ("h1",)}


def test_no_host_is_filled_much_more_than_the_others() -> None:
    hosts = fleet(*(Candidate(f"h{i}", 100 * (1 + i % 2)) for i in range(40)))
    found = seats([Ask(f"w{i}", 1, 5) for i in range(840)], hosts)  # 70 % of the memory
    counts = Counter(host for (host,) in found.values())
    fullest = max(5 * counts[name] / host.memory for name, host in hosts.items())
    assert 0.80 < fullest <= 0.70 * 5 / 4


def test_among_values_with_equally_many_the_rank_decides() -> None:
    hosts = zoned(**{f"h{i}": "ab"[i % 2] for i in range(8)})
    for name in map(str, range(20)):
        by_rank = seats([Ask(name, 8, MIB)], hosts)[name]
        found = seats([Ask(name, 3, MIB, spread="zone")], hosts)[name]
        assert found[0] == by_rank[0]
        assert found[2] == next(host for host in by_rank if host not in found[:2])


def test_a_preferred_host_still_needs_the_label() -> None:
    ask = Ask("web", 1, MIB, constraints={"zone": ("a",)}, prefer=("h2",))
    assert seats([ask], THREE) == {"web": ("h1",)}


def test_only_what_is_together_is_drawn_home() -> None:
    found = seats([Ask(f"w{i}", 1, 1, home="h1") for i in range(30)], THREE)
    assert set(found.values()) == {("h1",), ("h2",), ("h3",)}
    found = seats([Ask(f"w{i}", 1, 1, home="h1", together=True) for i in range(30)], THREE)
    assert set(found.values()) == {("h1",)}


def test_torn_apart_it_comes_together_at_home_or_where_most_are() -> None:
    ask = Ask("db", 3, MIB, home="h1", together=True)
    assert seats([ask], THREE, db=("h2", "h2", "h1")) == {"db": ("h1", "h1", "h1")}
    assert seats([ask], THREE, db=("h2", "h3", "h3")) == {"db": ("h3", "h3", "h3")}


def test_one_that_is_too_large_leaves_the_room_to_smaller_ones() -> None:
    hosts = fleet(Candidate("h1", 100))
    asks = [Ask("large", 1, 200), Ask("small", 1, 50)]
    assert seats(asks, hosts) == {"large": ("",), "small": ("h1",)}


def test_the_large_and_those_with_little_choice_are_placed_first() -> None:
    hosts = fleet(Candidate("h1", 100), Candidate("h2", 100, labels={"zone": "a"}))
    asks = [Ask("a", 1, 60), Ask("b", 1, 60), Ask("z", 1, 50, constraints={"zone": ("a",)})]
    assert seats(asks, hosts)["z"] == ("h2",)
    asks = [*(Ask(f"a{i}", 1, 25) for i in range(4)), Ask("z", 1, 100)]
    assert "" not in {host for (host,) in seats(asks, hosts).values()}


def test_what_runs_on_every_host_keeps_to_ports_and_to_the_room_it_has() -> None:
    hosts = fleet(Candidate("h1", 100, ports=frozenset({80})), Candidate("h2", 100))
    log = Ask("log", 1, 60, every_host=True, ports=frozenset({80}))
    assert place([log], hosts).everywhere == {"log": ("h2",)}
    web = Ask("web", 2, 50, priority=1)
    found = place([log, web], hosts, {"log": ("h2",)})
    assert sorted(found.seats["web"]) == ["h1", "h1"], "h2 has no room beside what is held there"


def test_it_says_why_hosts_cannot_take_it() -> None:
    hosts = fleet(
        Candidate("h1", 1024 * MIB, labels={"zone": "b"}),
        Candidate("h2", 1024 * MIB),
        Candidate("h3", 76 * MIB, labels={"zone": "a"}),
        Candidate("h4", MIB, labels={"zone": "a"}, names=frozenset({"web"})),
        Candidate("h5", 1024 * MIB, labels={"zone": "a"}, ports=frozenset({8080})),
        Candidate("h6", 1024 * MIB, labels={"zone": "a"}),
        Candidate("h7", 1024 * MIB, labels={"zone": "a"}),
        Candidate("h8", 1024 * MIB, labels={"zone": "a"}),
        Candidate("h9", 1024 * MIB, labels={"zone": "a"}),
    )
    web = Ask(
        "web",
        1,
        64 * MIB,
        constraints={"zone": ("a",)},
        avoid=("db",),
        ports=frozenset({8080}),
    )
    asks = [
        web,
        Ask("small", 1, 64 * MIB),
        Ask("db", 1, MIB),
        Ask("shy", 1, MIB, avoid=("web",)),
        Ask("port", 1, MIB, ports=frozenset({8080})),
    ]
    held = {"web": ("",), "small": ("h3",), "db": ("h6",), "shy": ("h7",), "port": ("h8",)}
    assert refusals(web, hosts, Placement(held), asks) == {
        "h1": "label zone is b, not a",
        "h2": "label zone is not set, not a",
        "h3": "insufficient memory (need 64 MiB, 12 MiB free)",
        "h4": "declares a workload of that name itself",
        "h5": "host port 8080 is held by what is pinned there",
        "h6": "avoids db",
        "h7": "shy avoids it",
        "h8": "host port 8080 is held by port",
    }
