"""What belongs to one run of a container, and is not counted again by the next daemon."""

from __future__ import annotations

from msgspec.structs import replace

from nodeorch.decide.watch import probes, processes
from nodeorch.model.actions import (
    InspectContainer,
    RemoveContainer,
    StartContainer,
    StopContainer,
    UpdateLimits,
)
from nodeorch.model.facts import Died, Done, EngineSeen, Failed, LimitsSeen, Loaded, OomSeen
from nodeorch.model.workload import (
    OomPolicy,
    Probe,
    Probes,
    Resources,
    Restart,
    RestartPolicy,
    Tcp,
)
from nodeorch.model.world import Code, State
from tests.decide.story import MIB, Story, workload
from tests.decide.test_observe import successor

TCP = Probe(tcp=Tcp(port=1))


def oom(story: Story, kills: int) -> Story:
    return story.tell(
        OomSeen(instance="web.0.g1", container_id=story._id("web.0.g1"), oom_kills=kills)
    )


def test_the_kernels_count_of_a_run_is_counted_once() -> None:
    story = oom(oom(Story(workload()).up(), 2), 2)
    assert story.instance("web.0.g1").record.oom_kills == 2
    heir = oom(successor(story).settle(), 2)
    assert heir.instance("web.0.g1").record.oom_kills == 2
    oom(heir, 3)
    assert heir.instance("web.0.g1").record.oom_kills == 3


def test_each_run_is_counted_from_zero() -> None:
    story = oom(Story(workload()).up(), 2).wait(60).die("web.0.g1").settle()
    oom(story, 1)
    assert story.instance("web.0.g1").record.oom_kills == 3


def test_a_death_of_an_earlier_process_says_nothing() -> None:
    story = Story(workload()).up()
    old = story.instance("web.0.g1").pid
    story.die("web.0.g1").settle()
    own = story._id("web.0.g1")
    story.tell(Died(instance="web.0.g1", container_id=own, pid=old))
    assert story.plan().actions == ()


def test_restarted_by_hand_is_one_end() -> None:
    story = Story(workload()).up()
    (own,) = story.containers
    story.containers[own] = replace(story.containers[own], pid=4711, started_wall=story.now)
    story.wait(5).relist().settle()
    record = story.instance("web.0.g1").record
    assert record.last_exit is not None and record.failures == 1 and record.up
    assert story.instance("web.0.g1").pid == 4711


def test_a_child_killed_long_ago_does_not_explain_the_end() -> None:
    story = oom(Story(workload()).up(), 2).wait(5000)
    story.die("web.0.g1").settle()
    last = story.instance("web.0.g1").record.last_exit
    assert last is not None and last.why.code is Code.SIGNALED


def test_a_child_killed_just_now_does() -> None:
    story = oom(Story(workload()).up(), 1).wait(1)
    story.die("web.0.g1").settle()
    last = story.instance("web.0.g1").record.last_exit
    assert last is not None and last.why.code is Code.OOM_KILLED


def test_a_policy_that_comes_later_does_not_punish_earlier_kills() -> None:
    story = oom(Story(workload()).up(), 2)
    strict = Resources(memory=64 * MIB, oom=OomPolicy.RESTART)
    story.specs(workload(resources=strict)).settle()
    heir = oom(successor(story).settle(), 2).settle()
    assert heir.took(StopContainer) == []
    oom(heir, 3).settle()
    assert heir.took(StopContainer) == ["web.0.g1"]


def test_a_startup_probe_that_passed_is_not_asked_again_in_that_run() -> None:
    story = Story(workload(probes=Probes(startup=TCP))).up()
    story.probe("web.0.g1", True, "startup").settle().wait(9000)
    heir = successor(story).settle()
    heir.probe("web.0.g1", False, "startup").settle()
    assert heir.took(StopContainer) == []
    heir.die("web.0.g1").settle().probe("web.0.g1", False, "startup").settle()
    assert heir.took(StopContainer) == ["web.0.g1"], "the next run is another matter"


def test_a_liveness_probe_that_is_taken_away_kills_nobody() -> None:
    story = Story(workload(probes=Probes(liveness=TCP))).up()
    story.probe("web.0.g1", False, "liveness").settle()
    story.specs(workload()).settle().wait(40).settle()
    assert story.took(StopContainer) == []
    story.specs(workload(probes=Probes(liveness=TCP))).settle()
    assert story.took(StopContainer) == [], "nor when it is given back: it has to fail again"


def test_until_its_startup_probe_passes_nothing_is_ready() -> None:
    story = Story(workload(probes=Probes(startup=TCP)), workload("app", after=("web",))).up()
    assert story.running() == {"web.0.g1"}
    assert [kind for _, kind in probes(story.world.workloads["web"])] == ["startup"]
    story.probe("web.0.g1", True, "startup").settle()
    assert "app.0.g1" in story.running()


def test_what_is_watched_is_what_runs() -> None:
    both = Probes(startup=TCP, readiness=TCP, liveness=TCP)
    story = Story(workload(probes=both)).up()
    story.probe("web.0.g1", True, "startup")
    state = story.world.workloads["web"]
    assert [kind for _, kind in probes(state)] == ["readiness", "liveness"]
    assert processes(state) == {
        "web.0.g1": (story._id("web.0.g1"), state.instances["web.0.g1"].pid)
    }
    story.die("web.0.g1")
    state = story.world.workloads["web"]
    assert processes(state) == {} and probes(state) == {}


def test_after_a_boot_dependencies_gate_again_and_it_is_said() -> None:
    story = Story(workload("db", probes=Probes(readiness=TCP)), workload(after=("db",))).up()
    story.probe("db.0.g1", True).settle()
    for own, c in story.containers.items():
        story.containers[own] = replace(c, state=State.EXITED, pid=0, exit_code=0)
    heir = successor(story, boot_id="boot-2", now=30.0).settle()
    assert heir.running() == {"db.0.g1"}
    assert any("web.0.g1: Dependency: waits for db" in h for h in heir.holds())


def test_a_backoff_of_an_earlier_boot_is_forgotten() -> None:
    story = Story(workload()).up()
    story.now = 500_000.0
    while "web.0.g1" in story.running():
        story.die("web.0.g1", 1).settle()
    heir = successor(story, boot_id="boot-2", now=30.0).settle()
    assert heir.running() == {"web.0.g1"}


def test_memory_high_drifts_where_the_kernel_shows_it() -> None:
    def soft(high: int) -> Resources:
        return Resources(memory=64 * MIB, memory_high=high * MIB)

    story = Story(workload(resources=soft(32))).up()
    own = story._id("web.0.g1")
    held = replace(story.limits[own], memory_high=32 * MIB)
    story.tell(LimitsSeen(instance="web.0.g1", container_id=own, limits=held))
    assert story.plan().actions == ()
    story.specs(workload(resources=soft(48)))
    assert [type(a) for a in story.plan().actions] == [UpdateLimits]


def test_an_operators_restart_waits_no_longer_than_the_deadline_for_each() -> None:
    story = Story(workload(probes=Probes(readiness=TCP), replicas=2)).up()
    story.command("restart").settle()
    assert story.took(StopContainer) == ["web.0.g1"]
    story.wait(31).settle()
    assert story.took(StopContainer) == ["web.0.g1", "web.1.g1"]


def test_one_whose_watcher_was_killed_too_is_replaced_by_another_container() -> None:
    story = Story(workload(restart=Restart(policy=RestartPolicy.ALWAYS))).up()
    first = story.instance("web.0.g1")
    dead = replace(story.containers[first.record.container_id], state=State.EXITED, pid=0)
    story.die("web.0.g1")
    look = story.until(InspectContainer)
    story.tell(Done(action=look, container=replace(dead, exit_code=None, spent=True)))
    # The engine goes on calling it running.
    story.containers[dead.id] = replace(dead, state=State.RUNNING, pid=first.pid)
    story.relist()
    assert not story.instance("web.0.g1").running
    story.settle()
    again = story.instance("web.0.g1")
    assert again.running and again.record.container_id != first.record.container_id
    assert dead.id not in story.containers


def test_one_whose_watcher_was_killed_too_and_that_may_not_restart_stays_ended() -> None:
    story = Story(workload(restart=Restart(policy=RestartPolicy.NEVER))).up()
    own = story.instance("web.0.g1").record.container_id
    story.die("web.0.g1")
    look = story.until(InspectContainer)
    dead = replace(story.containers[own], exit_code=None, spent=True)
    story.tell(Done(action=look, container=dead))
    story.containers[own] = replace(dead, state=State.RUNNING, pid=77)
    since = len(story.done)
    for _ in range(3):
        story.relist().settle().wait(40)
    assert not story.instance("web.0.g1").running
    assert story.took(StartContainer, since) == []


def test_a_removal_that_was_cut_short_is_done_again() -> None:
    story = Story(workload()).up()
    story.specs(workload(env={"A": "1"}))
    remove = None
    while remove is None:
        for action in story.step():
            if isinstance(action, RemoveContainer):
                remove = action
            else:
                story.obey(action)
        story.wait(0.5)
    half = story.containers[remove.container_id]
    story.containers[half.id] = replace(half, state=State.EXITED, spent=True)
    story.tell(Failed(action=remove, kind="unreachable", words="the engine died"))
    story.tell(EngineSeen(answering=True, words="answers")).settle()
    story.relist().settle()
    assert half.id not in story.containers and story.running() == {"web.0.g2"}


def test_a_removal_by_hand_that_was_cut_short_is_ended_and_another_one_runs() -> None:
    story = Story(workload()).up()
    own = story.instance("web.0.g1").record.container_id
    half = replace(story.containers[own], state=State.EXITED, pid=0, exit_code=137, spent=True)
    story.containers[own] = half
    story.now += 1
    story.relist().settle()
    assert own not in story.containers and story.running() == {"web.0.g1"}


def test_a_run_that_ended_before_its_start_was_answered_has_its_own_beginning() -> None:
    """Else its end would be told again, when a later start does not happen."""
    story = Story(workload(restart=Restart(policy=RestartPolicy.NEVER)))
    story.tell(Loaded(desired={}, instances={}, serial=0)).specs()
    story.tell(EngineSeen(answering=True, words="answers"))
    start = story.until(StartContainer)
    assert isinstance(start, StartContainer)
    dead = replace(
        story.containers[start.container_id], state=State.EXITED, exit_code=0, started_wall=5e8
    )
    story.tell(Done(action=start, container=dead))
    instance = story.instance("web.0.g1")
    assert (instance.started_wall, instance.record.booked) == (5e8, 500_000_000)
