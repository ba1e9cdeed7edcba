"""Who declares what, when homes are taken, forgotten or contested; and what holds for a copy."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from nodeorch.decide.fleet.copies import elsewhere, report
from nodeorch.decide.fleet.graves import take_refusal
from nodeorch.model.actions import CreateContainer, StartContainer, StopContainer
from nodeorch.model.facts import QuietSeen, SpecsSeen
from nodeorch.model.fleet import Host, Report, Running, Standing
from nodeorch.model.placing import Failback
from nodeorch.model.world import Code
from tests.decide.fleetstory import Fleet
from tests.decide.story import workload
from tests.decide.test_failover import available, other_than


def taken(count: int = 3) -> Fleet:
    """h1 declared it and is away; h2 is its home now."""
    fleet = Fleet(count).up().declare("h1", available(prefer=("h2",))).run(3).kill("h1").run(4)
    return fleet.take("h2", "web").run(3)


def notes(fleet: Fleet, host: str, code: Code) -> list[str]:
    return [n.why.words for _, n in fleet.hosts[host].journal if n.why.code is code]


def test_a_home_that_was_taken_is_the_new_one_for_all_and_nothing_is_restarted():
    fleet = taken()
    h2 = fleet.hosts["h2"]
    assert fleet.copies("web") == {"h2": 1} and not h2.took(StopContainer)
    claim = fleet.hosts["h3"].world.fleet.claims["web"]
    assert (claim.home, claim.declared.term) == ("h2", 1)
    assert h2.world.workloads["web"].record.home == ""


def test_the_old_home_does_not_run_what_was_taken_and_says_so_once():
    fleet = taken().start("h1").run(20)
    assert fleet.copies("web") == {"h2": 1}
    words = "its home is h2 now: it was taken while this host was away"
    assert notes(fleet, "h1", Code.HOME_TAKEN) == [words]
    fleet.hosts["h1"].boot(reboot=False)
    assert fleet.run(8).copies("web") == {"h2": 1}
    assert notes(fleet, "h1", Code.HOME_TAKEN) == [words]


def test_a_home_that_could_not_be_taken_is_the_home():
    """Its file is refused on the host that takes it: nothing is buried."""
    fleet = Fleet().up().declare("h1", available(prefer=("h2",))).run(3).kill("h1").run(4)
    h2 = fleet.hosts["h2"]
    h2.tell(SpecsSeen(workloads={}, rejected={"web": "no such file"}, taken=("web",), by="ann"))
    assert not notes(fleet, "h2", Code.HOME_TAKEN)
    fleet.run(3).start("h1").run(20)
    assert len(fleet.where("web")) == 1
    assert {h.world.fleet.claims["web"].home for h in fleet.hosts.values()} == {"h1"}


def test_the_old_home_takes_nothing_over_whose_file_it_has():
    fleet = taken().start("h1").run(20).kill("h2").run(6)
    assert fleet.where("web") == ["h3"]


def test_what_was_taken_while_its_old_home_ran_it_ends_there_when_the_new_one_has_it():
    fleet = Fleet().up().declare("h1", available()).run(3).cut(["h1"], ["h2", "h3"]).run(9)
    fleet.never_none.add("web")
    host = other_than("h1", fleet) if "h1" not in fleet.where("web") else "h2"
    fleet.take(host, "web").run(4).heal().run(6)
    assert "h1" not in fleet.where("web") and len(fleet.where("web")) == 1


def test_what_was_taken_runs_on_until_its_new_home_is_heard():
    """The grave comes by way of another host than the one that took it."""
    fleet = Fleet(4).up().declare("h1", available(prefer=("h2",))).run(3).kill("h1").run(4)
    assert fleet.where("web") == ["h2"]
    fleet.never_none.add("web")
    fleet.cut(["h3"], ["h2"]).take("h3", "web").run(8)
    assert fleet.where("web") == ["h2"]
    assert fleet.hosts["h2"].world.workloads["web"].record.home == "h3"


def test_what_was_deleted_after_it_was_taken_runs_nowhere():
    fleet = taken().delete("h2", "web").run(3).start("h1").run(15)
    assert fleet.where("web") == []
    assert not any("web" in h.world.fleet.claims for h in fleet.hosts.values())


def test_the_old_home_may_declare_it_anew_when_it_was_deleted():
    fleet = taken().delete("h2", "web").run(3).start("h1").run(8).delete("h1", "web").run(3)
    fleet.declare("h1", available()).run(4)
    assert fleet.where("web") == ["h1"]
    assert fleet.hosts["h3"].world.fleet.claims["web"].declared.term == 2


def test_a_home_is_taken_back_by_a_higher_term():
    fleet = taken().start("h1").run(10).kill("h2").run(6).take("h1", "web").run(4)
    assert fleet.hosts["h3"].world.fleet.claims["web"].home == "h1"
    assert fleet.hosts["h1"].world.workloads["web"].record.term == 2
    fleet.start("h2").run(12)
    assert len(fleet.where("web")) == 1
    assert fleet.hosts["h2"].world.fleet.claims["web"].home == "h1"


@pytest.mark.parametrize("forced", [False, True])
def test_the_home_of_a_host_that_is_up_is_not_taken(forced: bool):
    fleet = Fleet().up().declare("h1", available()).run(3)
    words = take_refusal(fleet.hosts["h2"].world, "web", forced=forced)
    assert words == "cannot take web: its home h1 is up; change it there"


def test_a_home_that_may_be_gone_is_taken_by_force_alone():
    fleet = Fleet().up().declare("h1", available()).run(3).cut(["h1"], ["h2"]).run(4)
    world = fleet.hosts["h2"].world
    assert world.fleet.hosts["h1"].standing is Standing.SUSPECTED
    words = take_refusal(world, "web", forced=False)
    assert words is not None and words.endswith("wait, or say --force")
    assert take_refusal(world, "web", forced=True) is None


def test_two_homes_that_declare_one_name_each_run_their_own():
    fleet = Fleet().up().declare("h1", available()).declare("h2", available()).run(4)
    assert fleet.copies("web") == {"h1": 1, "h2": 1}
    fleet.kill("h2").run(5).start("h2").run(10)
    assert fleet.copies("web") == {"h1": 1, "h2": 1}, "another's is no copy of it"


def test_a_host_with_a_workload_of_that_name_takes_none_over():
    fleet = Fleet().up().declare("h1", available()).declare("h2", workload("web", replicas=2))
    fleet.run(3).kill("h1").run(4)
    assert fleet.copies("web") == {"h2": 2, "h3": 1}


def test_declaring_a_name_that_is_held_here_for_another_makes_it_ones_own():
    fleet = Fleet().up().declare("h1", available(prefer=("h2",))).run(3).kill("h1").run(4)
    h2 = fleet.hosts["h2"]
    starts = len(h2.took(StartContainer))
    fleet.declare("h2", available(prefer=("h2",))).run(3)
    assert h2.world.workloads["web"].record.home == ""
    assert len(h2.took(StartContainer)) == starts
    assert fleet.copies("web") == {"h2": 1, "h3": 1}, "h1's is still to be run, too"


# what is said at home holds where the copy is --------------------------------------------


def away(**more: object) -> tuple[Fleet, str]:
    """h1 is back; the copy stays where it was taken over."""
    fleet = Fleet().up().declare("h1", available(**more)).run(3).kill("h1").run(4)
    taker = other_than("h1", fleet)
    return fleet.start("h1").run(8), taker


def test_a_restart_at_home_restarts_the_copy():
    fleet, taker = away()
    host = fleet.hosts[taker]
    before = len(host.took(StartContainer))
    fleet.hosts["h1"].command("restart")
    fleet.run(4)
    assert len(host.took(StartContainer)) == before + 1
    assert fleet.copies("web") == {taker: 1}


def test_scaling_at_home_scales_the_copy():
    fleet, taker = away()
    fleet.hosts["h1"].command("scale", replicas=3)
    assert fleet.run(3).copies("web") == {taker: 3}
    fleet.hosts["h1"].command("scale", replicas=0)
    assert fleet.run(3).copies("web") == {}
    assert "web" not in fleet.hosts[taker].world.workloads


def test_a_rollback_at_home_reaches_the_copy():
    fleet, taker = away()
    first = fleet.hosts["h1"].world.workloads["web"].record.target
    fleet.declare("h1", available(image="localhost/web:2")).run(4)
    fleet.hosts["h1"].command("rollback", version=first)
    fleet.run(4)
    assert fleet.hosts[taker].world.workloads["web"].workload.main.image == "localhost/web:1"
    assert fleet.copies("web") == {taker: 1}


def test_an_update_that_fails_where_the_copy_is_is_told_at_home():
    fleet, taker = away()
    fleet.never_none.add("web")
    host = fleet.hosts[taker]
    host.faults["web.0.g2"] = "refused"
    fleet.declare("h1", available(image="localhost/web:2")).run(30)
    assert fleet.copies("web") == {taker: 1}
    failed = fleet.hosts["h1"].world.workloads["web"].record.failed
    assert failed is not None and f"generation 2 failed: on {taker}: " in failed.words


def test_operators_are_sent_to_its_home():
    fleet, taker = away()
    host = fleet.hosts[taker]
    before = host.world
    host.command("stop")
    assert host.world is before or host.world.workloads == before.workloads
    assert fleet.run(2).copies("web") == {taker: 1}


def test_the_copy_stays_while_it_crashes_at_home():
    fleet = Fleet().up().declare("h1", available(failback=Failback.NOW)).run(3).kill("h1").run(4)
    taker = other_than("h1", fleet)
    fleet.never_none.add("web")
    fleet.hosts["h1"].faults["web.0.g1"] = "refused"
    fleet.start("h1").run(30)
    assert fleet.copies("web") == {taker: 1}
    fleet.hosts["h1"].faults.clear()
    assert fleet.run(90).copies("web") == {"h1": 1}


def test_it_returns_when_it_is_idle_there():
    fleet = Fleet().up().declare("h1", available(failback=Failback.IDLE)).run(3).kill("h1").run(4)
    taker = other_than("h1", fleet)
    fleet.never_none.add("web")
    fleet.start("h1").run(20)
    assert fleet.copies("web") == {taker: 1}
    fleet.hosts[taker].tell(QuietSeen(idle=frozenset({"web"})))
    assert fleet.run(5).copies("web") == {"h1": 1}


def test_a_home_runs_its_own_when_all_others_have_vanished():
    fleet, _ = away()
    fleet.kill("h2", "h3").run(6)
    assert fleet.hosts["h1"].world.fleet.brake is not None
    assert fleet.copies("web") == {"h1": 1}


def test_failover_given_and_taken_away():
    fleet = Fleet().up().declare("h1", workload("web")).run(3)
    fleet.declare("h1", available()).run(3).kill("h1").run(4)
    taker = other_than("h1", fleet)
    fleet.start("h1").run(8)
    fleet.hosts["h1"].faults |= {f"web.0.g{n}": "refused" for n in (1, 2, 3)}
    fleet.never_none.add("web")
    fleet.declare("h1", workload("web")).run(10)
    assert fleet.copies("web") == {taker: 1}, "it is not ready at home yet"
    fleet.hosts["h1"].faults.clear()
    assert fleet.run(90).copies("web") == {"h1": 1}
    assert fleet.hosts["h1"].world.workloads["web"].record.slots is None
    assert "web" not in fleet.hosts[taker].world.workloads


def test_a_copy_of_a_former_boot_ends_without_stopping_anything():
    fleet = Fleet().up().declare("h1", available(failback=Failback.NOW)).run(3).kill("h1").run(4)
    taker = other_than("h1", fleet)
    fleet.kill(taker).start("h1").run(8)
    assert fleet.copies("web") == {"h1": 1}
    fleet.never_none.add("web")
    fleet.start(taker).run(12)
    host = fleet.hosts[taker]
    assert fleet.copies("web") == {"h1": 1}
    assert not host.took(StopContainer) and "web" not in host.world.workloads
    assert host.containers == {}


def test_a_quiet_fleet_writes_nothing():
    fleet, _ = away()
    lines = {n: len(h.journal) for n, h in fleet.hosts.items()}
    fleet.run(60)
    assert {n: len(h.journal) for n, h in fleet.hosts.items()} == lines


def test_a_copy_that_dies_is_restarted_where_it_is():
    fleet, taker = away()
    fleet.hosts[taker].die("web.0.g1")
    fleet.run(3)
    assert fleet.copies("web") == {taker: 1}
    assert fleet.hosts[taker].took(CreateContainer) == ["web.0.g1"]


def test_a_report_tells_what_is_here_and_how_it_is():
    fleet, taker = away()
    running = report(fleet.hosts[taker].world).running["web"]
    assert (running.home, running.slots, running.ready) == ("h1", (0,), (0,))
    assert running.wall > 1e9
    assert report(fleet.hosts["h1"].world).running == {}


@pytest.mark.parametrize(
    ("runs_for", "held"),
    [("h1", True), ("h2", True), ("h3", False), ("h4", False)],
    ids=["a former home", "its home", "its own", "a rival"],
)
def test_what_a_host_reports_under_the_name_is_a_copy_or_another_workload(
    runs_for: str, held: bool
):
    """h2 is the home and h4 a rival; h3, which was a home once, reports."""
    fleet = Fleet().up().declare("h2", available()).run(2)
    claim = replace(fleet.hosts["h1"].world.fleet.claims["web"], rivals=("h4",))
    running = Running(home=runs_for, term=1, digest="", slots=(0,))
    host = Host("h3", report=Report("h3", running={"web": running}))
    assert bool(elsewhere([host], "web", claim)) is held


def test_a_version_that_fails_on_a_copy_is_given_up_at_its_home_too():
    fleet = Fleet().up().declare("h1", available()).run(3).kill("h1").run(4).start("h1").run(8)
    (taker,) = fleet.where("web")
    home = fleet.hosts["h1"]
    fleet.hosts[taker].faults["web.0.g2"] = "refused"
    fleet.declare("h1", available(image="localhost/web:2")).run(8)
    record = home.world.workloads["web"].record
    assert record.target.generation == 1 and record.failed is not None
    assert f"generation 2 failed: on {taker}: " in record.failed.words
    assert record.failed.words.count("back to") == 1
    assert fleet.where("web") == [taker]
    stops = len(fleet.hosts[taker].took(StopContainer))
    fleet.run(5)
    assert len(fleet.hosts[taker].took(StopContainer)) == stops, "it is left alone"
    fleet.kill(taker).run(6)
    assert len(fleet.where("web")) == 1
    (now,) = fleet.where("web")
    assert fleet.hosts[now].world.workloads["web"].workload.main.image == "localhost/web:1"


def test_a_version_that_arrives_on_a_copy_has_arrived_at_its_home():
    fleet = Fleet().up().declare("h1", available()).run(3).kill("h1").run(4).start("h1").run(8)
    fleet.declare("h1", available(image="localhost/web:2")).run(8)
    record = fleet.hosts["h1"].world.workloads["web"].record
    assert record.previous is None and record.target.generation == 2
    assert any(w.startswith("Updated: generation 2 is ready") for w in fleet.told("h1"))
