"""Changing what runs: live, or by another container, and the way back."""

from __future__ import annotations

from nodeorch.decide.template import diff, template, version
from nodeorch.model.actions import (
    CreateContainer,
    RemoveContainer,
    StartContainer,
    StopContainer,
    UpdateLimits,
)
from nodeorch.model.workload import Http, Port, Probe, Probes, Resources, Update, Volume
from nodeorch.model.world import Code
from tests.decide.story import MIB, Story, workload

READINESS = Probes(readiness=Probe(http=Http(port=80), interval=1.0))


def kinds(story: Story, since: int) -> list[str]:
    return [f"{type(a).__name__} {a.key}" for a in story.done[since:]]


def test_resources_change_live() -> None:
    story = Story(workload()).up()
    since = len(story.done)
    story.specs(workload(resources=Resources(memory=128 * MIB))).settle()
    assert kinds(story, since) == ["UpdateLimits web.0.g1"]
    assert story.instance("web.0.g1").record.generation == 2
    assert story.world.workloads["web"].record.target.generation == 2


def test_probes_and_policies_change_without_any_act() -> None:
    story = Story(workload()).up()
    since = len(story.done)
    story.specs(workload(probes=READINESS)).settle()
    assert kinds(story, since) == []


def test_start_first_keeps_the_old_one_until_the_new_one_is_ready() -> None:
    story = Story(workload(probes=READINESS)).up().probe("web.0.g1", True).settle()
    since = len(story.done)
    story.specs(workload(image="localhost/web:2", probes=READINESS)).settle()
    assert story.running() == {"web.0.g1", "web.0.g2"}
    story.probe("web.0.g2", True).settle()
    assert story.running() == {"web.0.g2"}
    assert kinds(story, since) == [
        "EnsureImage web#image",
        "CreateContainer web.0.g2",
        "StartContainer web.0.g2",
        "StopContainer web.0.g1",
        "RemoveContainer web.0.g1",
    ]
    assert any("generation 2 is ready" in w for w in story.words)


def test_stop_first_where_a_host_port_is_shared() -> None:
    ports = (Port(container=80, host=18080),)
    story = Story(workload(probes=READINESS, ports=ports)).up().probe("web.0.g1", True).settle()
    since = len(story.done)
    story.specs(workload(image="localhost/web:2", probes=READINESS, ports=ports)).settle()
    assert kinds(story, since) == [
        "EnsureImage web#image",
        "CreateContainer web.0.g2",
        "StopContainer web.0.g1",
        "StartContainer web.0.g2",
    ]
    story.probe("web.0.g2", True).settle()
    assert story.took(RemoveContainer) == ["web.0.g1"]


def test_stop_first_where_a_named_volume_is_shared() -> None:
    volumes = (Volume(target="/data", name="data"),)
    story = Story(workload(volumes=volumes)).up()
    story.specs(workload(image="localhost/web:2", volumes=volumes)).settle()
    acts = [f"{type(a).__name__} {a.key}" for a in story.done]
    assert acts.index("StopContainer web.0.g1") < acts.index("StartContainer web.0.g2")


def test_one_that_never_gets_ready_gives_way_to_the_previous_generation() -> None:
    ports = (Port(container=80, host=18080),)
    update = Update(deadline=5.0)
    story = Story(workload(probes=READINESS, ports=ports, update=update)).up()
    story.probe("web.0.g1", True).settle()
    old = story.instance("web.0.g1").record.container_id
    bad = workload(image="localhost/web:2", probes=READINESS, ports=ports, update=update)
    story.specs(bad).settle()
    assert story.running() == {"web.0.g2"}
    story.wait(5.1).settle()
    assert story.running() == {"web.0.g1"}
    assert story.instance("web.0.g1").record.container_id == old
    story.probe("web.0.g1", True).settle()
    assert set(story.world.workloads["web"].instances) == {"web.0.g1"}
    record = story.world.workloads["web"].record
    assert record.target.generation == 1 and record.failed_generation == 2
    assert record.failed is not None and record.failed.code is Code.UPDATE_FAILED
    # the file still declares it: nothing more is tried until it changes
    since = len(story.done)
    story.specs(bad).wait(60).settle()
    assert not [k for k in kinds(story, since) if "Create" in k]
    good = workload(image="localhost/web:3", probes=READINESS, ports=ports, update=update)
    story.specs(good).settle().probe("web.0.g3", True).settle()
    assert story.running() == {"web.0.g3"}


def test_one_that_crashes_twice_gives_way_at_once() -> None:
    story = Story(workload()).up()
    story.specs(workload(image="localhost/web:2")).settle()
    story.die("web.0.g2", code=1).settle()
    assert story.running() == {"web.0.g1", "web.0.g2"}
    story.die("web.0.g2", code=1).settle()
    assert story.running() == {"web.0.g1"}
    assert story.world.workloads["web"].record.target.generation == 1


def test_without_a_probe_it_has_to_run_for_a_while() -> None:
    story = Story(workload()).up()
    story.specs(workload(image="localhost/web:2")).settle()
    assert story.running() == {"web.0.g1", "web.0.g2"}
    story.wait(1.1).settle()
    assert story.running() == {"web.0.g2"}


def test_an_image_that_cannot_be_pulled_leaves_the_old_one_running() -> None:
    story = Story(workload()).up()
    story.specs(workload(image="localhost/missing:2")).settle()
    for _ in range(5):
        story.wait(31).settle()
    assert story.running() == {"web.0.g1"}
    assert story.world.workloads["web"].record.target.generation == 2
    assert story.took(StopContainer) == []
    story.die("web.0.g1").settle()
    assert story.running() == {"web.0.g1"}, "the old one is still looked after"


def test_replicas_are_replaced_one_slot_at_a_time() -> None:
    story = Story(workload(replicas=2, probes=READINESS)).up()
    story.probe("web.0.g1", True).probe("web.1.g1", True).settle()
    story.specs(workload(image="localhost/web:2", replicas=2, probes=READINESS)).settle()
    assert story.running() == {"web.0.g1", "web.1.g1", "web.0.g2"}
    story.probe("web.0.g2", True).settle()
    assert story.running() == {"web.1.g1", "web.0.g2", "web.1.g2"}
    story.probe("web.1.g2", True).settle()
    assert story.running() == {"web.0.g2", "web.1.g2"}
    assert story.world.workloads["web"].record.previous is None


def test_a_change_during_a_change_keeps_the_last_good_one() -> None:
    story = Story(workload(probes=READINESS)).up().probe("web.0.g1", True).settle()
    story.specs(workload(image="localhost/web:2", probes=READINESS)).settle()
    story.specs(workload(image="localhost/web:3", probes=READINESS)).settle()
    assert "web.0.g1" in story.running()
    story.probe("web.0.g3", True).settle()
    assert story.running() == {"web.0.g3"}


def test_rollback_goes_to_an_earlier_version_until_the_file_changes() -> None:
    story = Story(workload()).up()
    first = story.world.workloads["web"].record.target
    story.specs(workload(image="localhost/web:2")).settle().wait(2).settle()
    assert story.running() == {"web.0.g2"}
    story.command("rollback", version=first).settle().wait(2).settle()
    assert story.running() == {"web.0.g1"}
    story.specs(workload(image="localhost/web:2")).settle()
    assert story.running() == {"web.0.g1"}, "the unchanged file does not undo it"


def test_scale_up_and_down() -> None:
    story = Story(workload()).up()
    story.command("scale", replicas=3).settle()
    assert len(story.running()) == 3
    story.command("scale", replicas=1).settle()
    assert story.running() == {"web.0.g1"}
    assert len(story.containers) == 1


def test_stop_keeps_containers_and_start_takes_them_up() -> None:
    story = Story(workload()).up()
    story.command("stop").settle()
    assert story.running() == set() and len(story.containers) == 1
    story.wait(100).settle()
    assert story.running() == set()
    story.command("start").settle()
    assert story.running() == {"web.0.g1"}
    assert story.took(CreateContainer) == ["web.0.g1"]


def test_delete_removes_everything() -> None:
    story = Story(workload(replicas=2)).up()
    story.command("delete").settle()
    assert story.containers == {} and story.world.workloads == {}


def test_drift_behind_our_back_is_healed() -> None:
    from nodeorch.model.facts import LimitsSeen
    from nodeorch.model.world import Limits

    story = Story(workload()).up()
    own = story.instance("web.0.g1").record.container_id
    found = Limits(memory=32 * MIB, pids=256)
    story.tell(LimitsSeen(instance="web.0.g1", container_id=own, limits=found))
    (act,) = story.plan().actions
    assert isinstance(act, UpdateLimits)
    assert act.why.words == "memory is 32 MiB, declared 64 MiB"
    story.settle()
    assert story.plan().actions == ()


def test_what_no_live_change_can_heal_is_said_once() -> None:
    from nodeorch.model.facts import LimitsSeen
    from nodeorch.model.workload import Ulimit
    from nodeorch.model.world import Limits

    ulimits = {"nofile": Ulimit(soft=65536, hard=65536)}
    story = Story(workload(resources=Resources(memory=64 * MIB, ulimits=ulimits))).up()
    story.limits[story.instance("web.0.g1").record.container_id] = held = Limits(
        memory=64 * MIB, pids=256, ulimits={"nofile": (8192, 8192)}
    )
    story.die("web.0.g1").settle()
    own = story.instance("web.0.g1").record.container_id
    story.tell(LimitsSeen(instance="web.0.g1", container_id=own, limits=held))
    said = [w for w in story.words if "nofile is 8192:8192, declared 65536:65536" in w]
    assert len(said) == 1
    assert story.plan().actions == ()


def test_only_baked_fields_need_another_container() -> None:
    one = workload()
    assert template(one) == template(workload(resources=Resources(memory=1 << 30, cpu=2.0)))
    assert template(one) != template(workload(env={"A": "1"}))
    assert template(one) != template(workload(resources=Resources(memory=64 * MIB, cpuset="0")))
    effects = {c.field: c.effect for c in diff(one, workload(env={"A": "1"}, probes=READINESS))}
    assert effects == {"workload.env": "recreate", "probes": "live"}
    assert version(one, 3).generation == 3


def test_a_new_instance_starts_after_its_port_is_free_and_never_before() -> None:
    ports = (Port(container=80, host=18080),)
    story = Story(workload(ports=ports)).up()
    story.specs(workload(image="localhost/web:2", ports=ports))
    for _ in range(20):
        for action in story.step():
            if isinstance(action, StartContainer):
                assert story.running() == set()
            story.obey(action)
        story.wait(0.3)
    assert story.running() == {"web.0.g2"}


def test_a_port_passes_to_another_workload_when_its_holder_has_let_go() -> None:
    ports = (Port(container=80, host=18080),)
    story = Story(workload("old", ports=ports)).up()
    story.files = {}
    story.specs(workload("new", ports=ports))
    stop = story.until(StopContainer)
    assert isinstance(stop, StopContainer)
    for _ in range(5):  # all but the stop goes on
        for action in story.step():
            assert not isinstance(action, StartContainer)
            story.obey(action)
    assert any("starts when old.0.g1" in hold for hold in story.holds())
    story.obey(stop)
    start = story.until(StartContainer)
    assert isinstance(start, StartContainer)
    assert (start.key, start.after) == ("new.0.g1", (stop.container_id,))


def test_one_whose_start_was_answered_late_has_to_be_seen_to_run() -> None:
    """It may have ended before the answer came."""
    story = Story(workload()).up()
    story.specs(workload(image="localhost/web:2"))
    start = story.until(StartContainer)
    answer = story.answer(start)
    story.now += 5
    story.tell(answer).settle()
    assert "web.0.g1" in story.running()
    story.wait(1.1).settle()
    assert story.running() == {"web.0.g2"}
