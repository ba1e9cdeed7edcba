"""The order of start, where what is waited for runs on another host."""

from __future__ import annotations

from nodeorch.model.placing import Failback, Failover, FailoverMode
from nodeorch.model.workload import Workload
from tests.decide.fleetstory import Fleet
from tests.decide.story import workload

AVAILABLE = Failover(mode=FailoverMode.AVAILABLE, failback=Failback.NEVER)


def moves(name: str, **more: object) -> Workload:
    return workload(name, failover=AVAILABLE, **more)


def test_a_workload_starts_when_what_it_needs_is_ready_on_another_host():
    fleet = Fleet().up().declare("h1", moves("db")).run(3).kill("h1").run(4).start("h1").run(8)
    assert "h1" not in fleet.where("db")
    fleet.declare("h1", workload("web", after=("db",))).run(3)
    assert fleet.where("web") == ["h1"]


def test_it_waits_while_that_is_nowhere():
    fleet = Fleet().up().declare("h1", moves("db")).run(3).kill("h1").run(4).start("h1").run(8)
    taker = fleet.where("db")[0]
    fleet.hosts[taker].die("db.0.g1")
    fleet.hosts[taker].faults["db.0.g1"] = "refused"
    fleet.declare("h1", workload("web", after=("db",))).run(2)
    assert fleet.where("web") == []
    assert any("waits for db to be ready" in w for w in fleet.hosts["h1"].holds())


def test_a_copy_does_not_wait_for_what_cannot_leave_its_home():
    fleet = Fleet().up()
    fleet.declare("h1", workload("local"), moves("web", after=("local",))).run(3)
    assert fleet.where("web") == ["h1"]
    fleet.kill("h1").run(4)
    assert len(fleet.where("web")) == 1


def test_two_that_move_together_keep_their_order():
    fleet = Fleet().up().declare("h1", moves("db"), moves("web", after=("db",))).run(3)
    fleet.kill("h1").run(5)
    assert len(fleet.where("db")) == len(fleet.where("web")) == 1
