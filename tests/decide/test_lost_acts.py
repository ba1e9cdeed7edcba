"""Acts whose answers are lost, late or refused: nothing is done twice, nothing is forgotten."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from nodeorch.model import labels
from nodeorch.model.actions import (
    CreateContainer,
    EnsureImage,
    InspectContainer,
    ListContainers,
    RemoveContainer,
    StartContainer,
    StopContainer,
    UpdateLimits,
)
from nodeorch.model.facts import Done, EngineSeen, Failed, Hint, Listed, Loaded
from nodeorch.model.workload import (
    Condition,
    Port,
    Resources,
    Restart,
    RestartPolicy,
    Volume,
    Workload,
)
from nodeorch.model.world import Code, State
from tests.decide.story import MIB, Story, workload
from tests.decide.test_observe import successor


def begun(*specs: Workload) -> Story:
    """A daemon that has just found an engine that answers; nothing is done yet."""
    story = Story(*specs)
    story.tell(Loaded(desired={}, instances={}, serial=0)).specs()
    return story.tell(EngineSeen(answering=True, words="answers"))


def names(story: Story) -> dict[str, State]:
    return {c.name: c.state for c in story.containers.values()}


def test_a_creation_that_happens_after_the_listing_missed_it() -> None:
    story = begun(workload())
    create = story.until(CreateContainer)
    story.tell(Failed(action=create, kind="timeout", words="late"))
    story.now += 1
    listing = story.until(ListContainers)
    story.obey(listing)
    story._create(create)
    for _ in range(4):
        story.settle().wait(35)
    assert names(story) == {"web.0.g1": State.RUNNING}


def test_a_creation_that_happens_after_the_spec_changed_is_cleaned_up() -> None:
    story = begun(workload())
    create = story.until(CreateContainer)
    story.tell(Failed(action=create, kind="timeout", words="late"))
    story.specs(workload(image="localhost/web:2")).settle()
    story._create(create)
    story.wait(35).settle()
    assert names(story) == {"web.0.g2": State.RUNNING}
    assert "web.0.g1" in story.took(RemoveContainer)


def test_what_is_not_sealed_or_has_run_is_not_cleaned_up() -> None:
    story = Story(workload()).up()
    ours = next(iter(story.containers.values()))
    for own, state in (("unsealed", State.CREATED), ("ran", State.EXITED)):
        story.containers[own] = replace(
            ours, id=own, name=f"web.0.{own}", pid=0, state=state, sealed=own == "ran"
        )
    story.wait(35).settle()
    assert {"unsealed", "ran"} <= set(story.containers)


@pytest.mark.parametrize("policy", list(RestartPolicy))
@pytest.mark.parametrize("told", [None, 0])
def test_a_first_start_that_never_happened_is_no_run(
    policy: RestartPolicy, told: int | None
) -> None:
    """The daemon is killed between the intent and the act; the engine tells of code 0."""
    job = workload(restart=Restart(policy=policy))
    story = begun(job, workload("app", needs={"web": Condition.COMPLETED}))
    story.until(StartContainer)
    for own, container in story.containers.items():
        story.containers[own] = replace(container, exit_code=told)
    heir = successor(story).settle()
    assert heir.running() == {"web.0.g1"}, "it has its run, and app still waits for it"


def test_a_refused_start_is_no_run() -> None:
    story = Story(workload())
    story.faults["web.0.g1"] = "refused"
    story.up().wait(31).settle()
    assert story.instance("web.0.g1").record.runs == 0


def test_a_refused_creation_and_a_failed_pull_are_not_tried_at_once() -> None:
    story = begun(workload())
    create = story.until(CreateContainer)
    story.tell(Failed(action=create, kind="refused", words="no"))
    assert story.step() == ()
    other = begun(workload(image="localhost/web:missing")).settle()
    assert len(other.took(EnsureImage)) == 1


def test_a_listing_begun_before_an_act_says_nothing_about_it() -> None:
    story = Story(workload()).up().wait(40)
    before = tuple(story.containers.values())
    begun_at = story.now
    story.command("stop").settle()
    story.tell(Listed(containers=before, begun=begun_at))
    assert not story.instance("web.0.g1").running


def test_a_listing_during_an_act_says_nothing_about_it() -> None:
    story = begun(workload())
    story.until(StartContainer)
    story.relist()
    assert story.instance("web.0.g1").record.up, "its start may still happen"


def test_a_stop_whose_daemon_died_is_remembered_as_the_reason() -> None:
    story = Story(workload()).up()
    story.command("stop")
    stop = story.until(StopContainer)
    story.answer(stop)
    heir = successor(story).settle()
    last = heir.instance("web.0.g1").record.last_exit
    assert last is not None and last.why.code is Code.OPERATOR


def test_a_container_of_the_right_name_needs_its_seal() -> None:
    story = begun(workload())
    create = story.until(CreateContainer)
    story._create(create)
    (own,) = story.containers
    story.containers[own] = stranger = replace(story.containers[own], sealed=False)
    heir = successor(story).settle().wait(31).settle()
    assert heir.running() == set() and heir.containers == {own: stranger}


def test_a_container_of_an_earlier_try_is_taken_only_if_it_is_the_same() -> None:
    for same in (True, False):
        story = begun(workload())
        create = story.until(CreateContainer)
        story._create(create)
        (own,) = story.containers
        marks = dict(story.containers[own].labels)
        marks[labels.SERIAL] = "0"
        marks[labels.TEMPLATE] = marks[labels.TEMPLATE] if same else "other"
        story.containers[own] = replace(story.containers[own], labels=marks)
        heir = successor(story).settle()
        heir.wait(31).settle()
        assert heir.running() == {"web.0.g1"}
        assert (own in heir.containers) is same, "another one is cleaned up, and made anew"


def test_a_restart_that_never_happened_leaves_the_last_end_standing() -> None:
    story = Story(workload(restart=Restart(policy=RestartPolicy.ON_FAILURE))).up()
    story.die("web.0.g1", 3)
    start = story.until(StartContainer)
    story.tell(Failed(action=start, kind="timeout", words="late")).wait(6).settle()
    assert story.running() == {"web.0.g1"}
    record = story.instance("web.0.g1").record
    assert (record.runs, record.failures) == (2, 1), "counted once"


def test_nothing_starts_beside_one_that_may_have_been_started() -> None:
    data = (Volume(name="data", target="/d"),)
    story = Story(workload(volumes=data)).up()
    story.specs(workload(image="localhost/web:2", volumes=data))
    pull = story.until(EnsureImage)
    story.die("web.0.g1", 1)
    start = story.until(StartContainer)
    story.tell(Failed(action=start, kind="timeout", words="late"))
    story.answer(start)  # it did happen
    story.obey(pull)
    for _ in range(8):
        actions = story.step()
        if any(isinstance(a, StartContainer) for a in actions):
            assert story.running() == set()
        for action in actions:
            story.obey(action)
        story.wait(1)
    assert story.running() == {"web.0.g2"}


def test_a_start_without_an_answer_is_looked_at_and_done_if_it_was_not() -> None:
    story = begun(workload(restart=Restart(policy=RestartPolicy.NEVER)))
    start = story.until(StartContainer)
    story.tell(Failed(action=start, kind="timeout", words="late"))
    assert story.settle().running() == set()
    story.wait(6).settle()
    assert story.running() == {"web.0.g1"}


def test_an_act_without_an_answer_holds_up_nothing_else() -> None:
    story = Story(workload("db"), workload("web")).up()
    del story.files["web"]
    story.specs()
    stop = story.until(StopContainer)
    story.tell(Failed(action=stop, kind="timeout", words="no answer in 60 s"))
    story.die("db.0.g1").settle()
    assert "db.0.g1" in story.running()
    assert story.took(StopContainer) == [], "not again at once"
    story.wait(6).settle()
    assert story.running() == {"db.0.g1"}


def test_a_pull_without_an_answer_says_nothing_about_the_engine() -> None:
    story = Story(workload("db")).up().specs(workload())
    pull = story.until(EnsureImage)
    story.tell(Failed(action=pull, kind="timeout", words="silence"))
    assert story.world.engine.answering
    assert story.world.workloads["web"].record.image_next_try is not None


def test_a_refused_listing_is_tried_again_after_a_while() -> None:
    story = Story(workload()).up().wait(40)
    for _ in range(5):
        for action in story.step():
            assert isinstance(action, ListContainers)
            story.done.append(action)
            story.tell(Failed(action=action, kind="refused", words="500"))
    assert len(story.took(ListContainers)) == 2, "at the start, and once now"
    assert sum("cannot list" in w for w in story.words) == 1
    story.wait(6).settle()
    assert len(story.took(ListContainers)) == 3


def test_a_container_in_an_odd_state_is_not_looked_at_all_the_time() -> None:
    story = Story(workload()).up()
    for own, container in story.containers.items():
        story.containers[own] = replace(container, state=State.UNKNOWN, pid=0)
    since = len(story.done)
    story.relist().settle()
    assert story.took(InspectContainer, since) == []
    story.wait(6).settle().wait(6).settle()
    assert len(story.took(InspectContainer, since)) == 2


def test_a_refused_start_is_told_with_its_reason() -> None:
    story = Story(workload(ports=(Port(container=80, host=80),)))
    story.faults["web.0.g1"] = "refused"
    story.up()
    assert any("port is taken" in h for h in story.holds())
    tries = len(story.took(StartContainer))
    for _ in range(4):
        story.wait(0.01).settle()
    assert len(story.took(StartContainer)) == tries


def test_one_that_cannot_be_killed_is_not_killed_all_the_time() -> None:
    story = Story(workload()).up()
    story.command("stop")
    stop = story.until(StopContainer)
    story.tell(Failed(action=stop, kind="refused", words="it did not die within 10 s of SIGKILL"))
    story.now += 0.5
    story.tell(Hint(container_id=story._id("web.0.g1"))).wait(1.1).settle()
    assert story.took(StopContainer) == []
    assert any("it did not die" in h for h in story.holds())
    story.wait(31).settle()
    assert story.running() == set()


def test_shutdown_goes_on_past_one_that_cannot_be_killed() -> None:
    story = Story(workload("db"), workload(after=("db",))).up()
    story.command("shutdown", "")
    stop = story.until(StopContainer)
    assert stop.key == "web.0.g1"
    story.tell(Failed(action=stop, kind="refused", words="did not die"))
    assert [a.key for a in story.step()] == ["db.0.g1"]


def test_a_refused_limit_is_forgotten_when_the_spec_goes_back() -> None:
    story = Story(workload()).up()
    story.specs(workload(resources=Resources(memory=32 * MIB)))
    update = story.until(UpdateLimits)
    story.tell(Failed(action=update, kind="refused", words="32 MiB is below the 50 MiB in use"))
    assert story.instance("web.0.g1").limits_error
    story.specs(workload(resources=Resources(memory=64 * MIB))).settle()
    assert not story.instance("web.0.g1").limits_error
    assert story.took(UpdateLimits) == []


def test_an_answer_that_comes_after_the_workload_is_gone_hurts_nobody() -> None:
    story = Story(workload("db"), workload()).up()
    story.command("delete")
    stop = story.until(StopContainer)
    story.containers.clear()
    story.tell(Done(action=stop)).settle()
    story.wait(35).settle()
    assert list(story.world.workloads) == ["db"]
    assert story.running() == {"db.0.g1"}
