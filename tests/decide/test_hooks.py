"""The hook after a start gates readiness and holds up nothing; the one before a stop is told of."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from nodeorch.decide.ready import is_ready
from nodeorch.decide.status import NOTHING, workload_view
from nodeorch.decide.watch import probes
from nodeorch.model.actions import RunHook, StartContainer, StopContainer
from nodeorch.model.facts import Done, EngineSeen, Failed, HookEnd, Loaded
from nodeorch.model.workload import (
    Hooks,
    OnFailure,
    PostStart,
    PreStop,
    Probe,
    Probes,
    Restart,
    RestartPolicy,
    Tcp,
    Workload,
)
from nodeorch.model.world import Code, World
from tests.decide.story import Story, workload

HOOK = PostStart(exec=("warm-up",))
BAD = HookEnd(passed=False, words='exec warm-up: exit code 1, output "no"')


def hooked(hook: PostStart = HOOK, **parts: object) -> Workload:
    return workload(hooks=Hooks(post_start=hook), **parts)


def ready(story: Story, name: str = "web.0.g1") -> bool:
    return is_ready(story.world.workloads[name.partition(".")[0]], story.instance(name))


def begun(story: Story) -> RunHook:
    action = story.until(RunHook)
    assert isinstance(action, RunHook)
    return action


def begin_up(spec: Workload) -> Story:
    story = Story(spec)
    story.tell(Loaded(desired={}, instances={}, serial=0))
    story.specs()
    return story.tell(EngineSeen(answering=True, words="answers"))


def test_an_instance_is_not_ready_nor_probed_before_its_hook_has_passed() -> None:
    tcp = Probe(tcp=Tcp(port=1))
    story = begin_up(hooked(probes=Probes(liveness=tcp)))
    action = begun(story)
    assert action.hook == HOOK and action.address == "10.88.0.2"
    assert not ready(story)
    assert not probes(story.world.workloads["web"])
    view = workload_view(story.world, story.world.workloads["web"], NOTHING)
    assert (view.state, view.reason) == ("starting", "its post-start hook has not passed yet")
    story.obey(action).settle()
    assert ready(story)
    assert probes(story.world.workloads["web"])
    assert story.world.workloads["web"].settled
    assert "Hook: post-start hook passed: it ended" in story.words


def test_the_hook_runs_once_for_each_run() -> None:
    story = Story(hooked()).up().relist().settle().wait(60).settle()
    assert len(story.took(RunHook)) == 1
    story.die("web.0.g1").settle()
    assert len(story.took(RunHook)) == 2
    story.command("restart").settle()
    assert len(story.took(RunHook)) == 3
    assert ready(story)


def test_a_failed_hook_restarts_with_backoff_and_says_why() -> None:
    story = Story(hooked())
    story.hooks["web.0.g1"] = BAD
    story.up()
    end = story.instance("web.0.g1").record.last_exit
    assert end is not None and end.why.code is Code.HOOK_FAILED
    assert end.why.words == f"post-start hook failed: {BAD.words}"
    assert not ready(story) and story.instance("web.0.g1").record.failures >= 2
    assert any("CrashLoop" in h or "Backoff" in h for h in story.holds())
    del story.hooks["web.0.g1"]
    story.wait(31).settle()
    assert ready(story)


def test_hooks_that_fail_again_and_again_are_a_crash_loop_also_while_it_runs() -> None:
    story = Story(hooked())
    story.hooks["web.0.g1"] = BAD
    story.up().wait(31).settle().wait(31)
    begun(story)
    assert story.instance("web.0.g1").record.failures >= 3
    view = workload_view(story.world, story.world.workloads["web"], NOTHING)
    assert (view.state, view.instances[0].state) == ("crash-loop", "crash-loop")
    assert view.instances[0].pid


def test_a_failed_hook_that_is_ignored_is_told_and_no_more() -> None:
    story = Story(hooked(replace(HOOK, on_failure=OnFailure.IGNORE)))
    story.hooks["web.0.g1"] = BAD
    story.up()
    assert ready(story) and not story.took(StopContainer)
    assert f"HookFailed: post-start hook failed: {BAD.words} (ignored)" in story.words


def test_a_policy_of_never_leaves_it_down_after_a_failed_hook() -> None:
    story = Story(hooked(restart=Restart(policy=RestartPolicy.NEVER)))
    story.hooks["web.0.g1"] = BAD
    story.up().wait(100).settle()
    assert len(story.took(StartContainer)) == 1
    assert not story.running()


def test_a_hanging_hook_blocks_no_stop_and_its_late_answer_counts_for_no_other_run() -> None:
    story = begin_up(hooked())
    old = begun(story)
    story.command("restart").settle()
    assert story.took(StopContainer) == ["web.0.g1"]
    assert [k for k in story.took(RunHook) if k != old.key], "the new run has its own"
    assert ready(story)
    since = story.instance("web.0.g1")
    story.tell(Done(action=old, hook=BAD))
    assert story.instance("web.0.g1") == since


def test_a_restarted_daemon_runs_it_again_only_where_it_was_not_answered() -> None:
    for answered in (True, False):
        story = begin_up(hooked())
        action = begun(story)
        if answered:
            story.obey(action).settle()
        records = {n: s.record for n, s in story.world.workloads.items()}
        own = {"web.0.g1": story.instance("web.0.g1").record}
        taken = len(story.done)
        story.world = World(node=story.world.node)
        story.tell(Loaded(desired=records, instances=own, serial=1)).specs()
        story.tell(EngineSeen(answering=True, words="answers")).settle()
        assert bool(story.took(RunHook, taken)) is not answered
        assert ready(story)
        assert not story.took(StopContainer)


def test_an_answer_to_an_earlier_run_counts_for_no_later_one() -> None:
    story = begin_up(hooked())
    old = begun(story)
    story.die("web.0.g1")
    new = begun(story)
    assert new.key != old.key
    story.tell(Done(action=old, hook=BAD))
    assert story.instance("web.0.g1").doom is None
    story.tell(Done(action=old, hook=HookEnd(passed=True, words="")))
    assert not ready(story)
    story.obey(new).settle()
    assert ready(story)


def test_a_daemon_that_dies_over_the_start_runs_it_all_the_same() -> None:
    story = begin_up(hooked())
    start = story.until(StartContainer)
    records = {n: s.record for n, s in story.world.workloads.items()}
    own = {"web.0.g1": story.instance("web.0.g1").record}
    story.answer(start)  # it runs, and nobody was told
    story.world = World(node=story.world.node)
    story.tell(Loaded(desired=records, instances=own, serial=1)).specs()
    story.tell(EngineSeen(answering=True, words="answers")).settle()
    assert len(story.took(RunHook)) == 1 and ready(story)


def test_a_run_that_was_begun_behind_our_back_gets_its_hook() -> None:
    story = Story(hooked()).up()
    (container,) = story.containers.values()
    story.containers[container.id] = replace(container, pid=9999, started=story.now)
    story.relist().settle()
    assert len(story.took(RunHook)) == 2 and ready(story)


def test_a_hook_has_its_time_in_an_update() -> None:
    slow = PostStart(exec=("warm-up",), timeout=100.0)
    story = Story(workload()).up()
    story.specs(hooked(slow, image="localhost/web:2"))
    begun(story)
    story.wait(90).settle()
    assert story.world.workloads["web"].record.failed is None
    story.wait(11).settle()
    assert story.world.workloads["web"].record.failed is not None


def test_an_engine_that_cannot_run_it_fails_nobody() -> None:
    story = begin_up(hooked())
    action = begun(story)
    story.tell(Failed(action=action, kind="timeout", words="no answer"))
    story.settle()
    assert not story.took(StopContainer) and not ready(story)
    assert not story.took(RunHook)
    assert any("cannot run its post-start hook: no answer" in h for h in story.holds())
    story.wait(5).settle()
    assert ready(story)


def test_a_hook_that_is_added_waits_for_the_next_start() -> None:
    story = Story(workload()).up()
    story.specs(hooked()).settle()
    assert ready(story) and not story.took(RunHook)
    story.die("web.0.g1").settle()
    assert len(story.took(RunHook)) == 1


def test_a_hook_that_is_taken_away_is_not_waited_for() -> None:
    story = begin_up(hooked())
    begun(story)
    story.specs(workload()).settle()
    assert ready(story)


def test_few_of_one_workload_run_at_a_time() -> None:
    story = begin_up(hooked(replicas=7))
    flying: list[RunHook] = []
    for _ in range(20):
        for action in story.step():
            if isinstance(action, RunHook):
                flying.append(action)
            else:
                story.obey(action)
    assert len(flying) == 4
    assert any("its post-start hook waits" in h for h in story.holds())
    for action in flying:
        story.obey(action)
    story.settle()
    assert all(ready(story, f"web.{slot}.g1") for slot in range(7))


def test_an_update_whose_hook_fails_goes_back() -> None:
    story = Story(workload()).up()
    story.hooks["web.0.g2"] = BAD
    story.specs(hooked(image="localhost/web:2")).settle().wait(1).settle().wait(1).settle()
    assert story.running() == {"web.0.g1"}
    failed = story.world.workloads["web"].record.failed
    assert failed is not None and "post-start hook failed" in failed.words


@pytest.mark.parametrize("verb", ["stop", "restart", "delete", "shutdown"])
def test_each_stop_carries_the_hook_of_its_version(verb: str) -> None:
    hook = PreStop(exec=("leave",), timeout=3.0)
    story = Story(workload(hooks=Hooks(pre_stop=hook))).up()
    story.command(verb, "" if verb == "shutdown" else "web")
    action = story.until(StopContainer)
    assert isinstance(action, StopContainer)
    assert action.pre_stop == hook
    end = HookEnd(passed=False, words="exec leave: no end within 3s")
    answer = story.answer(action)
    assert isinstance(answer, Done)
    story.tell(replace(answer, hook=end))
    assert any("pre-stop hook failed: exec leave: no end" in w for w in story.words)
    assert not story.running()
