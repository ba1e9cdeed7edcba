"""What is counted of workloads: each thing once, and only what happened."""

from __future__ import annotations

from collections import Counter

import pytest

from nodeorch.decide.happened import happened
from nodeorch.meters import WorkloadMeter, WorkloadMeters
from nodeorch.model.facts import EngineSeen, Loaded, OomSeen
from nodeorch.model.workload import Backoff, Restart, Workload
from nodeorch.model.world import Node, State, World
from tests.decide.story import Story, workload


class Counted(Story):
    """Counts between all worlds that it goes through, as the loop does between steps."""

    def __init__(self, *specs: Workload) -> None:
        self.meters = WorkloadMeters()
        super().__init__(*specs)

    @property
    def world(self) -> World:
        return self._world

    @world.setter
    def world(self, world: World) -> None:
        for event in happened(getattr(self, "_world", world), world):
            self.meters.add(event)
        self._world = world

    def of(self, name: str = "web") -> WorkloadMeter:
        return self.meters.by_name[name]


def test_a_first_start_is_no_restart() -> None:
    story = Counted(workload(replicas=3)).up()
    assert len(story.running()) == 3
    assert story.of() == WorkloadMeter()


def test_each_end_counts_by_cause_and_each_run_after_it() -> None:
    story = Counted(workload(), workload("other")).up()
    story.die("web.0.g1", code=1).settle()
    story.wait(120).settle()
    story.die("web.0.g1", code=137).settle()
    story.wait(120).settle()
    story.die("web.0.g1", code=137, oom=True).settle()
    met = story.of()
    assert met.restarts == 3
    assert met.exits == Counter(Exited=1, Signaled=1, OomKilled=1)
    assert met.oom_kills == 1
    assert story.of("other") == WorkloadMeter()


def test_an_oom_kill_of_a_child_counts_without_an_end() -> None:
    story = Counted(workload()).up()
    story.tell(OomSeen("web.0.g1", story.instance("web.0.g1").record.container_id, 2)).settle()
    assert (story.of().oom_kills, story.of().exits) == (2, Counter())


def test_down_time_is_of_ends_that_nobody_asked_for() -> None:
    slow = Restart(backoff=Backoff(initial=4.0, max=4.0))
    story = Counted(workload(restart=slow)).up()
    story.command("restart").settle()
    assert story.of().restarts == 1
    assert sum(story.meters.down.counts) == 0
    for _ in range(2):
        story.die("web.0.g1", code=1).settle()
        due = story.instance("web.0.g1").record.next_try
        if due is not None:
            story.wait(max(0.0, due - story.now)).settle()
    assert sum(story.meters.down.counts) == 2
    assert 0 <= story.meters.down.total < 5


def test_a_start_that_is_refused_is_an_exit_and_no_restart() -> None:
    story = Counted(workload())
    story.faults["web.0.g1"] = "refused"
    story.up()
    assert (story.of().exits, story.of().restarts) == (Counter(Failed=1), 0)


def test_an_adopted_instance_was_not_restarted() -> None:
    story = Counted(workload()).up()
    story.die("web.0.g1", code=1).settle()
    records = {i.name: i.record for i in story.world.workloads["web"].instances.values()}
    desired = {"web": story.world.workloads["web"].record}
    story.meters = WorkloadMeters()
    story.world = World(node=Node(name="h1", boot_id="boot-1", memory=1 << 40))
    story.tell(Loaded(desired=desired, instances=records, serial=9))
    story.tell(EngineSeen(answering=True, words="answers")).settle()
    assert story.instance("web.0.g1").state is State.RUNNING
    assert story.of() == WorkloadMeter()
    story.die("web.0.g1", code=1).settle()
    story.wait(31).settle()
    assert story.of().restarts == 1


@pytest.mark.parametrize(("tag", "ok", "failed"), [("2", 1, 0), ("missing", 0, 0)])
def test_an_update_counts_when_it_has_ended(tag: str, ok: int, failed: int) -> None:
    story = Counted(workload()).up()
    story.specs(workload(image=f"localhost/web:{tag}")).settle()
    for _ in range(3):
        story.wait(2).settle()
    assert story.of().updates == Counter(ok=ok, failed=failed)


def test_an_update_that_is_given_up_counts_as_failed() -> None:
    story = Counted(workload()).up()
    story.faults["web.0.g2"] = "refused"
    story.specs(workload(image="localhost/web:2")).settle()
    for _ in range(5):
        story.wait(31).settle()
    assert story.of().updates == Counter(ok=0, failed=1)
    assert story.running() == {"web.0.g1"}


def test_what_is_not_declared_any_more_is_forgotten() -> None:
    meters = WorkloadMeters()
    meters.by_name["web"].restarts = meters.by_name["gone"].restarts = 1
    meters.keep(["web", "new"])
    assert set(meters.by_name) == {"web"}


def test_the_time_of_an_end_before_the_boot_means_nothing_after_it() -> None:
    slow = Restart(backoff=Backoff(initial=60.0, max=60.0))
    story = Counted(workload(restart=slow)).up()
    while "web.0.g1" in story.running():
        story.die("web.0.g1", code=1).settle()
    records = {i.name: i.record for i in story.world.workloads["web"].instances.values()}
    desired = {"web": story.world.workloads["web"].record}
    story.meters = WorkloadMeters()
    story.world = World(node=Node(name="h1", boot_id="boot-2", memory=1 << 40))
    story.now += 5000
    story.tell(Loaded(desired=desired, instances=records, serial=9))
    story.tell(EngineSeen(answering=True, words="answers")).settle()
    assert story.running() == {"web.0.g1"}
    assert (story.of().restarts, sum(story.meters.down.counts)) == (1, 0)
