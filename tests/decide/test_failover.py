"""Failover of *available* workloads, as stories of several hosts."""

from __future__ import annotations

import pytest

from nodeorch.model.actions import StopContainer
from nodeorch.model.facts import LinkSeen
from nodeorch.model.fleet import Hearing, Standing
from nodeorch.model.placing import Failback, Failover, FailoverMode, Placement
from nodeorch.model.workload import Workload
from tests.decide.fleetstory import Fleet
from tests.decide.story import workload


def available(
    name: str = "web",
    failback: Failback = Failback.NEVER,
    after: float = 0.0,
    prefer: tuple[str, ...] = (),
    **more: object,
) -> Workload:
    failover = Failover(mode=FailoverMode.AVAILABLE, after=after, failback=failback, prefer=prefer)
    return workload(name, failover=failover, **more)


def other_than(host: str, fleet: Fleet, name: str = "web") -> str:
    where = fleet.where(name)
    assert len(where) == 1 and where != [host], where
    return where[0]


def test_it_runs_at_home_and_nowhere_else():
    fleet = Fleet().up().declare("h1", available()).run(3)
    assert fleet.where("web") == ["h1"]
    for host in ("h2", "h3"):
        assert "web" in fleet.hosts[host].world.fleet.claims
        assert "web" not in fleet.hosts[host].world.workloads


def test_a_host_that_loses_power_is_replaced_within_seconds():
    fleet = Fleet().up().declare("h1", available()).run(3).kill("h1").run(3.5)
    taker = other_than("h1", fleet)
    assert any(w.startswith("TakenOver: runs here for h1: h1 is down") for w in fleet.told(taker))
    other = ({"h2", "h3"} - {taker}).pop()
    assert "web" not in fleet.hosts[other].world.workloads


def test_what_does_not_fail_over_stays_where_it_was():
    fleet = Fleet().up().declare("h1", workload("web")).run(3).kill("h1").run(30)
    assert fleet.where("web") == []


def test_its_delay_is_waited_for():
    fleet = Fleet().up().declare("h1", available(after=10.0)).run(3).kill("h1").run(9)
    assert fleet.where("web") == []
    fleet.run(5)
    other_than("h1", fleet)


def test_the_preferred_host_takes_over():
    for host in ("h2", "h3"):
        fleet = Fleet().up().declare("h1", available(prefer=(host,))).run(3).kill("h1").run(4)
        assert fleet.where("web") == [host]


def test_constraints_rule_out_a_host():
    labels = {"h2": {"zone": "a"}, "h3": {"zone": "b"}}
    spec = available(placement=Placement(constraints={"zone": ("b",)}))
    fleet = Fleet(labels=labels).up().declare("h1", spec).run(3)
    assert fleet.where("web") == ["h1"], "a home may run what it declares"
    assert fleet.kill("h1").run(4).where("web") == ["h3"]


def test_a_suspicion_of_one_host_alone_moves_nothing():
    fleet = Fleet().up().declare("h1", available()).run(3).cut(["h1"], ["h2"]).run(60)
    assert fleet.where("web") == ["h1"]
    assert fleet.standing("h2", "h1") is Standing.SUSPECTED
    assert fleet.standing("h3", "h1") is Standing.UP


def test_one_that_is_cut_off_keeps_its_copy_and_takes_over_nothing():
    fleet = Fleet().up()
    fleet.declare("h1", available("one")).declare("h2", available("two")).run(3)
    fleet.cut(["h1"], ["h2", "h3"]).run(10)
    assert fleet.hosts["h1"].world.fleet.brake is not None
    assert fleet.copies("two") == {"h2": 1}
    assert "h1" in fleet.copies("one") and len(fleet.copies("one")) == 2
    fleet.never_none |= {"one", "two"}
    stops = {n: len(h.took(StopContainer)) for n, h in fleet.hosts.items()}
    fleet.heal().run(5)
    assert fleet.where("one") == ["h1"], "its home never stopped running it"
    assert fleet.hosts["h1"].world.fleet.brake is None
    assert len(fleet.hosts["h1"].took(StopContainer)) == stops["h1"]


def test_failback_never_leaves_it_where_it_is():
    fleet = Fleet().up().declare("h1", available()).run(3).kill("h1").run(4)
    taker = other_than("h1", fleet)
    fleet.never_none.add("web")
    fleet.start("h1").run(20)
    assert fleet.where("web") == [taker]


def test_failback_now_returns_it_without_a_gap():
    fleet = Fleet().up().declare("h1", available(failback=Failback.NOW)).run(3).kill("h1").run(4)
    taker = other_than("h1", fleet)
    fleet.never_none.add("web")
    fleet.start("h1").run(10)
    assert fleet.where("web") == ["h1"]
    assert any(w.startswith("GivenBack") for w in fleet.told(taker))
    assert "web" not in fleet.hosts[taker].world.workloads


def test_a_copy_whose_host_dies_too_comes_back():
    fleet = Fleet(5).up().declare("h1", available()).run(3).kill("h1").run(4)
    taker = other_than("h1", fleet)
    fleet.kill(taker).run(5)
    assert len(fleet.where("web")) == 1
    fleet.start("h1").run(10)
    assert len(fleet.where("web")) == 1


def test_the_home_comes_back_when_the_host_of_its_copy_has_died():
    fleet = Fleet().up().declare("h1", available()).run(3).kill("h1").run(4)
    taker = other_than("h1", fleet)
    fleet.start("h1").run(10)
    fleet.kill(taker).run(5)
    assert len(fleet.where("web")) == 1


def test_two_hosts():
    fleet = Fleet(2).up().declare("h1", available()).run(3).kill("h1").run(4)
    assert fleet.where("web") == ["h2"]
    fleet.never_none.add("web")
    fleet.start("h1").run(10)
    assert fleet.where("web") == ["h2"]


def test_two_hosts_apart_run_it_twice_and_once_again():
    fleet = Fleet(2).up().declare("h1", available()).run(3)
    fleet.never_none.add("web")
    fleet.cut(["h1"], ["h2"]).run(10)
    assert fleet.where("web") == ["h1", "h2"]
    assert fleet.heal().run(5).where("web") == ["h1"]


def test_two_of_five_at_once():
    fleet = Fleet(5).up().declare("h1", available("one")).declare("h2", available("two")).run(3)
    fleet.kill("h1", "h2").run(5)
    assert len(fleet.where("one")) == len(fleet.where("two")) == 1


def test_the_smaller_side_of_a_partition_takes_over_nothing():
    fleet = Fleet(5).up()
    for n in range(1, 6):
        fleet.declare(f"h{n}", available(f"w{n}"))
    fleet.run(3)
    fleet.never_none |= {f"w{n}" for n in range(1, 6)}
    fleet.cut(["h1", "h2"], ["h3", "h4", "h5"]).run(15)
    small = {"h1", "h2"}
    for n in (3, 4, 5):
        assert fleet.where(f"w{n}") == [f"h{n}"]
    for n in (1, 2):
        copies = set(fleet.where(f"w{n}"))
        assert f"h{n}" in copies and len(copies - small) == 1
    fleet.heal().run(8)
    for n in range(1, 6):
        assert fleet.where(f"w{n}") == [f"h{n}"]


def test_all_off_and_back():
    fleet = Fleet().up().declare("h1", available()).run(3)
    fleet.kill("h1", "h2", "h3").run(5).start("h1", "h2", "h3").run(8)
    assert fleet.where("web") == ["h1"]


def test_all_off_and_the_home_does_not_come_back():
    fleet = Fleet().up().declare("h1", available()).run(3)
    fleet.kill("h1", "h2", "h3").run(5).start("h2", "h3").run(15)
    other_than("h1", fleet)


def test_one_of_three_that_boots_alone_takes_over_nothing():
    fleet = Fleet().up().declare("h1", available()).run(3)
    fleet.kill("h1", "h2", "h3").run(5).start("h2").run(60)
    assert fleet.where("web") == []


def test_a_host_that_held_it_before_all_went_off_holds_it_again():
    fleet = Fleet(2).up().declare("h1", available()).run(3).kill("h1").run(4)
    fleet.kill("h2").run(5).start("h2").run(10)
    assert fleet.where("web") == ["h2"]


def test_a_daemon_that_restarts_gives_up_nothing():
    fleet = Fleet().up().declare("h1", available()).run(3).kill("h1").run(4)
    taker = other_than("h1", fleet)
    fleet.never_none.add("web")
    fleet.hosts[taker].boot(reboot=False)
    fleet.run(5)
    assert fleet.where("web") == [taker]
    assert not fleet.hosts[taker].took(StopContainer)


@pytest.mark.parametrize("while_away", [False, True])
def test_a_deletion_ends_all_copies(while_away: bool):
    fleet = Fleet().up().declare("h1", available()).run(3)
    if while_away:
        fleet.kill("h1").run(4).start("h1").run(8)
    fleet.delete("h1", "web").run(3)
    assert fleet.where("web") == []
    assert not any("web" in h.world.fleet.claims for h in fleet.hosts.values())


def test_a_new_version_reaches_a_copy():
    fleet = Fleet().up().declare("h1", available()).run(3).kill("h1").run(4)
    taker = other_than("h1", fleet)
    fleet.start("h1").run(8).declare("h1", available(image="localhost/web:2")).run(5)
    assert fleet.hosts[taker].world.workloads["web"].workload.main.image == "localhost/web:2"
    assert fleet.where("web") == [taker]


def test_what_an_operator_says_at_home_holds_for_a_copy():
    fleet = Fleet().up().declare("h1", available()).run(3).kill("h1").run(4)
    fleet.start("h1").run(8)
    other_than("h1", fleet)
    fleet.hosts["h1"].command("stop")
    assert fleet.run(3).where("web") == []
    fleet.hosts["h1"].command("start")
    assert fleet.run(3).where("web") == ["h1"], "nothing keeps it elsewhere any more"


def test_failover_taken_away_while_it_is_elsewhere_leaves_no_gap():
    fleet = Fleet().up().declare("h1", available()).run(3).kill("h1").run(4).start("h1").run(8)
    fleet.never_none.add("web")
    fleet.declare("h1", workload("web")).run(5)
    assert fleet.where("web") == ["h1"]


def test_what_a_host_said_before_it_went_off_is_no_reason_to_give_back():
    """Its last report said that it runs the workload; now it is heard and has not reported yet."""
    fleet = Fleet().up().declare("h1", available()).run(3).kill("h1").run(4)
    taker = fleet.hosts[other_than("h1", fleet)]
    fleet.hosts["h1"].power = True
    taker.tell(LinkSeen("h1", Hearing.HEARD, run="h1-2"))
    taker.settle()
    assert fleet.copies("web") == {taker.name: 1}


def test_what_runs_elsewhere_is_told_once():
    fleet = Fleet().up().declare("h1", available()).run(3).kill("h1").run(4).start("h1").run(20)
    words = [w for w in fleet.told("h1") if w.startswith(("Elsewhere", "Placed"))]
    assert len(words) <= 2, words


def test_a_host_that_only_looks_on_has_the_story_too():
    fleet = Fleet().up().declare("h1", available()).run(3).kill("h1").run(4)
    taker = other_than("h1", fleet)
    (onlooker,) = {"h2", "h3"} - {taker}
    moved = [w for w in fleet.told(onlooker) if w.startswith("Elsewhere")]
    assert len(moved) == 1 and moved[0].startswith(f"Elsewhere: belongs on {taker}, no more on h1")
    fleet.start("h1").run(20)
    assert [w for w in fleet.told(onlooker) if w.startswith("Elsewhere")] == moved
