"""What ends for good: completion, conditions on it, and containers removed by hand."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from nodeorch.model.actions import CreateContainer, InspectContainer, StartContainer, StopContainer
from nodeorch.model.facts import Done
from nodeorch.model.workload import Condition, Probe, Probes, Restart, RestartPolicy, Tcp
from nodeorch.model.world import State
from tests.decide.story import Story, workload
from tests.decide.test_observe import successor

NEVER = Restart(policy=RestartPolicy.NEVER)
ON_FAILURE = Restart(policy=RestartPolicy.ON_FAILURE)
AFTER_JOB = workload("app", needs={"job": Condition.COMPLETED})


def stopped_with_code_0(story: Story) -> None:
    stop = story.until(StopContainer)
    assert isinstance(stop, StopContainer)
    ended = replace(story.containers[stop.container_id], state=State.EXITED, pid=0, exit_code=0)
    story.containers[ended.id] = ended
    story.tell(Done(action=stop, container=ended)).settle()


def pruned(story: Story) -> Story:
    """``podman container prune``, and the listing after it."""
    for own in [c.id for c in story.containers.values() if c.state is not State.RUNNING]:
        del story.containers[own]
    return story.wait(31).settle()


def test_an_operators_restart_completes_no_job() -> None:
    story = Story(workload("job", restart=ON_FAILURE), AFTER_JOB).up()
    story.command("restart", "job")
    stopped_with_code_0(story)
    assert story.running() == {"job.0.g1"}, "it runs again, and app still waits"


def test_a_liveness_failure_with_code_0_completes_no_job() -> None:
    probes = Probes(liveness=Probe(tcp=Tcp(port=1)))
    story = Story(workload("job", probes=probes, restart=ON_FAILURE), AFTER_JOB).up()
    story.probe("job.0.g1", True, "liveness").probe("job.0.g1", False, "liveness")
    stopped_with_code_0(story)
    assert story.running() == {"job.0.g1"}


@pytest.mark.parametrize("policy", [NEVER, ON_FAILURE])
def test_a_pruned_job_does_not_run_again(policy: Restart) -> None:
    story = Story(workload("job", restart=policy), AFTER_JOB).up().die("job.0.g1", 0).settle()
    story = pruned(story)
    since = len(story.done)
    story = pruned(story)
    assert story.running() == {"app.0.g1"}, "what waited for it is not held back either"
    assert story.took(CreateContainer).count("job.0.g1") == 1
    assert story.took(InspectContainer, since) == [], "it is not looked for any more"
    heir = successor(story).settle().wait(31).settle()
    assert heir.running() == {"app.0.g1"}
    assert heir.took(CreateContainer) == heir.took(InspectContainer) == []


def test_a_pruned_job_runs_again_when_it_is_asked_to() -> None:
    for way in ("restart", "edit"):
        story = pruned(Story(workload("job", restart=NEVER)).up().die("job.0.g1", 0).settle())
        if way == "restart":
            story.command("restart", "job").settle()
        else:
            story.specs(workload("job", env={"A": "1"}, restart=NEVER)).settle()
        assert len(story.running()) == len(story.containers) == 1
        assert not any("cannot start" in w for w in story.words)
        (name,) = story.running()
        story.die(name, 0).settle().wait(31).settle()
        assert len(story.world.workloads["job"].instances) == 1


def test_a_job_that_the_host_took_down_runs_again() -> None:
    story = Story(workload("job", restart=NEVER)).up()
    for own, c in story.containers.items():
        story.containers[own] = replace(c, state=State.EXITED, pid=0, exit_code=137)
    assert successor(story, boot_id="boot-2").settle().running() == {"job.0.g1"}


def test_a_service_that_is_pruned_while_it_is_down_is_made_anew() -> None:
    story = Story(workload(restart=ON_FAILURE)).up()
    while "web.0.g1" in story.running():
        story.die("web.0.g1", 1).settle()
    pruned(story)
    assert story.running() == {"web.0.g1"}


def test_a_pruned_job_goes_with_its_workload() -> None:
    story = pruned(Story(workload("job", restart=NEVER)).up().die("job.0.g1", 0).settle())
    story.command("delete", "job").settle()
    assert story.world.workloads == {} and story.containers == {}


def test_one_that_runs_when_it_is_removed_has_not_completed() -> None:
    story = Story(workload("job", restart=NEVER)).up().die("job.0.g1", 0).settle()
    story.command("restart", "job").settle()
    story.containers.clear()
    story.wait(31).settle()
    assert story.running() == {"job.0.g1"}
    assert len(story.took(StartContainer)) == 3
