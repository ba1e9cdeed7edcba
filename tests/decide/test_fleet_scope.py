"""Replicas spread over a fleet, and workloads of every host."""

from __future__ import annotations

from collections import Counter

from nodeorch.model.actions import StartContainer, StopContainer
from nodeorch.model.facts import LinkSeen, ViewSeen
from nodeorch.model.fleet import Hearing
from nodeorch.model.placing import Placement, Scope
from nodeorch.model.workload import Port, Workload
from tests.decide.fleetstory import Fleet
from tests.decide.story import workload
from tests.decide.test_failover import available


def spread(name: str = "web", replicas: int = 3, **more: object) -> Workload:
    return available(name, scope=Scope.FLEET, replicas=replicas, **more)


def every(name: str = "agent", **more: object) -> Workload:
    return workload(name, scope=Scope.EVERY_HOST, **more)


def slots(fleet: Fleet, name: str = "web") -> dict[str, list[int]]:
    return {n: held for n, h in fleet.hosts.items() if (held := h.slots(name))}


def each_once(fleet: Fleet, replicas: int, name: str = "web") -> bool:
    return sorted(s for held in slots(fleet, name).values() for s in held) == list(range(replicas))


def acts(fleet: Fleet) -> Counter[str]:
    return Counter(
        {
            n: len(h.took(StartContainer)) + len(h.took(StopContainer))
            for n, h in fleet.hosts.items()
        }
    )


def test_replicas_are_spread_each_once():
    fleet = Fleet().up().declare("h1", spread()).run(3)
    assert {len(held) for held in slots(fleet).values()} == {1} and each_once(fleet, 3)


def test_what_a_lost_host_ran_moves_and_nothing_else():
    fleet = Fleet(4).up().declare("h1", spread(replicas=8, after=5.0)).run(3)
    before = slots(fleet)
    fleet.kill("h2").run(6)
    assert slots(fleet) == {h: s for h, s in before.items() if h != "h2"}, "after = 5"
    fleet.run(4)
    assert each_once(fleet, 8)
    for host, held in before.items():
        if host != "h2":
            assert set(held) <= set(slots(fleet)[host])
    assert not any(h.took(StopContainer) for h in fleet.hosts.values())


def test_a_host_that_comes_back_moves_nothing():
    fleet = Fleet().up().declare("h1", spread(replicas=6)).run(3).kill("h2").run(5)
    before, done = slots(fleet), acts(fleet)
    fleet.start("h2").run(12)
    assert slots(fleet) == before and acts(fleet) == done


def test_scaling_adds_and_removes_the_last():
    fleet = Fleet().up().declare("h1", spread(replicas=3)).run(3)
    before = slots(fleet)
    fleet.hosts["h1"].command("scale", replicas=5)
    fleet.run(4)
    assert each_once(fleet, 5)
    assert all(set(held) <= set(slots(fleet)[host]) for host, held in before.items())
    fleet.hosts["h1"].command("scale", replicas=2)
    assert each_once(fleet.run(4), 2)
    fleet.hosts["h1"].command("stop")
    assert slots(fleet.run(3)) == {}
    fleet.hosts["h1"].command("start")
    assert each_once(fleet.run(4), 2)


def test_both_sides_of_a_partition_fill_up_and_none_is_at_zero_when_it_heals():
    fleet = Fleet(5).up().declare("h1", spread(replicas=5)).run(3)
    fleet.cut(["h1", "h2"], ["h3", "h4", "h5"]).run(15)
    big = [s for h in ("h3", "h4", "h5") for s in fleet.hosts[h].slots("web")]
    assert sorted(big) == [0, 1, 2, 3, 4], "the larger side has all"
    small = [s for h in ("h1", "h2") for s in fleet.hosts[h].slots("web")]
    assert len(small) == 2, "the smaller one keeps its own, and takes over nothing"
    fleet.heal()
    for _ in range(40):
        fleet.run(0.25)
        assert set(range(5)) == {s for held in slots(fleet).values() for s in held}
    assert each_once(fleet, 5)


def test_an_update_reaches_one_host_after_the_other():
    fleet = Fleet().up().declare("h1", spread(replicas=3)).run(3)
    [slot] = fleet.hosts["h2"].slots("web")
    fleet.hosts["h2"].faults[f"web.{slot}.g2"] = "refused"
    fleet.declare("h1", spread(replicas=3, image="localhost/web:2")).run(40)
    images = {n: h.world.workloads["web"].workload.main.image for n, h in fleet.hosts.items()}
    assert images == {
        "h1": "localhost/web:2",
        "h2": "localhost/web:1",  # it went back
        "h3": "localhost/web:1",  # and holds up the rest
    }
    assert each_once(fleet, 3)
    fleet.declare("h1", spread(replicas=3, image="localhost/web:3")).run(20)
    assert {h.world.workloads["web"].workload.main.image for h in fleet.hosts.values()} == {
        "localhost/web:3"
    }


def test_a_daemon_that_restarts_claims_no_slots_of_others():
    fleet = Fleet().up().declare("h1", spread(replicas=6)).run(3)
    before, done = slots(fleet), acts(fleet)
    fleet.hosts["h2"].boot(reboot=False)
    fleet.hosts["h2"].settle()
    assert slots(fleet.run(10)) == before and acts(fleet) == done


def test_constraints_avoid_and_ports_are_respected():
    labels = {"h1": {"zone": "a"}, "h2": {"zone": "a"}, "h3": {"zone": "b"}}
    fleet = Fleet(labels=labels).up()
    fleet.declare("h1", spread(replicas=4, placement=Placement(constraints={"zone": ("a",)})))
    fleet.run(3)
    assert set(slots(fleet)) == {"h1", "h2"} and each_once(fleet, 4)


def test_a_host_port_is_not_given_to_two():
    port = (Port(container=80, host=8080),)
    fleet = Fleet().up().declare("h1", available("one", ports=port, prefer=("h3",)))
    fleet.declare("h2", available("two", ports=port, prefer=("h3",))).run(3)
    fleet.kill("h1").run(5)
    assert fleet.where("one") == ["h3"]
    fleet.kill("h2").run(6)
    assert fleet.where("two") == [], "its port is held"
    told = fleet.hosts["h3"].world.fleet.seats["two"]
    assert told.why.words == "no host can run it" and told.hosts == ("",)


def test_two_that_avoid_each_other_are_kept_apart():
    fleet = Fleet(4).up().declare("h1", available("one", placement=Placement(avoid=("two",))))
    fleet.declare("h2", available("two")).run(3).kill("h1").run(5)
    assert fleet.where("one")[0] in ("h3", "h4")


def test_every_host_runs_it_and_a_new_one_too():
    fleet = Fleet().up()
    fleet.kill("h3").run(5).declare("h1", every()).run(3)
    assert slots(fleet, "agent") == {"h1": [0], "h2": [0]}
    fleet.start("h3").run(8)
    assert slots(fleet, "agent") == {"h1": [0], "h2": [0], "h3": [0]}
    fleet.kill("h1").run(10)
    assert slots(fleet, "agent") == {"h2": [0], "h3": [0]}, "it needs no home to run on"
    fleet.start("h1").run(8).delete("h1", "agent").run(3)
    assert slots(fleet, "agent") == {}


def test_a_home_without_the_label_runs_its_own_and_says_so():
    placed = Placement(constraints={"disk": ("ssd",)})
    fleet = Fleet(labels={"h1": {"disk": "hdd"}, "h3": {"disk": "ssd"}}).up()
    fleet.declare("h1", available(placement=placed)).run(3)
    assert fleet.where("web") == ["h1"]
    words = fleet.hosts["h1"].world.fleet.seats["web"].why.words
    assert words == "runs on its home, though label disk is hdd here, not ssd"
    assert fleet.kill("h1").run(5).where("web") == ["h3"]


def test_of_every_host_those_that_may_not_run_it_do_not():
    fleet = Fleet(labels={"h1": {"disk": "ssd"}, "h3": {"disk": "ssd"}}).up()
    fleet.declare("h1", every(placement=Placement(constraints={"disk": ("ssd",)})))
    fleet.declare("h3", workload("agent", replicas=2)).run(4)
    assert slots(fleet, "agent") == {"h1": [0], "h3": [0, 1]}, "h3 has its own of that name"
    words = fleet.hosts["h2"].world.fleet.seats["agent"].why.words
    assert words == "label disk is not set here, not ssd"
    words = fleet.hosts["h3"].world.fleet.seats["agent"].why.words
    assert words == "this host declares a workload of that name itself"


def test_an_update_of_every_host_stops_at_the_one_where_it_fails():
    fleet = Fleet().up().declare("h1", every()).run(3)
    fleet.hosts["h2"].faults["agent.0.g2"] = "refused"
    fleet.declare("h1", every(image="localhost/web:2")).run(40)
    images = [h.world.workloads["agent"].workload.main.image for h in fleet.hosts.values()]
    assert images == ["localhost/web:2", "localhost/web:1", "localhost/web:1"]
    assert set(slots(fleet, "agent")) == {"h1", "h2", "h3"}


def test_from_one_host_to_all_and_back():
    fleet = Fleet().up().declare("h1", available(replicas=3)).run(3)
    fleet.never_none.add("web")
    fleet.declare("h1", spread(replicas=3)).run(4)
    assert slots(fleet) == {"h1": [0, 1, 2]}, "nothing moves because it could"
    fleet.declare("h1", spread(replicas=5)).run(4)
    assert each_once(fleet, 5) and len(slots(fleet)) == 3
    fleet.declare("h1", available(replicas=3)).run(6)
    assert slots(fleet) == {"h1": [0, 1, 2]}


def test_copies_with_an_old_version_give_way_to_one_with_the_new():
    """The home was cut off, updated and restarted it; the others have spread it anew meanwhile."""
    fleet = Fleet().up().declare("h1", spread(replicas=2)).run(3).cut(["h1"], ["h2", "h3"]).run(9)
    fleet.declare("h1", spread(replicas=2, image="localhost/web:2")).run(4)
    fleet.hosts["h1"].command("restart")
    fleet.run(3).heal()
    for _ in range(40):
        fleet.run(0.25)
        assert {s for held in slots(fleet).values() for s in held} == {0, 1}
    assert each_once(fleet, 2)
    for host in slots(fleet):
        state = fleet.hosts[host].world.workloads["web"]
        assert state.workload.main.image == "localhost/web:2"


def test_a_home_that_has_the_last_of_many_is_to_run_the_first_of_one():
    fleet = Fleet(4).up().declare("h1", spread(replicas=4)).run(3).cut(["h1"], ["h2"]).run(1)
    fleet.heal().declare("h1", available(replicas=1)).run(8)
    assert slots(fleet) == {"h1": [0]}


def test_a_daemon_that_heard_nobody_waits_for_the_others_when_the_brake_ends():
    """Their kernels answer, so it is not cut off any more; what they run it hears in a moment."""
    fleet = Fleet(5).up().declare("h1", spread(replicas=2)).run(3)
    name = next(host for host in slots(fleet) if host != "h1")
    host, held = fleet.hosts[name], slots(fleet)[name]
    others = fleet.hosts.keys() - {name}
    fleet.cut([name], others)
    host.boot(reboot=False)
    fleet.run(10)
    assert host.world.fleet.brake is not None
    for other in others:
        host.tell(LinkSeen(other, Hearing.ANSWERS))
    host.wait(1.0).settle()
    assert host.world.fleet.brake is None
    assert slots(fleet)[name] == held
    fleet.heal().run(8)
    assert each_once(fleet, 2)


def test_a_deletion_that_is_heard_of_by_another_way_first_ends_copies_all_the_same():
    fleet = Fleet().up().declare("h3", spread(replicas=3)).run(3)
    one, other, home = (fleet.hosts[name] for name in ("h1", "h2", "h3"))
    assert other.ready("web")
    fleet.delete("h3", "web")
    for host, seen, via in ((one, home, "h3"), (other, one, "h1"), (other, home, "h3")):
        view = seen.world.fleet.view
        assert view is not None
        host.tell(ViewSeen(view=view, via=via)).settle()
    other.wait(1.0).settle()
    assert not other.ready("web")
