"""Jobs that are changed, or deleted and declared again, while a run of them goes on."""

from __future__ import annotations

import pytest

from nodeorch.model.actions import CreateContainer, RemoveContainer, StartContainer, StopContainer
from nodeorch.model.job import Outcome
from nodeorch.model.workload import File, Stop
from tests.decide.jobstory import JobStory, job


def test_a_run_keeps_to_the_version_it_was_made_from() -> None:
    motd = File(target="/etc/motd", digest="1" * 64)
    first = job(files=(motd,), stop=Stop(signal="INT", grace=3.0), retries=3)
    story = JobStory(first).up()
    story.specs(job(env={"A": "1"}, retries=2)).settle().restart_daemon()
    story.die("job.1.g1", code=1).settle().wait(1.0)
    start = story.until(StartContainer)
    assert isinstance(start, StartContainer) and start.files == (motd,)
    story.obey(start).specs(job(env={"A": "2"}, retries=2)).settle()
    assert len(story.record().older) == 1, "no run was made from the version in between"
    story.command("stop", "job")
    stop = story.until(StopContainer)
    assert isinstance(stop, StopContainer) and (stop.signal, stop.grace) == ("INT", 3.0)
    story.obey(stop).settle()
    assert story.outcomes() == [Outcome.STOPPED] and not story.record().older


def test_a_run_of_the_version_that_came_back_keeps_to_the_target() -> None:
    first = job(stop=Stop(signal="INT"))
    story = JobStory(first).up()
    story.specs(job(env={"A": "1"})).settle()
    story.specs(job(stop=Stop(signal="HUP"))).settle().command("stop", "job")
    stop = story.until(StopContainer)
    assert isinstance(stop, StopContainer) and stop.signal == "HUP"
    assert not story.record().older


@pytest.mark.parametrize("ended", [True, False])
def test_a_job_deleted_and_declared_again_runs_again(ended: bool) -> None:
    """Though its last container is still being removed, or its run still being stopped."""
    story = JobStory(job()).up()
    if ended:
        story.finish(1)
    spec = story.files.pop("job")
    story.specs(deleted=("job",))
    last = story.until(RemoveContainer if ended else StopContainer)
    story.specs(spec)
    story.obey(last).settle()
    assert story.running() == {"job.2.g1"}
    story.finish(2).live(60)
    assert story.outcomes()[-1] is Outcome.SUCCEEDED and story.took(CreateContainer) == [
        "job.1.g1",
        "job.2.g1",
    ]
