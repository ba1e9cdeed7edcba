"""What hosts know of what others declare, and of what was removed."""

from __future__ import annotations

from msgspec.structs import replace

from nodeorch.decide.fleet.graves import KEPT, take_refusal, union
from nodeorch.decide.fleet.mirrors import removal_refusal
from nodeorch.model.facts import HostRemoved, ViewSeen
from nodeorch.model.fleet import Grave, Stamp, View
from nodeorch.model.placing import Scope
from nodeorch.model.world import State
from tests.decide.fleetstory import Fleet, FleetHost
from tests.decide.story import workload
from tests.decide.test_failover import available, other_than


def view_of(host: FleetHost, other: str) -> View:
    return host.world.fleet.views[other]


def test_an_older_view_changes_nothing():
    fleet = Fleet().up().declare("h1", available()).run(3)
    host = fleet.hosts["h2"]
    old = view_of(host, "h1")
    fleet.declare("h1", available(image="localhost/web:2")).run(1)
    before = host.world.fleet
    host.tell(ViewSeen(view=old, via="h3"))
    assert host.world.fleet is before


def test_secrets_are_told_only_of_what_may_run_elsewhere():
    env = {"PASSWORD": "hush"}
    stays, moves, bare = workload("db", env=env), available(env=env), workload("cron")
    fleet = Fleet().up().declare("h1", stays, moves, bare).run(3)
    told = view_of(fleet.hosts["h2"], "h1").declared
    assert told["web"].workload.main.env == env and not told["web"].withheld
    assert told["db"].workload.main.env == {} and told["db"].withheld
    assert not told["cron"].withheld
    assert fleet.hosts["h1"].world.workloads["db"].workload.main.env == env
    fleet.kill("h1").run(4)
    refusals = [take_refusal(fleet.hosts["h2"].world, n, forced=False) for n in sorted(told)]
    assert refusals[0] is None and refusals[2] is None
    assert refusals[1] and "its env was never told to other hosts" in refusals[1]


def test_a_view_comes_by_way_of_a_third_host():
    fleet = Fleet().up().cut(["h1"], ["h2"]).declare("h1", available()).run(2)
    assert "web" in fleet.hosts["h2"].world.fleet.claims


def test_a_deletion_reaches_who_slept_by_way_of_who_knows():
    fleet = Fleet().up().declare("h1", available()).run(3).kill("h2").run(5)
    fleet.delete("h1", "web").run(2).kill("h1").run(5).start("h2").run(20)
    assert fleet.where("web") == []
    assert "web" not in fleet.hosts["h2"].world.fleet.claims


def test_what_a_host_held_before_it_slept_is_not_resurrected():
    """It held a copy, slept for months, and the workload was deleted; its home is off."""
    fleet = Fleet().up().declare("h1", available(prefer=("h2",))).run(3).kill("h1").run(4)
    assert fleet.where("web") == ["h2"]
    fleet.kill("h2").start("h1").run(12).delete("h1", "web").run(3).kill("h1").run(5)
    fleet.now += 90 * 86400
    fleet.start("h2").run(20)
    assert fleet.where("web") == []
    assert "web" not in fleet.hosts["h2"].world.workloads


def test_a_name_declared_again_after_its_deletion_has_a_higher_term():
    fleet = Fleet().up().declare("h1", available()).run(3).delete("h1", "web").run(3)
    fleet.declare("h1", available()).run(3)
    assert fleet.hosts["h2"].world.fleet.claims["web"].declared.term == 2
    other_than("h1", fleet.kill("h1").run(4))


def test_one_that_is_declared_again_while_it_is_being_deleted_lives():
    fleet = Fleet().up().declare("h1", available()).run(3)
    host = fleet.hosts["h1"]
    fleet.delete("h1", "web")
    host.specs(available())
    fleet.run(3)
    assert fleet.where("web") == ["h1"]
    other_than("h1", fleet.kill("h1").run(4))


def test_a_host_with_an_empty_disk_has_deleted_nothing():
    fleet = Fleet().up().declare("h1", available()).run(3).kill("h1").run(4)
    taker = other_than("h1", fleet)
    fleet.never_none.add("web")
    fleet.start("h1", lost_disk=True).run(20)
    assert fleet.where("web") == [taker]
    for host in fleet.hosts.values():
        claim = host.world.fleet.claims["web"]
        assert claim.orphan and claim.home == "h1", host.name


def test_an_orphan_moves_on_when_its_host_dies_and_never_to_the_home_that_forgot_it():
    fleet = Fleet(4).up().declare("h1", available()).run(3).kill("h1").run(4)
    first = other_than("h1", fleet)
    fleet.start("h1", lost_disk=True).run(8).kill(first).run(5)
    assert other_than("h1", fleet) != first


def test_who_slept_when_a_disk_was_lost_learns_of_the_orphan():
    fleet = Fleet().up().kill("h3").run(5).declare("h1", available()).run(3).kill("h1").run(4)
    fleet.start("h1", lost_disk=True).run(8).start("h3").run(8)
    assert fleet.hosts["h3"].world.fleet.claims["web"].orphan
    assert fleet.kill("h2").run(5).where("web") == ["h3"]


def test_an_orphan_that_its_home_declares_again_is_its_own():
    fleet = Fleet().up().declare("h1", available()).run(3).kill("h1").run(4)
    taker = other_than("h1", fleet)
    fleet.never_none.add("web")
    fleet.start("h1", lost_disk=True).run(8)
    fleet.declare("h1", available(image="localhost/web:2")).run(5)
    claim = fleet.hosts[taker].world.fleet.claims["web"]
    assert (claim.home, claim.orphan) == ("h1", False)
    assert len(fleet.where("web")) == 1
    fleet.never_none.clear()
    fleet.delete("h1", "web").run(5)
    assert fleet.where("web") == []
    assert not any("web" in h.world.fleet.claims for h in fleet.hosts.values())


def test_generations_that_are_counted_anew_give_no_number_out_twice():
    """The copy was made of a generation 1; the home lost its database and declares another 1."""
    fleet = Fleet().up().declare("h1", available()).run(3).kill("h1").run(4)
    taker = fleet.hosts[other_than("h1", fleet)]
    fleet.never_none.add("web")
    fleet.start("h1", lost_disk=True).run(8)
    fleet.declare("h1", available(image="localhost/web:2")).run(5)
    assert taker.world.workloads["web"].workload.main.image == "localhost/web:2"
    assert sorted(taker.running()) == ["web.0.g2"]
    states = [c.state for c in taker.containers.values()]
    assert states == [State.RUNNING]


def test_of_a_host_whose_database_is_older_the_terms_are_adopted():
    fleet = Fleet().up().declare("h1", available()).run(3)
    h1, h2 = fleet.hosts["h1"], fleet.hosts["h2"]
    mine = view_of(h2, "h1")
    later = replace(
        mine,
        stamp=replace(mine.stamp, revision=mine.stamp.revision + 7),
        declared={"web": replace(mine.declared["web"], term=4)},
        graves={"h1/web": Grave(term=3, by="h1"), "h1/old": Grave(term=1, by="h1")},
    )
    h1.tell(ViewSeen(view=later, via="h2"))
    own = h1.world.fleet.view
    assert own is not None and own.stamp > later.stamp
    assert own.stamp.incarnation == mine.stamp.incarnation + 1
    assert own.declared["web"].term == 4 and "h1/old" in own.graves
    fleet.run(2)
    assert fleet.where("web") == ["h1"]
    assert fleet.hosts["h3"].world.fleet.claims["web"].declared.term == 4


def test_two_databases_of_a_host_share_no_stamp():
    fleet = Fleet().up().run(2)
    before = fleet.hosts["h1"].world.fleet.record.stamp
    fleet.kill("h1").run(4).start("h1", lost_disk=True).run(2)
    assert fleet.hosts["h1"].world.fleet.record.stamp.incarnation > before.incarnation
    assert before.incarnation > Stamp(1).incarnation


def test_graves_are_bounded_and_the_oldest_are_forgotten_for_good():
    ours = {f"h1/w{n}": Grave(term=1, by="h1", wall=100.0 + n) for n in range(KEPT)}
    old = {"h2/old": Grave(term=1, by="h2", wall=5.0)}
    assert union(ours, old) is ours, "else hosts would tell each other of it for ever"
    new = {"h2/new": Grave(term=1, by="h2", wall=1e6)}
    merged = union(ours, new)
    assert len(merged) == KEPT and "h2/new" in merged and "h1/w0" not in merged
    assert union(merged, ours) is merged


def test_a_host_with_workloads_of_its_own_is_not_removed():
    fleet = Fleet().up().declare("h1", available()).run(3).kill("h1").run(9)
    host = fleet.hosts["h2"]
    words = removal_refusal(host.world, HostRemoved(host="h1", by="ann"))
    assert words is not None and "it is the home of web" in words and "home take web" in words
    host.tell(HostRemoved(host="h1", by="ann"))
    assert "h1" in host.world.fleet.hosts


def test_whom_serf_still_sees_is_not_removed():
    fleet = Fleet().up().kill("h1").run(4)
    words = removal_refusal(fleet.hosts["h2"].world, HostRemoved(host="h1", by="ann"))
    assert words == "cannot remove h1: Serf does not know yet that it is gone; wait some seconds"
    fleet.run(5)
    assert removal_refusal(fleet.hosts["h2"].world, HostRemoved(host="h1", by="ann")) is None


def test_a_host_that_is_up_or_unknown_is_not_removed():
    fleet = Fleet().up()
    for host, words in (("h2", "it is up"), ("h9", "the fleet has no such host")):
        refused = removal_refusal(fleet.hosts["h1"].world, HostRemoved(host=host, by="ann"))
        assert refused is not None and words in refused


def test_alone_nothing_is_told_and_nothing_changes():
    fleet = Fleet(1).up().declare("h1", workload("web"), available("two")).run(3)
    assert fleet.copies("web") == fleet.copies("two") == {"h1": 1}


def test_who_leaves_the_fleet_ends_the_copies_and_runs_its_own():
    fleet = Fleet().up().declare("h1", available(), available("every", scope=Scope.EVERY_HOST))
    fleet.declare("h2", available("mine")).run(3).kill("h1", "h3").run(1)
    host = fleet.hosts["h2"]
    assert host.ready("every")
    fleet.kill("h1", "h3")
    record, states = host.world.fleet.record, host.world.workloads
    assert record.lineage and states["every"].record.home == "h1"
    host.alone = True
    host.boot(reboot=False)
    host.settle()
    assert host.running() == {"mine.0.g1"}
    assert "every" not in host.world.workloads
