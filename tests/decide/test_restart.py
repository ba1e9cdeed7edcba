"""Deaths, restarts, backoff, crash loops."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from nodeorch.decide.restart import delay
from nodeorch.model.actions import InspectContainer, StartContainer
from nodeorch.model.facts import Done, EngineSeen, Hint, Loaded
from nodeorch.model.workload import Backoff, Restart, RestartPolicy
from nodeorch.model.world import Code, State, Why
from tests.decide.story import Story, workload


def test_a_declared_workload_is_created_and_started() -> None:
    story = Story(workload()).up()
    assert story.running() == {"web.0.g1"}
    assert story.world.workloads["web"].settled
    assert story.plan().actions == ()


def test_the_first_restart_is_immediate_and_the_container_is_kept() -> None:
    story = Story(workload()).up()
    before, at = story.instance("web.0.g1").record.container_id, story.now
    story.die("web.0.g1").settle()
    again = story.instance("web.0.g1")
    assert again.running and again.record.container_id == before
    assert story.now - at < 0.1
    assert again.record.last_exit is not None
    assert again.record.last_exit.why.code is Code.SIGNALED
    assert any("killed by signal 9 (KILL)" in w for w in story.words)


def test_a_death_is_confirmed_by_the_engine_before_it_counts() -> None:
    story = Story(workload()).up()
    story.die("web.0.g1")
    (look,) = story.step()
    assert isinstance(look, InspectContainer) and look.until_dead
    assert story.instance("web.0.g1").record.last_exit is None


def test_backoff_grows_and_one_crash_loop_delays_nobody_else() -> None:
    story = Story(workload("loop"), workload("good")).up()
    for _ in range(6):
        story.die("loop.0.g1", code=1).settle()
        wake = story.plan().wake_at
        if "loop.0.g1" not in story.running():
            assert wake is not None
            story.wait(max(0.0, (story.instance("loop.0.g1").record.next_try or 0) - story.now))
            story.settle()
    story.die("loop.0.g1", code=1).settle()
    assert any("CrashLoop" in h for h in story.holds())
    at = story.now
    story.die("good.0.g1").settle()
    assert "good.0.g1" in story.running() and story.now - at < 0.1


def test_having_run_well_forgets_failures() -> None:
    story = Story(workload(restart=Restart(backoff=Backoff(reset=60.0)))).up()
    for _ in range(3):
        story.die("web.0.g1", code=1).settle().wait(31).settle()
    assert story.instance("web.0.g1").record.failures > 1
    story.wait(61).die("web.0.g1", code=1)
    story.settle()
    assert story.instance("web.0.g1").record.failures == 1
    assert "web.0.g1" in story.running()


@pytest.mark.parametrize(
    ("policy", "code", "runs_again"),
    [
        (RestartPolicy.ALWAYS, 0, True),
        (RestartPolicy.ALWAYS, 1, True),
        (RestartPolicy.ON_FAILURE, 0, False),
        (RestartPolicy.ON_FAILURE, 1, True),
        (RestartPolicy.NEVER, 0, False),
        (RestartPolicy.NEVER, 1, False),
    ],
)
def test_policy(policy: RestartPolicy, code: int, runs_again: bool) -> None:
    story = Story(workload(restart=Restart(policy=policy))).up()
    story.die("web.0.g1", code=code).settle()
    assert ("web.0.g1" in story.running()) is runs_again
    if not runs_again:
        assert story.holds()
        story.command("restart").settle()
        assert "web.0.g1" in story.running()


def test_an_operators_restart_cancels_a_backoff_and_counts_as_no_failure() -> None:
    story = Story(workload()).up()
    for _ in range(5):
        story.die("web.0.g1", code=1).settle()
        if "web.0.g1" not in story.running():
            break
    assert "web.0.g1" not in story.running()
    story.command("restart").settle()
    assert "web.0.g1" in story.running()
    assert story.instance("web.0.g1").record.failures == 0


def test_an_operators_restart_stops_a_running_instance_once() -> None:
    story = Story(workload()).up()
    runs = story.instance("web.0.g1").record.runs
    story.command("restart").settle()
    assert story.instance("web.0.g1").record.runs == runs + 1
    assert story.instance("web.0.g1").record.failures == 0
    story.settle()
    assert story.instance("web.0.g1").record.runs == runs + 1


def test_replicas_are_restarted_one_by_one() -> None:
    story = Story(workload(replicas=3)).up()
    story.command("restart")
    stops = [a.key for a in story.step()]
    assert stops == ["web.0.g1"]
    story.tell(story.answer(story_action(story, "web.0.g1"))).settle()
    assert all(i.record.runs == 2 for i in story.world.workloads["web"].instances.values())


def story_action(story: Story, name: str):  # type: ignore[no-untyped-def]
    from nodeorch.model.actions import StopContainer
    from nodeorch.model.world import Why

    instance = story.instance(name)
    return StopContainer(
        key=name,
        why=instance.doom or Why(code=Code.OPERATOR, words="x"),
        workload="web",
        container_id=instance.record.container_id,
        pid=instance.pid,
        signal="TERM",
        grace=1.0,
    )


def test_an_oom_kill_is_named_as_the_cause() -> None:
    story = Story(workload()).up()
    story.die("web.0.g1", oom=True).settle()
    last = story.instance("web.0.g1").record.last_exit
    assert last is not None and last.why.code is Code.OOM_KILLED
    assert story.instance("web.0.g1").record.oom_kills == 1


def test_an_oom_kill_before_its_start_was_answered_is_named_and_counted_once() -> None:
    story = Story(workload())
    story.tell(Loaded(desired={}, instances={}, serial=0)).specs()
    story.tell(EngineSeen(answering=True, words="answers"))
    start = story.until(StartContainer)
    assert isinstance(start, StartContainer)
    dead = replace(story.containers[start.container_id], state=State.EXITED, exit_code=137)
    story.tell(Done(action=start, container=dead, oom_kills=1))
    story.tell(Done(action=looked(start), container=dead, oom_kills=1))
    own = story.instance("web.0.g1").record
    assert own.last_exit is not None and own.last_exit.why.code is Code.OOM_KILLED
    assert (own.oom_kills, own.failures) == (1, 1)


def test_an_oom_kill_of_a_child_before_its_start_was_answered_is_told() -> None:
    story = Story(workload())
    story.tell(Loaded(desired={}, instances={}, serial=0)).specs()
    story.tell(EngineSeen(answering=True, words="answers"))
    answer = story.answer(story.until(StartContainer))
    assert isinstance(answer, Done)
    story.tell(replace(answer, oom_kills=1)).settle()
    assert story.instance("web.0.g1").running
    assert "OomKilled: out of memory: the kernel killed 1 of its processes" in story.words


def looked(start: StartContainer) -> InspectContainer:
    why = Why(code=Code.LOOK, words="x")
    return InspectContainer(
        key=start.key, why=why, workload=start.workload, container_id=start.container_id
    )


def test_a_refused_start_is_tried_again_with_backoff() -> None:
    story = Story(workload())
    story.faults["web.0.g1"] = "refused"
    story.up()
    assert story.running() == set()
    tries = len(story.took(StartContainer))
    del story.faults["web.0.g1"]
    story.settle()
    assert len(story.took(StartContainer)) == tries
    story.wait(31).settle()
    assert story.running() == {"web.0.g1"}


def test_a_hint_right_after_our_own_act_is_looked_at_a_little_later() -> None:
    story = Story(workload()).up()
    own = story.instance("web.0.g1").record.container_id
    story.tell(Hint(container_id=own))
    assert story.plan().actions == ()
    story.wait(1.01)
    assert [type(a) for a in story.plan().actions] == [InspectContainer]
    story.settle()
    assert story.plan().actions == ()
    story.wait(5).tell(Hint(container_id=own))
    assert [type(a) for a in story.plan().actions] == [InspectContainer]


@given(st.integers(1, 200), st.text(max_size=20))
def test_delay_is_bounded_deterministic_and_spread(failures: int, name: str) -> None:
    spec = workload(restart=Restart(backoff=Backoff(initial=0.1, max=30.0)))
    wait = delay(spec, name, failures)
    assert wait == delay(spec, name, failures)
    assert 0 <= wait <= 30.0
    assert (wait == 0) == (failures == 1)
    assert wait <= 0.1 * 2.0 ** max(failures - 2, 0)
