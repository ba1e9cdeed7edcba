"""What operators ask for, followed until it is real: played against the pretended engine."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from nodeorch.decide.absorb import absorb
from nodeorch.decide.changes import KEPT, verdict
from nodeorch.decide.edit import put
from nodeorch.decide.template import version
from nodeorch.model.actions import StartContainer, StopContainer
from nodeorch.model.change import Asked, Change, ChangeState, Goal, Want
from nodeorch.model.facts import Command, EngineSeen, Loaded, SpecsSeen
from nodeorch.model.workload import Restart, RestartPolicy, Workload
from nodeorch.model.world import Brake
from tests.decide.fleetstory import Fleet
from tests.decide.story import Story, workload
from tests.decide.test_failover import available
from tests.decide.test_update import READINESS

TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


def asked(number: int, verb: str, trace: str = "") -> Asked:
    return Asked(number, verb, "uid 0", 1e9, trace)


def ask(story: Story, verb: str, name: str = "web", number: int = 1, **more: Any) -> Story:
    return story.tell(Command(verb, name, "uid 0", change=asked(number, verb), **more))


def apply(story: Story, *specs: Workload, number: int = 1, **more: Any) -> Story:
    names = tuple(spec.name for spec in specs)
    return story.specs(*specs, applied=names, by="uid 0", change=asked(number, "apply"), **more)


def change(story: Story, number: int = 1) -> Change:
    return story.world.changes[number]


def state(story: Story, number: int = 1) -> str:
    found = change(story, number)
    assert (found.state is ChangeState.DOING) == (number in story.world.doing)
    assert (found.state is ChangeState.DOING) == (found.took is None)
    assert bool(found.wants) == (found.state is ChangeState.DOING)
    return found.state.value


@pytest.mark.parametrize(
    ("verb", "more", "words"),
    [
        ("restart", {}, "web is ready, generation 1"),
        ("scale", {"replicas": 3}, "web is ready, generation 1"),
        ("scale", {"replicas": 0}, "web has no replicas, generation 1"),
        ("stop", {}, "web is stopped"),
        ("delete", {}, "web is gone"),
        ("shutdown", {}, "web is stopped"),
    ],
)
def test_a_command_is_done_when_it_is_real(verb: str, more: dict[str, Any], words: str) -> None:
    story = Story(workload()).up()
    ask(story, verb, **more)
    for _ in range(20):
        assert state(story) == "doing"
        actions = story.step()
        if not actions:
            break
        for action in actions:
            assert state(story) == "doing"
            story.obey(action)
        if state(story) == "done":
            break
    assert state(story) == "done"
    assert change(story).reason == words
    story.settle()
    assert f"ChangeDone: change 1 ({verb}) is done: {words}" in story.words
    assert story.words.count(f"ChangeDone: change 1 ({verb}) is done: {words}") == 1


def test_start_waits_for_readiness() -> None:
    story = Story(workload(probes=READINESS)).up().probe("web.0.g1", True).settle()
    story.command("stop").settle()
    ask(story, "start").settle()
    assert state(story) == "doing"
    story.probe("web.0.g1", True)
    assert state(story) == "done"


def test_apply_is_done_when_its_generation_is_ready_and_the_old_one_gone() -> None:
    story = Story(workload(probes=READINESS)).up().probe("web.0.g1", True).settle()
    apply(story, workload(image="localhost/web:2", probes=READINESS)).settle()
    assert state(story) == "doing"
    story.probe("web.0.g2", True)
    assert state(story) == "doing"
    story.settle()
    assert (state(story), change(story).reason) == ("done", "web is ready, generation 2")


def test_nothing_is_done_while_the_way_back_is_open() -> None:
    story = Story(workload(image="localhost/web:2")).up()
    apply(story, workload(image="localhost/web:2"))
    assert state(story) == "done"
    record = story.world.workloads["web"].record
    going = replace(record, previous=version(workload(), 0))
    world = put(story.world, replace(story.world.workloads["web"], record=going))
    assert verdict(world, "web", Want(Goal.READY, 1)) is None


def test_apply_of_limits_is_done_when_the_kernel_has_them() -> None:
    story = Story(workload()).up()
    bigger = replace(workload(), resources=replace(workload().resources, memory=1 << 28))
    apply(story, bigger)
    assert state(story) == "doing"
    story.settle()
    assert state(story) == "done"


def test_apply_of_what_already_is_so_is_done_at_once() -> None:
    story = Story(workload()).up()
    apply(story, workload())
    assert state(story) == "done"
    assert change(story).took == 0.0


def test_apply_of_several_is_done_with_the_last() -> None:
    story = Story().up()
    apply(story, workload("a", probes=READINESS), workload("b")).settle()
    assert set(change(story).wants) == {"a"}
    story.probe("a.0.g1", True)
    assert (state(story), change(story).reason) == ("done", "2 workloads are as asked")


def test_apply_fails_when_the_update_goes_back() -> None:
    story = Story(workload(probes=READINESS)).up().probe("web.0.g1", True).settle()
    apply(story, workload(image="localhost/web:2", probes=READINESS)).settle()
    story.wait(400.0).settle()
    assert state(story) == "failed"
    assert "generation 2 failed" in change(story).reason
    assert "back to generation 1" in change(story).reason


def test_applying_what_has_failed_again_fails_at_once() -> None:
    story = Story(workload(probes=READINESS)).up().probe("web.0.g1", True).settle()
    bad = workload(image="localhost/web:2", probes=READINESS)
    apply(story, bad).settle().wait(400.0).settle()
    apply(story, bad, number=2)
    assert state(story, 2) == "failed"
    ask(story, "restart", number=3).settle().probe("web.0.g1", True)
    assert state(story, 3) == "done"


def test_a_refused_file_is_a_failed_change() -> None:
    story = Story(workload()).up()
    fact = SpecsSeen(
        {}, {"web": "web.toml:1:1: bad"}, applied=("web",), change=asked(1, "apply"), by="uid 0"
    )
    story.tell(fact)
    assert (state(story), change(story).reason) == ("failed", "web.toml:1:1: bad")


def test_a_command_that_cannot_be_obeyed_is_a_failed_change() -> None:
    story = Story(workload()).up()
    ask(story, "rollback")
    assert state(story) == "failed"
    assert change(story).reason.startswith("cannot roll back web")


def test_a_job_that_fails_for_good_fails_its_change() -> None:
    once = workload(restart=Restart(policy=RestartPolicy.NEVER), probes=READINESS)
    story = Story().up()
    apply(story, once).settle()
    story.die("web.0.g1", code=3).settle()
    assert state(story) == "failed"
    assert "web.0.g1" in change(story).reason


def test_a_job_that_completes_is_done() -> None:
    once = workload(restart=Restart(policy=RestartPolicy.ON_FAILURE), probes=READINESS)
    story = Story().up()
    apply(story, once).settle()
    assert state(story) == "doing"
    story.die("web.0.g1", code=0).settle()
    assert state(story) == "done"


def test_a_crash_loop_goes_on_until_it_is_over() -> None:
    story = Story().up()
    story.faults["web.0.g1"] = "refused"
    apply(story, workload())
    for _ in range(5):
        story.settle().wait(31.0)
        assert state(story) == "doing"
    del story.faults["web.0.g1"]
    story.wait(31.0).settle()
    assert state(story) == "done"


def test_a_newer_change_of_the_same_workload_supersedes() -> None:
    story = Story(workload()).up()
    ask(story, "restart", number=1)
    story.until(StopContainer)
    ask(story, "stop", number=2)
    assert (state(story, 1), change(story, 1).reason) == (
        "superseded",
        "web: change 2 (stop) took its place",
    )
    assert state(story, 2) == "doing"


def test_only_what_is_newer_of_several_is_superseded() -> None:
    story = Story().up()
    apply(story, workload("a", probes=READINESS), workload("b", probes=READINESS)).settle()
    ask(story, "stop", "a", number=2).settle()
    assert (state(story, 1), state(story, 2)) == ("doing", "done")
    story.probe("b.0.g1", True)
    assert (state(story), change(story).reason) == (
        "superseded",
        "a: change 2 (stop) took its place",
    )


def test_an_edited_file_supersedes_too() -> None:
    story = Story(workload(probes=READINESS)).up()
    ask(story, "restart")
    story.specs(workload(image="localhost/web:2", probes=READINESS))
    assert (state(story), change(story).reason) == (
        "superseded",
        "web: is to be generation 2 now",
    )


def test_declared_again_while_it_goes() -> None:
    story = Story(workload()).up()
    ask(story, "delete")
    story.specs(workload())
    assert (state(story), change(story).reason) == ("superseded", "web: was declared again")


def test_a_stopped_workload_may_be_applied() -> None:
    story = Story(workload()).up().command("stop").settle()
    apply(story, workload(image="localhost/web:2")).settle()
    assert (state(story), change(story).reason) == ("done", "web is stopped")


def test_rollback_is_done_when_the_old_generation_is_back() -> None:
    story = Story(workload()).up()
    story.specs(workload(image="localhost/web:2")).settle().wait(60.0).settle()
    ask(story, "rollback", version=version(workload(), 1))
    assert state(story) == "doing"
    story.settle().wait(60.0).settle()
    assert (state(story), change(story).reason) == ("done", "web is ready, generation 1")


def test_confirm_wants_all_of_them_gone() -> None:
    story = Story(workload("a"), workload("b")).up()
    story.world = replace(story.world, brake=Brake(("a", "b"), "held"))
    ask(story, "confirm", "")
    assert change(story).workloads == ("a", "b")
    story.settle()
    assert (state(story), change(story).reason) == ("done", "2 workloads are as asked")


def test_the_journal_carries_the_number_and_the_trace() -> None:
    story = Story(workload()).up()
    fact = Command("restart", "web", "uid 0", change=asked(7, "restart", TRACE))
    [note] = absorb(story.world, fact, story.now).notes
    assert note.why.words == "restart, by uid 0"
    assert note.details == {"change": 7, "trace": TRACE}
    ask(story, "stop", number=8)
    assert change(story, 8).asked.trace == ""


def test_the_last_ones_are_remembered_and_those_that_go_on() -> None:
    story = Story(workload(probes=READINESS), workload("db")).up()
    ask(story, "restart", number=1)
    for number in range(2, KEPT + 20):
        ask(story, "scale", "db", number=number, replicas=1)
    assert len(story.world.changes) == KEPT
    assert state(story, 1) == "doing"
    assert 2 not in story.world.changes
    assert state(story, KEPT + 19) == "done"


def test_a_change_is_found_again_by_the_next_daemon() -> None:
    story = Story(workload()).up()
    ask(story, "restart")
    story.until(StartContainer)
    heir = Story(workload(), boot_id="boot-2")
    heir.now = 5.0  # the host was booted in between
    own = story.world.workloads["web"]
    records = {name: i.record for name, i in own.instances.items()}
    heir.containers, heir.limits, heir.ports = story.containers, story.limits, story.ports
    heir._ids = story._ids
    left = Loaded({"web": own.record}, records, 9, changes=story.world.changes, wall=1e9 + 70.0)
    heir.tell(left)
    assert state(heir) == "doing"
    heir.specs().tell(EngineSeen(answering=True, words="answers")).settle()
    assert state(heir) == "done"
    assert change(heir).took == pytest.approx(70.0, abs=1.0)


def test_what_runs_on_other_hosts_is_ready_when_they_say_so_of_that_version():
    fleet = Fleet().up().declare("h1", available(prefer=("h2",))).run(3).kill("h1").run(4)
    h1 = fleet.start("h1").run(12).hosts["h1"]
    assert fleet.where("web") == ["h2"]
    fleet.cut(["h1"], ["h2"])
    files = {"web": available(prefer=("h2",), image="localhost/web:2")}
    h1.files = files
    h1.tell(SpecsSeen(workloads=files, applied=("web",), by="ann", change=asked(7, "apply")))
    assert h1.world.changes[7].state is ChangeState.DOING, "h2 has not even heard of it"
    fleet.heal().run(8)
    assert fleet.where("web") == ["h2"]
    assert h1.world.changes[7].state is ChangeState.DONE
    assert h1.world.changes[7].reason == "web is ready, generation 2"
