"""A limit that was refused is tried again at once when an operator insists."""

from __future__ import annotations

from nodeorch.model.actions import UpdateLimits
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
