"""Accepting, keeping and deleting specs."""

from __future__ import annotations

from nodeorch.model.facts import SpecsSeen
from nodeorch.model.world import Code
from tests.decide.story import Story, workload


def many(count: int) -> list:  # type: ignore[type-arg]
    return [workload(f"w{i}") for i in range(count)]


def without(story: Story, *names: str) -> Story:
    for name in names:
        del story.files[name]
    return story.specs().settle()


def test_a_file_that_is_gone_deletes_its_workload() -> None:
    story = Story(*many(5)).up()
    without(story, "w0")
    assert "w0" not in story.world.workloads
    assert len(story.running()) == 4


def test_many_files_gone_at_once_delete_nothing_until_confirmed() -> None:
    story = Story(*many(10)).up()
    without(story, "w0", "w1", "w2", "w3")
    assert len(story.running()) == 10
    assert story.world.brake is not None
    assert any("nodeorch confirm" in w for w in story.words)
    story.command("confirm", "").settle()
    assert len(story.running()) == 6
    assert story.world.brake is None


def test_thirty_percent_of_many_may_go() -> None:
    story = Story(*many(20)).up()
    without(story, *[f"w{i}" for i in range(6)])
    assert len(story.running()) == 14


def test_an_empty_directory_deletes_nothing() -> None:
    story = Story(workload("w0")).up()
    without(story, "w0")
    assert story.running() == {"w0.0.g1"}
    story.specs(workload("w0")).settle()
    assert story.world.brake is None
    assert story.running() == {"w0.0.g1"}


def test_an_unreadable_directory_deletes_nothing() -> None:
    story = Story(*many(2)).up()
    story.tell(SpecsSeen(workloads={}, unreadable="cannot read /x: gone")).settle()
    assert len(story.running()) == 2
    assert any("cannot read /x" in w for w in story.words)


def test_a_broken_file_keeps_the_last_good_version() -> None:
    story = Story(*many(2)).up()
    good = story.files.pop("w0")
    story.specs(rejected={"w0": "w0.toml:1:1: error"}).settle()
    assert len(story.running()) == 2
    assert story.world.rejected == {"w0": "w0.toml:1:1: error"}
    assert sum("w0.toml" in w for w in story.words) == 1
    story.specs(rejected={"w0": "w0.toml:1:1: error"})
    assert sum("w0.toml" in w for w in story.words) == 1, "said once"
    story.specs(good)
    assert story.world.rejected == {}


def test_an_explicit_deletion_needs_no_confirmation() -> None:
    story = Story(workload("w0")).up()
    del story.files["w0"]
    story.specs(deleted=("w0",)).settle()
    assert story.running() == set() and story.world.workloads == {}


def test_the_same_content_is_no_change() -> None:
    story = Story(workload()).up()
    before = story.world.workloads
    story.specs()
    assert story.world.workloads is before or story.world.workloads == before
    assert story.world.workloads["web"].record.latest == 1


def test_a_deletion_taken_back_in_time() -> None:
    story = Story(*many(2)).up()
    gone = story.files.pop("w0")
    story.specs()
    assert story.world.workloads["w0"].record.deleting
    story.specs(gone).settle()
    assert len(story.running()) == 2


def test_an_edit_cancels_a_backoff() -> None:
    story = Story(workload()).up()
    while "web.0.g1" in story.running():
        story.die("web.0.g1", code=1).settle()
    story.specs(workload(priority=5)).settle()
    assert "web.0.g1" in story.running()


def test_what_was_accepted_is_said_with_its_effect() -> None:
    story = Story(workload()).up()
    story.specs(workload(env={"A": "1"}))
    assert any(
        w.startswith(Code.SPEC_ACCEPTED.value) and "workload.env" in w and "recreate" in w
        for w in story.words
    )
