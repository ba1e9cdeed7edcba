"""Order between workloads, room on the node, shutdown."""

from __future__ import annotations

from typing import Any

import pytest

from nodeorch.model.actions import Action, CreateContainer, StopContainer
from nodeorch.model.workload import (
    Condition,
    Probe,
    Probes,
    Resources,
    Restart,
    RestartPolicy,
    Tcp,
    Workload,
)
from tests.decide.story import MIB, Story, workload

READINESS = Probes(readiness=Probe(tcp=Tcp(port=1)))


def big(name: str, memory: int = 64, **more: Any) -> Workload:
    return workload(name, resources=Resources(memory=memory * MIB), **more)


def test_after_waits_for_ready() -> None:
    story = Story(workload("db", probes=READINESS), workload(after=("db",))).up()
    assert story.running() == {"db.0.g1"}
    assert any("waits for db to be ready" in h for h in story.holds())
    story.probe("db.0.g1", True).settle()
    assert "web.0.g1" in story.running()


def test_a_crash_is_not_held_up_by_what_it_was_started_after() -> None:
    story = Story(workload("db", probes=READINESS), workload(after=("db",))).up()
    story.probe("db.0.g1", True).settle().probe("db.0.g1", False).settle()
    story.die("web.0.g1").settle()
    assert "web.0.g1" in story.running()


@pytest.mark.parametrize("condition", list(Condition))
def test_needs(condition: Condition) -> None:
    job = workload("job", probes=READINESS, restart=Restart(policy=RestartPolicy.NEVER))
    story = Story(job, workload(needs={"job": condition})).up()
    assert ("web.0.g1" in story.running()) is (condition is Condition.STARTED)
    story.probe("job.0.g1", True).settle()
    assert ("web.0.g1" in story.running()) is (condition is not Condition.COMPLETED)
    story.die("job.0.g1", code=0).settle()
    assert "web.0.g1" in story.running()


@pytest.mark.parametrize("condition", [Condition.STARTED, Condition.READY])
def test_one_that_is_stopped_or_deleted_satisfies_nobody(condition: Condition) -> None:
    for verb in ("stop", "delete"):
        story = Story(workload("db")).up()
        if verb == "delete":
            del story.files["db"]
        story.command(verb, "db")
        story.until(StopContainer)  # it still runs
        story.specs(workload(needs={"db": condition})).settle()
        assert story.running() == {"db.0.g1"}
        assert any("waits for db" in h for h in story.holds())


def test_shutdown_stops_dependents_first_and_forgets_nothing() -> None:
    story = Story(workload("db"), workload(after=("db",))).up()
    story.command("shutdown", "")
    stopped = []
    while actions := story.step():
        for action in actions:
            stopped.append(action.key)
            story.obey(action)
    assert [s for s in stopped if s != "#list"] == ["web.0.g1", "db.0.g1"]
    assert not any(s.record.stopped for s in story.world.workloads.values())


def test_what_does_not_fit_waits_and_starts_when_there_is_room() -> None:
    story = Story(big("a", 600), big("b", 600), memory=1000 * MIB).up()
    assert story.running() == {"a.0.g1"}
    assert any("insufficient memory (need 600 MiB, 400 MiB free)" in h for h in story.holds())
    story.command("stop", "a").settle()
    assert story.running() == {"b.0.g1"}
    story.command("start", "a").settle()
    assert story.running() == {"b.0.g1"}
    story.command("stop", "b").settle()
    assert story.running() == {"a.0.g1"}


def test_priority_decides_who_gets_the_room() -> None:
    story = Story(big("a", 600), big("z", 600, priority=10), memory=1000 * MIB).up()
    assert story.running() == {"z.0.g1"}


def test_without_room_for_both_generations_the_old_one_goes_first() -> None:
    story = Story(big("web", 600), memory=1000 * MIB).up()
    story.specs(big("web", 600, env={"A": "1"})).settle().wait(2).settle()
    assert story.running() == {"web.0.g2"}


def test_a_crashed_one_is_restarted_although_the_node_is_full() -> None:
    story = Story(big("a", 600), memory=1000 * MIB).up()
    story.specs(big("b", 500)).settle()
    story.die("a.0.g1").settle()
    assert "a.0.g1" in story.running()


def test_a_live_raise_beyond_the_room_waits() -> None:
    story = Story(big("a", 600), memory=1000 * MIB).up()
    story.specs(big("a", 1200)).settle()
    assert story.limits[story.instance("a.0.g1").record.container_id].memory == 600 * MIB
    assert any("NoRoom" in h for h in story.holds())


def test_the_first_in_rank_has_the_room_however_late_the_engine_answers_for_it() -> None:
    story = Story(memory=1000 * MIB).up()
    story.specs(big("a", 600), big("z", 600, priority=10))
    late: list[Action] = []
    for _ in range(8):  # the engine answers for "a" at once, for "z" a round later
        now, late = late, []
        for action in story.step():
            (late if action.workload == "z" else now).append(action)
        for action in now:
            story.obey(action)
        assert "a.0.g1" not in story.running()
    assert story.running() == {"z.0.g1"}
    assert story.took(CreateContainer) == ["z.0.g1"]
