"""A limit that was refused is tried again at once when an operator insists."""

from __future__ import annotations

from nodeorch.model.actions import StopContainer, UpdateLimits
from nodeorch.model.facts import Failed
from nodeorch.model.workload import Resources
from tests.decide.story import MIB, Story, workload


def test_force_does_not_wait_for_the_next_try() -> None:
    story = Story(workload(resources=Resources(memory=64 * MIB))).up()
    story.specs(workload(resources=Resources(memory=16 * MIB)))
    refused = story.until(UpdateLimits)
    assert isinstance(refused, UpdateLimits) and not refused.forced
    story.tell(Failed(action=refused, kind="refused", words="16 MiB is below the 40 MiB in use"))
    story.settle()
    assert story.took(UpdateLimits) == []
    assert story.instance("web.0.g1").limits_error
    story.specs(forced=("web",))
    forced = story.until(UpdateLimits)
    assert isinstance(forced, UpdateLimits) and forced.forced


def refused() -> Story:
    """A story in which the kernel has just refused a limit."""
    story = Story(workload(resources=Resources(memory=64 * MIB))).up()
    story.specs(workload(resources=Resources(memory=16 * MIB)))
    story.tell(Failed(action=story.until(UpdateLimits), kind="refused", words="below its use"))
    return story.settle()


def test_a_refused_limit_holds_up_no_restart() -> None:
    story = refused()
    story.die("web.0.g1").settle()
    assert story.running() == {"web.0.g1"}


def test_a_refused_limit_holds_up_no_stop() -> None:
    story = refused()
    story.command("stop").settle()
    assert story.running() == set()


def test_a_refused_limit_is_tried_again_later_and_told_meanwhile() -> None:
    story = refused()
    assert any("below its use" in words for words in story.holds())
    story.wait(31).settle()
    assert story.took(UpdateLimits) == ["web.0.g1"]


def test_one_that_would_not_die_and_then_did_is_restarted_at_once() -> None:
    story = Story(workload()).up()
    story.command("restart")
    stop = story.until(StopContainer)
    story.tell(Failed(action=stop, kind="refused", words="it did not die within 10 s"))
    story.settle()
    assert story.took(StopContainer) == []  # tried again later
    story.die("web.0.g1").settle()
    assert story.running() == {"web.0.g1"}
