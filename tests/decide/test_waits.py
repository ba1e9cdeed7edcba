"""Waits in the journal: each told once, and told again when it comes again."""

from __future__ import annotations

from nodeorch.model.workload import Resources
from tests.decide.story import MIB, Story, workload
from tests.decide.test_order_room import READINESS


def told(story: Story, code: str) -> list[str]:
    return [words for words in story.words if words.startswith(code)]


def test_a_wait_for_another_workload_is_told_once() -> None:
    db = workload("db", probes=READINESS)
    story = Story(db, workload("web", after=("db",))).up()
    for _ in range(5):
        story.relist().wait(3).settle()
    assert told(story, "Dependency") == ["Dependency: waits for db to be ready"]


def test_a_wait_for_room_is_told_again_only_when_it_ran_between() -> None:
    story = Story(workload("a"), memory=100 * MIB).up()
    story.specs(workload("b")).settle()
    for _ in range(3):
        story.relist().wait(3).settle()
    assert len(told(story, "NoRoom")) == 1
    story.command("stop", "a").settle()
    assert "b.0.g1" in story.running()
    story.command("start", "a").wait(1).settle()
    assert len(told(story, "NoRoom")) == 2


def test_each_long_back_off_is_told_with_its_length_and_a_short_one_is_not() -> None:
    story = Story(workload()).up()
    for _ in range(12):
        story.die("web.0.g1").settle().relist().settle()
        story.wait(31).settle()
    waits = told(story, "CrashLoop")
    assert 2 <= len(waits) <= 9 and len(set(waits)) == len(waits)
    assert all("until its next try: failed" in words for words in waits)
    assert not [w for w in waits if "waits 0." in w]


def test_what_waits_when_its_workload_goes_is_forgotten() -> None:
    story = Story(
        workload("a"), workload("b", resources=Resources(memory=200 * MIB)), memory=99 * MIB
    )
    story.up()
    assert story.world.waits
    story.command("delete", "b").settle()
    assert not story.world.waits


def test_generations_that_never_came_to_be_are_forgotten() -> None:
    story = Story(workload("a"), memory=100 * MIB).up()
    for n in range(20):
        story.specs(workload("b", env={"N": str(n)})).settle()
        assert len(story.world.waits) == 1
