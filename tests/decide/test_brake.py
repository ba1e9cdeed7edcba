"""The brake on deletions: files that come back, and who confirmed."""

from __future__ import annotations

import pytest

from nodeorch.decide.commands import refusal
from nodeorch.model.facts import Command
from tests.decide.story import Story, workload

ALL = [workload(f"w{i}") for i in range(10)]


def left(story: Story, count: int) -> Story:
    story.files = {w.name: w for w in ALL[:count]}
    return story.specs().settle()


@pytest.mark.parametrize(
    ("of", "gone", "braked"), [(10, 3, False), (10, 4, True), (20, 6, False), (20, 7, True)]
)
def test_its_threshold(of: int, gone: int, braked: bool) -> None:
    story = Story(*[workload(f"w{i}") for i in range(of)]).up()
    for i in range(gone):
        del story.files[f"w{i}"]
    story.specs().settle()
    assert (story.world.brake is not None) is braked
    assert len(story.running()) == (of if braked else of - gone)


def test_files_that_come_back_one_by_one_lose_none_of_the_others() -> None:
    story = left(Story(*ALL).up(), 0)
    assert story.world.brake is not None and len(story.world.brake.names) == 10
    left(story, 4)
    assert story.world.brake is not None and len(story.world.brake.names) == 6
    left(story, 8)
    assert story.world.brake is not None, "two are gone, but of a deletion that is held"
    assert len(story.running()) == 10
    left(story, 10)
    assert story.world.brake is None


def test_confirm_deletes_what_was_shown_and_no_more() -> None:
    story = left(Story(*ALL).up(), 5)
    story.command("confirm", "").settle()
    assert len(story.running()) == 5
    assert any("uid 0 confirmed the deletion of w5" in w for w in story.words)
    assert refusal(story.world, Command(verb="confirm", by="x")) is not None


def test_what_was_deleted_before_does_not_count_again() -> None:
    story = left(Story(*ALL).up(), 7)
    assert len(story.running()) == 7
    left(story, 4)
    assert len(story.running()) == 4


def test_a_workload_declared_again_while_it_goes_is_not_stopped() -> None:
    story = Story(workload()).up()
    story.command("stop").settle()
    spec = story.files.pop("web")
    story.command("delete")
    story.specs(spec).settle()
    assert story.running() == {"web.0.g1"}
