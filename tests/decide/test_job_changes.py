"""Changes of jobs: a version that was applied, and runs that were asked for, go on side by side."""

from __future__ import annotations

import pytest

from nodeorch.model.workload import Concurrency
from tests.decide.jobstory import JobStory, job
from tests.decide.test_changes import apply, ask, change, state

ABREAST = job(concurrency=Concurrency.ALLOW)


def applied() -> JobStory:
    """Change 1 applied it, its first run goes on; change 2 asked for run 2."""
    story = JobStory()
    story.up()
    apply(story, ABREAST)
    story.settle()
    ask(story, "run", "job", number=2)
    story.settle()
    assert story.running() == {"job.1.g1", "job.2.g1"}
    return story


@pytest.mark.parametrize("first", [1, 2])
def test_a_run_takes_the_place_of_no_apply(first: int) -> None:
    story = applied()
    assert (state(story, 1), state(story, 2)) == ("doing", "doing")
    story.finish(first)
    assert state(story, first) == "done" and state(story, 3 - first) == "doing"
    story.finish(3 - first)
    assert state(story, 3 - first) == "done"


def test_an_apply_takes_the_place_of_no_run() -> None:
    story = applied()
    apply(story, ABREAST, number=3)
    assert state(story, 1) == "superseded" and state(story, 2) == "doing"
    ask(story, "stop", "job", number=4)
    assert state(story, 2) == state(story, 3) == "superseded"


def test_each_is_judged_by_its_own_run() -> None:
    story = applied()
    story.finish(2, code=1)
    assert (state(story, 1), state(story, 2)) == ("doing", "failed")
    story.finish(1)
    assert change(story, 1).reason == "job run 1 succeeded: exited with code 0"


def test_what_failed_and_was_made_up_for_is_done() -> None:
    story = applied()
    story.finish(1, code=1)
    assert state(story, 1) == "doing", "another run goes on"
    story.finish(2)
    assert state(story, 1) == state(story, 2) == "done"
