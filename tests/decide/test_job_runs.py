"""Stories of runs: how they are made, tried again, ended, kept."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from nodeorch.model.actions import CreateContainer, StartContainer, StopContainer
from nodeorch.model.facts import ClockSeen, Command, Done, EngineSeen, Loaded
from nodeorch.model.job import Outcome
from nodeorch.model.workload import Backoff, Concurrency, Condition, Restart
from nodeorch.model.world import State, World
from tests.decide.jobstory import JobStory, job
from tests.decide.story import Story, workload

MINUTELY = "* * * * *"
GOOD, BAD = Outcome.SUCCEEDED, Outcome.FAILED


def refused(story: Story, verb: str, name: str = "job", **more: object) -> str:
    from nodeorch.decide.commands import refusal

    fact = Command(verb=verb, workload=name, by="uid 0", **more)  # type: ignore[arg-type]
    before = story.world
    words = refusal(story.world, fact)
    assert words is not None
    story.tell(fact)
    assert story.world.workloads == before.workloads
    return words


# without a schedule ------------------------------------------------------------------------


def test_without_a_schedule_it_runs_once() -> None:
    story = JobStory(job()).up()
    assert story.running() == {"job.1.g1"}
    story.finish(1).live(3600)
    assert story.outcomes() == [GOOD] and story.running() == set()
    story.restart_daemon().restart_daemon(boot_id="boot-2").live(60)
    assert story.took(CreateContainer) == ["job.1.g1"]


def test_it_runs_again_for_a_new_version_and_not_for_new_terms() -> None:
    story = JobStory(job()).up().finish(1)
    story.specs(job(retries=3, priority=7)).settle()
    assert story.running() == set()
    story.specs(job(env={"A": "1"})).settle()
    assert story.running() == {"job.2.g3"}
    story.specs(job(env={"A": "2"})).settle()
    assert story.running() == {"job.2.g3"}, "one after the other"
    story.finish(2)
    assert story.running() == {"job.3.g4"}


def test_what_needs_it_starts_when_it_has_completed() -> None:
    app = workload("app", needs={"job": Condition.COMPLETED})
    story = JobStory(job(), app).up()
    assert story.running() == {"job.1.g1"}
    story.finish(1, code=1)
    assert story.running() == set()
    words = "waits for job to be completed: its run 1 ended: exited with code 1; `nodeorch run job`"
    assert words in str(story.holds())
    story.command("run", "job").settle().finish(2)
    assert story.running() == {"app.0.g1"}
    story.specs(job(env={"V": "2"}), replace(app, main=replace(app.main, env={"V": "2"}))).settle()
    assert story.running() == {"app.0.g1", "job.3.g2"}, "the success before was of another version"
    story.finish(3).live(2)
    assert story.running() == {"app.0.g2"}


def test_its_own_needs_gate_each_run() -> None:
    db = workload("db")
    story = JobStory(job(needs={"db": Condition.STARTED}), db).up().finish(1)
    story.files.pop("db")
    story.specs(deleted=("db",)).settle()
    story.command("run", "job").settle()
    assert story.running() == set() and "waits for db" in str(story.holds())
    story.specs(db).settle()
    assert story.running() == {"db.0.g1", "job.2.g1"}


# attempts ----------------------------------------------------------------------------------


def test_it_is_tried_again_after_a_pause_and_then_has_failed() -> None:
    pause = Restart(backoff=Backoff(initial=20.0, max=60.0))
    story = JobStory(job(retries=2, restart=pause)).up()
    for attempt in (1, 2):
        story.finish(1, code=3)
        assert story.running() == set(), "not at once"
        story.live(60)
        assert story.running() == {"job.1.g1"} and story.run(1).attempts == attempt + 1
    story.finish(1, code=3).live(3600)
    assert story.running() == set() and story.outcomes() == [BAD]
    assert story.run(1).exit_code == 3 and story.run(1).attempts == 3
    assert story.said("RunFailed") == ["run 1 failed: exited with code 3, after 2 retries"]
    assert story.took(CreateContainer) == ["job.1.g1"], "one container"


def test_a_long_attempt_does_not_forgive_the_ones_before() -> None:
    story = JobStory(job(retries=1)).up()
    for _ in range(2):
        story.live(7200).finish(1, code=1).live(5)
    assert story.outcomes() == [BAD]


def test_a_success_in_a_retry_is_a_success() -> None:
    story = JobStory(job(retries=5)).up().finish(1, code=1).live(5).finish(1)
    assert story.outcomes() == [GOOD] and story.run(1).attempts == 2


def test_without_retries_one_failure_is_the_end() -> None:
    story = JobStory(job()).up().finish(1, code=1).live(3600)
    assert story.outcomes() == [BAD] and story.took(StartContainer) == ["job.1.g1"]


def test_a_refused_start_is_tried_three_times() -> None:
    story = JobStory(job())
    story.faults["job.1.g1"] = "refused"
    story.up().live(120)
    assert story.took(StartContainer) == ["job.1.g1"] * 3
    assert story.outcomes() == [BAD] and "port is taken" in story.run(1).words
    del story.faults["job.1.g1"]
    story.live(3600)
    assert story.running() == set()


# deadline ----------------------------------------------------------------------------------


def test_the_deadline_stops_it_and_a_set_clock_does_not() -> None:
    story = JobStory(job(deadline=600.0, retries=3)).up()
    story.live(300).set_clock(86400.0 * 3).live(200)
    assert story.running() == {"job.1.g1"}
    story.live(120)
    assert story.running() == set() and story.outcomes() == [Outcome.DEADLINE]
    assert story.took(StopContainer) == ["job.1.g1"]
    story.live(3600)
    assert story.took(StartContainer) == ["job.1.g1"], "no retry after it"


def test_the_deadline_counts_the_waiting_too() -> None:
    story = JobStory(job(deadline=60.0, needs={"db": Condition.READY})).up().live(90)
    assert story.outcomes() == [Outcome.DEADLINE] and story.took(StartContainer) == []
    assert story.containers == {}, "a container that never ran has no log to keep"


def test_one_that_obeys_its_stop_with_code_0_has_not_succeeded() -> None:
    story = JobStory(job(deadline=60.0)).up()
    story.now += 61
    story.wait(0.0)
    stop = story.until(StopContainer)
    ended = replace(story.containers["c1"], state=State.EXITED, pid=0, exit_code=0)
    story.containers["c1"] = ended
    story.tell(Done(action=stop, container=ended)).settle()
    assert story.outcomes() == [Outcome.DEADLINE]


# concurrency -------------------------------------------------------------------------------


def test_forbid_skips_and_says_so() -> None:
    story = JobStory(job(schedule=MINUTELY)).up().live(200)
    assert story.running() == {"job.1.g1"} and len(story.record().runs) == 1
    assert len(story.said("RunSkipped")) == 2
    assert "run 1 has not ended (concurrency: forbid)" in story.record().skipped
    story.finish(1).live(60)
    assert story.running() == {"job.2.g1"}
    assert "has not ended" in refused(story, "run")


def test_replace_stops_the_running_one_first() -> None:
    story = JobStory(job(schedule=MINUTELY, concurrency=Concurrency.REPLACE)).up().live(61)
    assert story.running() == {"job.1.g1"}
    story.now += 60
    story.wait(0.0)
    stop = story.until(StopContainer)
    assert stop.key == "job.1.g1" and "replaced by run 2" in stop.why.words
    assert not story.step() or story.took(StartContainer) == ["job.1.g1"]
    story.obey(stop).settle()
    assert story.running() == {"job.2.g1"}
    assert story.outcomes() == [Outcome.REPLACED, None]
    assert "run, by uid 0" not in story.words
    story.command("run", "job").settle()
    assert story.running() == {"job.3.g1"}


def test_allow_runs_them_side_by_side_up_to_a_bound() -> None:
    story = JobStory(job(schedule=MINUTELY, concurrency=Concurrency.ALLOW)).up().live(60 * 30)
    assert len(story.running()) == 20
    assert "run 1 has not ended" in story.record().skipped
    story.finish(7).live(60)
    assert len(story.running()) == 20 and story.record().last == 21


# by command --------------------------------------------------------------------------------


def test_a_run_by_command_has_its_own_args() -> None:
    story = JobStory(job(schedule="0 3 * * *", args=("all",))).up()
    assert story.running() == set()
    story.command("run", "job", args=("one", "two"))
    made = story.until(CreateContainer)
    assert isinstance(made, CreateContainer) and made.spec.main.args == ("one", "two")
    story.obey(made).settle().finish(1)
    assert story.outcomes() == [GOOD]
    story.command("run", "job")
    made = story.until(CreateContainer)
    assert isinstance(made, CreateContainer) and made.spec.main.args == ("all",)


def test_what_cannot_be_commanded() -> None:
    story = JobStory(job(), workload()).up()
    assert "it is a service" in refused(story, "run", "web")
    assert "it is a job" in refused(story, "restart")
    assert "it is a job" in refused(story, "scale", replicas=2)
    story.command("stop", "job").settle()
    assert "it is stopped" in refused(story, "run")


def test_stop_suspends_and_start_makes_up_for_nothing() -> None:
    story = JobStory(job(schedule=MINUTELY)).up().live(61)
    story.command("stop", "job").settle()
    assert story.running() == set() and story.outcomes() == [Outcome.STOPPED]
    story.live(600).command("start", "job").settle()
    assert story.running() == set() and not story.said("RunMissed")
    story.live(60)
    assert story.running() == {"job.2.g1"}


def test_one_that_was_stopped_before_it_was_done_runs_when_it_is_started() -> None:
    story = JobStory(job()).up()
    story.command("stop", "job").settle().live(60)
    assert story.running() == set()
    story.command("start", "job").settle()
    assert story.running() == {"job.2.g1"}
    story.finish(2).command("stop", "job").settle().command("start", "job").settle()
    assert story.running() == set(), "it is done"


# what remains ------------------------------------------------------------------------------


def test_the_last_runs_are_remembered_and_fewer_containers_kept() -> None:
    story = JobStory(job(schedule=MINUTELY, keep=5)).up()
    for number in range(1, 11):
        story.live(60).finish(number, code=number % 2)
    story.settle()
    assert [r.number for r in story.record().runs] == [6, 7, 8, 9, 10]
    assert {c.name for c in story.containers.values()} == {"job.8.g1", "job.9.g1", "job.10.g1"}
    assert set(story.world.workloads["job"].instances) == {"job.8.g1", "job.9.g1", "job.10.g1"}


def test_a_deleted_job_leaves_nothing() -> None:
    story = JobStory(job(schedule=MINUTELY, concurrency=Concurrency.ALLOW)).up().live(200)
    assert len(story.running()) == 3
    story.command("delete", "job").settle()
    assert story.containers == {} and story.world.workloads == {}


@pytest.mark.parametrize("to_job", [True, False])
def test_a_change_of_kind(to_job: bool) -> None:
    kinds = [workload("job", replicas=2), job("job")]
    story = JobStory(kinds[not to_job]).up()
    story.specs(kinds[to_job]).settle().live(10)
    assert story.running() == ({"job.2.g2"} if to_job else {"job.0.g2", "job.1.g2"})
    assert len(story.containers) == len(story.running())


def test_a_container_taken_away_is_a_failure_and_no_second_try() -> None:
    story = JobStory(job(retries=3)).up()
    story.containers.clear()
    story.live(31)
    assert story.outcomes() == [BAD] and "removed outside" in story.run(1).words
    assert story.took(StartContainer) == ["job.1.g1"]


def test_pruned_containers_of_ended_runs_are_forgotten() -> None:
    story = JobStory(job()).up().finish(1)
    story.containers.clear()
    story.live(120)
    assert story.world.workloads["job"].instances == {} and story.outcomes() == [GOOD]


# daemons and hosts that go down ------------------------------------------------------------


def test_a_run_goes_on_under_a_new_daemon() -> None:
    story = JobStory(job(retries=1)).up()
    pid = story.instance("job.1.g1").pid
    story.restart_daemon()
    assert story.instance("job.1.g1").pid == pid
    story.finish(1)
    assert story.outcomes() == [GOOD]


def test_a_run_that_ended_without_a_daemon_is_told() -> None:
    story = JobStory(job(schedule=MINUTELY)).up().live(61)
    for own, c in story.containers.items():
        story.containers[own] = replace(c, state=State.EXITED, pid=0, exit_code=4)
    story.restart_daemon()
    assert story.outcomes() == [BAD] and story.run(1).exit_code == 4


def test_a_run_that_the_host_took_down_begins_again() -> None:
    story = JobStory(job()).up().restart_daemon(boot_id="boot-2")
    assert story.running() == {"job.1.g1"} and story.took(CreateContainer) == ["job.1.g1"]
    story.finish(1)
    assert story.outcomes() == [GOOD]


def test_the_deadline_counts_anew_after_a_reboot() -> None:
    story = JobStory(job(deadline=100.0)).up().live(90).restart_daemon(boot_id="boot-2").live(50)
    assert story.running() == {"job.1.g1"}
    story.live(60)
    assert story.outcomes() == [Outcome.DEADLINE]


def test_a_daemon_killed_between_a_run_and_its_container_makes_it_once() -> None:
    story = JobStory(job(schedule=MINUTELY)).up()
    story.now += 61
    story.wait(0.0)
    assert story.record().last == 1
    story.restart_daemon()
    assert story.running() == {"job.1.g1"} and story.record().last == 1


def lost(story: JobStory) -> JobStory:
    """The next daemon finds no database, and the containers."""
    story.world = World(node=story.world.node)
    story.now += 1
    story.tell(Loaded(desired={}, instances={}, serial=0, rebuilt=True))
    story.tell(ClockSeen(story.ahead))
    story.specs()
    story.tell(EngineSeen(answering=True, words="answers"))
    story.settle()
    return story


def test_a_lost_database_repeats_no_migration() -> None:
    story = JobStory(job(), workload("app", needs={"job": Condition.COMPLETED})).up()
    lost(story.finish(1)).live(60)
    assert story.took(StartContainer).count("job.1.g1") == 1
    assert story.outcomes() == [GOOD] and story.running() == {"app.0.g1"}
    story.command("run", "job").settle()
    assert "job.2.g1" in story.running()


def test_a_lost_database_ends_no_run() -> None:
    story = JobStory(job(schedule=MINUTELY)).up().live(61)
    pid = story.instance("job.1.g1").pid
    assert lost(story).instance("job.1.g1").pid == pid
    story.finish(1, code=2)
    assert story.outcomes() == [BAD] and story.record().last == 1


def test_to_start_a_job_does_not_begin_its_run_twice() -> None:
    story = JobStory(job())
    story.tell(Loaded(desired={}, instances={}, serial=0)).specs()
    story.tell(EngineSeen(answering=True, words="answers"))
    start = story.until(StartContainer)
    story.command("start", "job").obey(start).settle()
    assert story.took(StopContainer) == [] and story.running() == {"job.1.g1"}


@pytest.mark.parametrize("code", [0, 1])
def test_a_run_that_ended_before_it_was_told_to_is_not_begun_again(code: int) -> None:
    """Its end was its own: a host that goes down meanwhile does not undo it."""
    story = JobStory(job()).up()
    story.tell(Command(verb="shutdown", workload="", by="uid 0"))
    stop = story.until(StopContainer)
    assert isinstance(stop, StopContainer)
    ended = replace(story.containers[stop.container_id], state=State.EXITED, pid=0, exit_code=code)
    story.containers[ended.id] = ended
    story.tell(Done(action=stop, container=ended, signalled=False)).settle()
    assert story.outcomes() == [BAD if code else GOOD]
    story.restart_daemon(boot_id="boot-2").live(5)
    assert len(story.took(StartContainer)) == 1
