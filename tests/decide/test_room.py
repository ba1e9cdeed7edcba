"""The node's memory: who may have it, and that nobody waits for what nobody uses."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from nodeorch.decide.room import Room, requested
from nodeorch.model.actions import CreateContainer, StartContainer, UpdateLimits
from nodeorch.model.workload import Resources, Restart, RestartPolicy, Workload
from nodeorch.model.world import State
from tests.decide.story import MIB, Story, workload
from tests.decide.test_observe import successor


def sized(name: str, memory: int = 64, **more: Any) -> Workload:
    return workload(name, resources=Resources(memory=memory * MIB), **more)


def patient(story: Story) -> set[str]:
    for _ in range(5):
        story.wait(100).settle()
    return story.running()


def test_after_a_reboot_what_fits_starts_by_priority() -> None:
    """A raise that never fitted must not hold everything back on the next boot."""
    story = Story(sized("a"), sized("b", priority=10), memory=160 * MIB).up()
    story.specs(sized("a", 128)).settle()
    assert any("a.0.g1: NoRoom" in h for h in story.holds())
    for own, c in story.containers.items():
        story.containers[own] = replace(c, state=State.EXITED, pid=0, exit_code=0)
    heir = successor(story, boot_id="boot-2", now=30.0)
    heir.world = replace(heir.world, node=replace(heir.world.node, memory=160 * MIB))
    assert patient(heir.settle()) == {"b.0.g1"}


def test_after_a_boot_no_place_is_kept_for_one_that_waits_for_another() -> None:
    node = 200 * MIB
    story = Story(sized("a", replicas=2), sized("b", 32), memory=node).up()
    story.specs(sized("b", 64, env={"V": "2"})).settle()
    assert "b.0.g2" in story.running() and "b.0.g1" not in story.running()
    for own, c in story.containers.items():
        story.containers[own] = replace(c, state=State.EXITED, pid=0, exit_code=0)
    story.files["b"] = sized("b", 128, env={"V": "3"}, after=("a",))
    heir = successor(story, boot_id="boot-2", now=30.0)
    heir.world = replace(heir.world, node=replace(heir.world.node, memory=node))
    assert {"a.0.g1", "a.1.g1"} <= patient(heir.settle())


def test_one_that_waits_for_a_raise_is_restarted_with_what_it_had() -> None:
    story = Story(sized("a"), sized("b"), memory=160 * MIB).up()
    story.specs(sized("a", 128)).settle()
    story.die("a.0.g1").settle()
    assert story.running() == {"a.0.g1", "b.0.g1"}


def test_two_stopped_ones_that_do_not_fit_together_do_not_wait_for_each_other() -> None:
    story = Story(sized("a"), memory=100 * MIB).up()
    story.command("stop", "a").settle()
    story.specs(sized("b")).settle()
    story.command("stop", "b").settle()
    story.command("start", "a").command("start", "b").settle()
    assert len(patient(story)) == 1


def test_two_crashed_ones_with_raised_needs_do_not_wait_for_each_other() -> None:
    story = Story(sized("a", replicas=2), memory=200 * MIB).up()
    story.specs(sized("a", 128, replicas=2))
    story.die("a.0.g1", 1).die("a.1.g1", 1)
    heir = successor(story)  # it does not know what limits they had
    heir.world = replace(heir.world, node=replace(heir.world.node, memory=200 * MIB))
    assert len(patient(heir.settle())) == 2, "with what their containers have"
    assert sum(limits.memory or 0 for limits in heir.limits.values()) <= 200 * MIB


def test_a_place_that_cannot_be_kept_is_kept_from_nobody() -> None:
    story = Story(sized("a", 100), sized("b", 50), memory=200 * MIB).up()
    story.specs(sized("b", 150)).die("b.0.g1", 1)
    story.files["c"] = sized("c", 60)
    heir = successor(story)
    heir.world = replace(heir.world, node=replace(heir.world.node, memory=200 * MIB))
    assert patient(heir.settle()) == {"a.0.g1", "c.0.g1"}


def test_a_completed_job_gives_its_room_back() -> None:
    story = Story(sized("job", restart=Restart(policy=RestartPolicy.NEVER)), memory=100 * MIB).up()
    story.die("job.0.g1", 0).settle()
    story.specs(sized("web")).settle()
    assert story.running() == {"web.0.g1"}


def test_a_crashed_one_finds_its_place_again_while_another_waits() -> None:
    story = Story(sized("a"), memory=100 * MIB).up()
    story.specs(sized("b", priority=9)).settle()
    for _ in range(4):
        story.die("a.0.g1", 1).settle()
        if "a.0.g1" not in story.running():
            break
    assert story.running() == set(), "it waits out its backoff, and its place waits with it"
    story.wait(31).settle()
    assert story.running() == {"a.0.g1"}


def test_an_operators_restart_does_not_lose_its_place() -> None:
    story = Story(sized("a"), memory=100 * MIB).up()
    story.specs(sized("b", priority=9)).settle()
    story.command("restart", "a").settle()
    assert story.running() == {"a.0.g1"}


def test_a_raise_under_way_is_not_promised_to_another() -> None:
    story = Story(sized("a"), memory=200 * MIB).up()
    story.specs(sized("a", 128))
    story.until(UpdateLimits)  # no answer yet
    story.specs(sized("b", 100))
    for action in story.step():
        story.obey(action)
    assert not [a for a in story.step() if isinstance(a, CreateContainer)]
    assert any("b.0.g1: NoRoom" in h for h in story.holds())


def test_starts_of_one_turn_share_what_there_is() -> None:
    story = Story(sized("a"), sized("b"), sized("c"), memory=130 * MIB).up()
    for action in ("stop", "start"):
        for name in ("a", "b", "c"):
            story.command(action, name)
        if action == "stop":
            story.settle()
    starts = [a for a in story.step() if isinstance(a, StartContainer)]
    assert len(starts) == 2


def test_old_and_new_that_both_ended_do_not_start_on_one_place() -> None:
    story = Story(sized("web", 80), memory=170 * MIB).up()
    story.specs(sized("web", 80, image="localhost/web:2")).settle()
    assert story.running() == {"web.0.g1", "web.0.g2"}
    story.die("web.0.g1", 1).die("web.0.g2", 1)
    story.specs(sized("db", 20, priority=9)).settle()
    assert story.running() == {"web.0.g2", "db.0.g1"}


def test_what_made_way_for_lack_of_room_stays_away() -> None:
    story = Story(sized("web", 80), memory=100 * MIB).up()
    story.specs(sized("web", 80, image="localhost/web:2")).settle()
    assert story.running() == {"web.0.g2"}
    story.die("web.0.g2", 1).settle()
    assert story.running() == {"web.0.g2"}


def test_what_is_requested_is_what_runs_and_what_is_promised() -> None:
    story = Story(sized("a"), sized("b", 32), memory=1000 * MIB).up()
    assert requested(story.world) == 96 * MIB
    story.command("stop", "b").settle()
    assert requested(story.world) == 64 * MIB
    room, state = Room(story.world), story.world.workloads["b"]
    assert room.refuses(state, 0, 936 * MIB) is None
    assert room.refuses(state, 0, 937 * MIB) is not None
    room.start(state, 0, 900 * MIB)
    assert room.lacks(37 * MIB) is not None and room.lacks(36 * MIB) is None
