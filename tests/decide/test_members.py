"""Who is there, who is gone, and whether it is rather us who are cut off."""

from __future__ import annotations

from datetime import datetime

import pytest

from nodeorch.decide.fleet.members import DEAF
from nodeorch.decide.fleet.view import members, warnings
from nodeorch.decide.status import Surroundings
from nodeorch.model.facts import HostRemoved, LinkSeen, MembersSeen, NameTaken, OpinionSeen
from nodeorch.model.fleet import Hearing, Member, MemberStatus, Standing
from tests.decide.fleetstory import Fleet
from tests.decide.test_failover import available, other_than


def lost(fleet: Fleet, host: str) -> set[str]:
    return {h.name for h in fleet.hosts[host].world.fleet.hosts.values() if h.lost}


def rfc3339_seconds(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def braked(fleet: Fleet) -> list[str]:
    return [n for n, h in fleet.hosts.items() if h.on and h.world.fleet.brake is not None]


@pytest.mark.parametrize("count", [2, 3, 4, 5])
def test_a_host_without_power_is_lost_for_all_others_in_three_seconds(count: int):
    fleet = Fleet(count).up().kill("h1").run(3)
    for name in fleet.hosts.keys() - {"h1"}:
        assert fleet.standing(name, "h1") is Standing.DOWN
        assert lost(fleet, name) == {"h1"}
    assert not braked(fleet)


def test_whom_half_of_those_who_could_know_still_hear_is_only_suspected():
    fleet = Fleet(5).up().cut(["h1"], ["h2", "h3"]).run(20)
    assert fleet.standing("h2", "h1") is Standing.SUSPECTED
    assert "still heard by h4, h5" in fleet.hosts["h2"].world.fleet.hosts["h1"].words
    assert fleet.standing("h4", "h1") is Standing.UP
    assert not lost(fleet, "h2") and not lost(fleet, "h3")


def test_whose_kernel_alone_answers_here_is_not_said_to_be_heard_here():
    fleet = Fleet().up()
    h1 = fleet.hosts["h1"]
    h1.tell(OpinionSeen(host="h3", hears=("h2",)))
    h1.tell(LinkSeen(host="h2", hearing=Hearing.ANSWERS))
    assert h1.world.fleet.hosts["h2"].words == "not heard here; still heard by h3"


def test_most_of_those_who_could_know_decide():
    fleet = Fleet(5).up().cut(["h1"], ["h2", "h3", "h4"]).run(4)
    assert fleet.standing("h2", "h1") is Standing.DOWN
    assert fleet.standing("h5", "h1") is Standing.UP, "it hears it itself"


def test_two_against_two_take_over_nothing():
    fleet = Fleet(4).up()
    for n in range(1, 5):
        fleet.declare(f"h{n}", available(f"w{n}"))
    fleet.run(3).cut(["h1", "h2"], ["h3", "h4"]).run(15)
    assert braked(fleet) == ["h1", "h2", "h3", "h4"]
    for n in range(1, 5):
        assert fleet.copies(f"w{n}") == {f"h{n}": 1}
    assert not braked(fleet.heal().run(3))


def test_who_is_cut_off_knows_when_it_last_heard_the_others():
    fleet = Fleet().up().run(100)
    parted = fleet.now
    fleet.cut(["h1"], ["h2", "h3"]).run(30)
    world, around = fleet.hosts["h1"].world, Surroundings(now=fleet.now, wall=1e9 + fleet.now)
    assert braked(fleet) == ["h1"] and not lost(fleet, "h1")
    seen = {view.name: rfc3339_seconds(view.seen_at or "") for view in members(world, around)}
    assert 0 <= seen["h2"] - 1e9 - parted < 5 and seen["h1"] == 1e9 + fleet.now
    [warning] = warnings(world)
    assert warning.count("nothing is taken over") == 1


def test_three_of_six_at_once_are_too_many():
    fleet = Fleet(6).up().declare("h1", available()).run(3).kill("h1", "h2", "h3").run(20)
    assert braked(fleet) == ["h4", "h5", "h6"]
    assert fleet.where("web") == []
    words = fleet.hosts["h4"].world.fleet.brake
    assert words is not None and words.words.startswith(
        "3 of 5 hosts vanished at once (h1, h2, h3)"
    )


def test_one_after_the_other_may_vanish_down_to_the_last():
    fleet = Fleet(4).up().declare("h1", available()).run(3)
    for host in ("h1", "h2", "h3"):
        fleet.kill(host).run(6)
        assert not braked(fleet)
        assert len(fleet.where("web")) == 1, f"after {host}"
    assert fleet.where("web") == ["h4"]


def test_those_that_were_lost_before_the_daemon_started_do_not_count():
    fleet = Fleet(4).up().declare("h3", available()).run(3).kill("h1").run(5).kill("h2").run(5)
    fleet.hosts["h4"].boot(reboot=False)
    fleet.run(8)
    assert not braked(fleet) and lost(fleet, "h4") == {"h1", "h2"}
    assert fleet.kill("h3").run(4).where("web") == ["h4"]


def test_the_brake_is_told_once_and_its_end_too():
    fleet = Fleet().up().cut(["h1"], ["h2", "h3"]).run(30).heal().run(5)
    told = [w.split(":")[0] for w in fleet.told("h1") if w.startswith("CutOff")]
    assert told == ["CutOff", "CutOffOver"]


def test_a_dead_daemon_is_no_dead_host():
    fleet = Fleet().up().declare("h1", available()).run(3).kill_daemon("h1").run(60)
    assert fleet.standing("h2", "h1") is Standing.UNSUPERVISED
    assert fleet.where("web") == ["h1"], "its containers run on"
    fleet.start_daemon("h1").run(5)
    assert fleet.standing("h2", "h1") is Standing.UP
    assert fleet.where("web") == ["h1"]


def test_a_host_of_which_only_the_kernel_answers_is_lost_after_a_while():
    fleet = Fleet().up().declare("h1", available()).run(3)
    fleet.hosts["h1"].serf = False
    fleet.kill_daemon("h1").run(7 + DEAF - 1)
    assert fleet.standing("h2", "h1") is Standing.UNSUPERVISED
    assert fleet.where("web") == ["h1"]
    fleet.run(4)
    assert fleet.standing("h2", "h1") is Standing.DOWN
    assert "neither its daemon nor its Serf" in fleet.hosts["h2"].world.fleet.hosts["h1"].words
    assert len(fleet.where("web")) == 2, "what it runs cannot be vouched for"


def test_serf_killed_on_a_host_whose_links_live_changes_nothing():
    fleet = Fleet().up().declare("h1", available()).run(3)
    fleet.hosts["h1"].serf = False
    fleet.run(40)
    assert fleet.standing("h2", "h1") is Standing.UP
    assert fleet.where("web") == ["h1"]
    assert [w for w in fleet.told("h1") if w.startswith("Serf")] == ["SerfDown: connection refused"]
    fleet.hosts["h1"].serf = True
    fleet.run(1)
    assert fleet.told("h1")[-1] == "SerfUp: Serf answers again"


def test_without_serf_the_links_see_a_death_all_the_same():
    fleet = Fleet().up().declare("h1", available()).run(3)
    for host in fleet.hosts.values():
        host.serf = False
    other_than("h1", fleet.run(1).kill("h1").run(4))


def test_where_links_are_no_witnesses_serf_alone_says_it():
    fleet = Fleet()
    for host in fleet.hosts.values():
        host.links = False
    fleet.up().declare("h1", available()).run(3).kill("h1").run(6)
    assert fleet.standing("h2", "h1") is Standing.UP
    assert fleet.where("web") == []
    other_than("h1", fleet.run(3))


def test_a_wrong_suspicion_is_counted_once_and_a_true_one_is_none():
    fleet = Fleet().up().cut(["h1"], ["h2", "h3"]).run(5).heal().run(5)
    assert fleet.hosts["h2"].world.fleet.wrong_suspicions == 1
    assert fleet.hosts["h1"].world.fleet.wrong_suspicions == 0, "the brake held"
    fleet.kill("h1").run(5).start("h1").run(5)
    assert fleet.hosts["h2"].world.fleet.wrong_suspicions == 1


def test_a_host_heard_again_is_lost_no_more():
    fleet = Fleet().up().kill("h1").run(4)
    assert fleet.hosts["h2"].world.fleet.record.hosts["h1"].lost
    fleet.start("h1").run(2)
    assert lost(fleet, "h2") == set()
    assert not fleet.hosts["h2"].world.fleet.record.hosts["h1"].lost
    assert fleet.standing("h2", "h1") is Standing.UP


def test_nobody_is_taken_for_lost_by_a_daemon_that_has_just_started():
    fleet = Fleet().up().declare("h1", available()).run(3).kill("h1", "h2", "h3").run(3)
    fleet.start("h2", "h3").run(4.5)
    assert fleet.where("web") == []
    other_than("h1", fleet.run(3))


def test_what_serf_says_of_an_own_name_that_another_uses_is_told_once():
    fleet = Fleet().up()
    fleet.hosts["h1"].taken_by = "10.9.9.9"
    fleet.run(3)
    told = [w for w in fleet.told("h1") if w.startswith("NameTaken")]
    assert len(told) == 1 and "another host, at 10.9.9.9, uses the name h1" in told[0]
    assert fleet.hosts["h1"].world.fleet.name_taken == "10.9.9.9"
    fleet.hosts["h1"].taken_by = ""
    assert fleet.run(1).hosts["h1"].world.fleet.name_taken == ""


def test_two_that_use_anothers_name_are_told():
    fleet = Fleet().up()
    fleet.hosts["h1"].tell(NameTaken(host="h2", address="10.9.9.9"))
    assert "two hosts use the name h2, one of them at 10.9.9.9" in fleet.told("h1")[-1]


def test_a_new_address_and_port_are_taken_up_and_remembered():
    host = Fleet().up().hosts["h1"]
    tags = {"port": "7555"}
    me = Member("h1", "10.0.0.1", MemberStatus.ALIVE)
    host.tell(MembersSeen((me, Member("h2", "10.5.5.5", MemberStatus.ALIVE, tags))))
    assert (host.world.fleet.record.hosts["h2"].address, host.world.fleet.hosts["h2"].port) == (
        "10.5.5.5",
        7555,
    )


def test_whom_serf_does_not_know_yet_is_of_the_fleet_when_it_is_heard():
    host = Fleet(2).up().hosts["h1"]
    host.tell(LinkSeen("h9", Hearing.SILENT))
    assert "h9" not in host.world.fleet.hosts
    host.tell(LinkSeen("h9", Hearing.HEARD, run="r"))
    assert host.world.fleet.hosts["h9"].standing is Standing.UP


def test_a_host_that_leaves_is_forgotten_and_what_it_declared_ends():
    fleet = Fleet().up().declare("h1", available()).run(3).kill("h1").run(4).start("h1").run(8)
    taker = other_than("h1", fleet)
    fleet.leave("h1").run(3)
    assert "h1" not in fleet.hosts[taker].world.fleet.hosts
    assert fleet.copies("web").keys() <= {"h1"}
    assert "HostLeft: h1: it left the fleet" in fleet.told(taker)


def test_a_host_that_left_may_join_again():
    fleet = Fleet().up().declare("h1", available()).run(3).leave("h1").run(3)
    assert "web" not in fleet.hosts["h2"].world.fleet.claims
    fleet.hosts["h1"].left = False
    fleet.hosts["h1"].boot(reboot=False)
    fleet.run(5)
    assert fleet.standing("h2", "h1") is Standing.UP
    assert "web" in fleet.hosts["h2"].world.fleet.claims
    other_than("h1", fleet.kill("h1").run(4))


def test_a_lost_host_is_removed_and_returns_as_a_new_one():
    fleet = Fleet().up().kill("h3").run(9)
    fleet.hosts["h1"].tell(HostRemoved(host="h3", by="ann"))
    fleet.run(2)
    for name in ("h1", "h2"):
        assert "h3" not in fleet.hosts[name].world.fleet.hosts, name
    fleet.start("h3").declare("h3", available("late")).run(5)
    assert fleet.standing("h1", "h3") is Standing.UP
    assert "late" in fleet.hosts["h1"].world.fleet.claims
    assert fleet.kill("h3").run(4).where("late")


def test_links_that_come_back_one_after_the_other_make_nobody_lost():
    fleet = Fleet().up().declare("h3", available()).run(3).cut(["h1"], ["h2", "h3"]).run(9)
    fleet.heal().cut(["h1"], ["h3"], one_way=True).cut(["h2"], ["h3"]).run(2)
    assert not braked(fleet) and not lost(fleet, "h1")
    fleet.heal().run(5)
    assert fleet.where("web") == ["h3"]
    assert fleet.hosts["h1"].world.fleet.takeovers == 0


def test_a_suspicion_is_told_when_it_lasts_and_once():
    fleet = Fleet().up().cut(["h1"], ["h2"]).run(20)
    told = [w for w in fleet.told("h2") if w.startswith("HostSuspected")]
    assert told == ["HostSuspected: h1 is suspected: not heard here; still heard by h3"]


def test_a_host_that_dies_was_not_suspected_first():
    fleet = Fleet().up().kill("h1").run(10)
    assert not any(w.startswith("HostSuspected") for h in ("h2", "h3") for w in fleet.told(h))


def test_of_many_hosts_a_few_are_named():
    fleet = Fleet(9).up().kill("h1").run(4)
    words = fleet.hosts["h2"].world.fleet.hosts["h1"].words
    assert words == "nothing is heard of it by h2, h3, h4, h5, h6 and 3 more"


def test_who_does_not_hear_a_host_is_not_among_those_who_do():
    """Its kernel answers here, and others hear it."""
    fleet = Fleet().up().cut(["h1"], ["h2"]).run(1)
    fleet.hosts["h2"].tell(LinkSeen("h1", Hearing.ANSWERS))
    assert fleet.hosts["h2"].world.fleet.hosts["h1"].words == "not heard here; still heard by h3"


def test_where_serf_is_the_only_witness_its_word_is_acted_on_at_once():
    fleet = Fleet(3)
    for host in fleet.hosts.values():
        host.links = False
    fleet.up().declare("h1", available()).run(3).kill("h1")
    for _ in range(60):
        fleet.run(0.25)
        if fleet.standing("h2", "h1") is Standing.DOWN:
            break
    assert fleet.hosts["h2"].world.fleet.hosts["h1"].lost
