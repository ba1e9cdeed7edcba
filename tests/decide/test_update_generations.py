"""Updates that meet other things: a third generation, a stop, a dependency, a dead daemon."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from nodeorch.model.actions import (
    Action,
    CreateContainer,
    EnsureImage,
    RemoveContainer,
    StartContainer,
    StopContainer,
)
from nodeorch.model.facts import Done, Failed, Hint
from nodeorch.model.workload import (
    Port,
    Probe,
    Probes,
    Pull,
    Resources,
    Restart,
    RestartPolicy,
    Tcp,
    Volume,
)
from nodeorch.model.world import Code
from tests.decide.story import MIB, Story, workload
from tests.decide.test_observe import successor

PROBE = Probes(readiness=Probe(tcp=Tcp(port=1)))
PORT = (Port(container=80, host=80),)
DATA = (Volume(name="data", target="/d"),)
V1, V2, V3 = "localhost/web:1", "localhost/web:2", "localhost/web:3"


def keys(actions: tuple[Action, ...]) -> list[str]:
    return [f"{type(a).__name__} {a.key}" for a in actions]


def crash(story: Story, name: str, times: int = 20) -> None:
    """It ends with code 1 whenever it runs."""
    for _ in range(times):
        if name in story.running():
            story.die(name, 1)
        story.settle().wait(0.2).settle()


def test_what_cannot_be_created_stops_nothing() -> None:
    story = Story(workload(ports=PORT)).up()
    story.specs(workload(image=V2, ports=PORT))
    story.until(CreateContainer)
    assert story.step() == (), "the old one runs on until the new one can start"
    assert story.running() == {"web.0.g1"}


def test_the_second_and_third_generation_do_not_hold_one_port() -> None:
    one = Story(workload(ports=(Port(container=80, host=8001),), probes=PROBE)).up()
    one.probe("web.0.g1", True).settle()
    moved = (Port(container=80, host=8002),)
    one.specs(workload(image=V2, ports=moved, probes=PROBE)).settle()
    assert one.running() == {"web.0.g1", "web.0.g2"}
    one.specs(workload(image=V3, ports=moved, probes=PROBE)).settle()
    assert one.running() == {"web.0.g1", "web.0.g3"}


def test_a_third_spec_while_the_first_makes_way_for_the_second() -> None:
    story = Story(workload(volumes=DATA)).up()
    story.specs(workload(image=V2, volumes=DATA))
    stop = story.until(StopContainer)
    story.specs(workload(image="localhost/web:missing", volumes=DATA))
    for action in story.step():
        assert not isinstance(action, StartContainer), "the first one has not ended yet"
        story.obey(action)
    story.obey(stop).settle()
    for _ in range(5):
        story.wait(10).settle()
    assert story.running() == {"web.0.g1"}, "the third cannot be had: the first serves"


def test_the_first_returns_only_after_the_second_has_ended() -> None:
    story = Story(workload(ports=PORT)).up()
    story.specs(workload(image=V2, ports=PORT)).settle()
    assert story.running() == {"web.0.g2"}
    story.specs(workload(image="localhost/web:missing"))
    for _ in range(8):
        actions = story.step()
        if any(isinstance(a, StartContainer) for a in actions):
            assert story.running() == set()
        for action in actions:
            story.obey(action)
    assert story.running() == {"web.0.g1"}


def test_on_the_hosts_network_the_old_one_goes_first() -> None:
    story = Story(workload(networks=("host",))).up()
    story.specs(workload(image=V2, networks=("host",))).settle()
    assert story.running() == {"web.0.g2"}


def test_nothing_returns_beside_one_that_was_given_up_and_may_run() -> None:
    story = Story(workload(volumes=DATA)).up()
    story.specs(workload(image=V2, volumes=DATA))
    start = story.until(StartContainer)
    assert start.key == "web.0.g2"
    story.answer(start)
    story.tell(Failed(action=start, kind="timeout", words="late"))
    story.specs(workload(image="localhost/web:missing", volumes=DATA))
    for _ in range(8):
        actions = story.step()
        if any(isinstance(a, StartContainer) for a in actions):
            assert story.running() == set()
        for action in actions:
            story.obey(action)
        story.wait(2)
    assert story.running() == {"web.0.g1"}


def test_nothing_is_stopped_for_one_that_has_to_be_looked_at_first() -> None:
    story = Story(workload(ports=PORT)).up()
    story.specs(workload(image=V2, ports=PORT))
    create = story.until(CreateContainer)
    story.obey(create).wait(5).tell(Hint(container_id=story._id("web.0.g2")))
    assert keys(story.step()) == ["InspectContainer web.0.g2"]


def test_a_stop_gives_an_update_no_bad_mark() -> None:
    story = Story(workload(probes=PROBE)).up().probe("web.0.g1", True).settle()
    story.specs(workload(image=V2, probes=PROBE)).settle()
    story.command("stop")
    story.wait(100)  # past its deadline while it is being stopped
    assert story.world.workloads["web"].record.failed is None


def test_a_job_that_fails_in_its_update_gives_way_at_once() -> None:
    once = Restart(policy=RestartPolicy.NEVER)
    story = Story(workload(restart=once)).up()
    story.specs(workload(image=V2, restart=once)).settle().die("web.0.g2", 1).settle()
    assert story.world.workloads["web"].record.target.generation == 1


def test_one_that_cannot_be_created_gives_way_but_not_for_a_full_disk() -> None:
    for kind, back in (("refused", True), ("store", False)):
        story = Story(workload()).up()
        story.specs(workload(image=V2))
        for _ in range(3):
            create = story.until(CreateContainer)
            story.tell(Failed(action=create, kind=kind, words="no"))
            assert not [a for a in story.step() if isinstance(a, CreateContainer)], "not at once"
            story.wait(40)
            if story.world.workloads["web"].record.failed:
                break
        assert (story.world.workloads["web"].record.target.generation == 1) is back


def test_an_update_is_over_when_the_old_container_is_gone() -> None:
    story = Story(workload()).up()
    story.specs(workload(image=V2)).settle().wait(2)
    removal = story.until(RemoveContainer)
    assert not any("is ready, generation 1 gone" in w for w in story.words)
    story.obey(removal)
    assert any("generation 2 is ready, generation 1 gone" in w for w in story.words)


def test_an_image_pulled_for_an_earlier_spec_is_not_taken_for_the_next() -> None:
    story = Story(workload()).up()
    story.specs(workload(image=V2))
    pull = story.until(EnsureImage)
    story.specs(workload(image=V3))
    story.tell(Done(action=pull, image_id="id-2", image_digest="sha256:2")).settle()
    assert {c.image_id for c in story.containers.values()} == {"id-" + V1, "id-" + V3}


def test_an_image_that_is_gone_is_fetched_again() -> None:
    story = Story(workload()).up()
    story.specs(workload(env={"A": "1"}))
    create = story.until(CreateContainer)
    story.tell(Failed(action=create, kind="no_image", words="no such image")).wait(40).settle()
    assert "web.0.g2" in story.running() and len(story.took(EnsureImage)) == 2


def test_a_live_change_during_an_update_keeps_the_way_back() -> None:
    story = Story(workload(ports=PORT)).up()
    story.specs(workload(image=V2, ports=PORT)).settle()
    story.specs(workload(image=V2, ports=PORT, priority=3)).settle()
    crash(story, "web.0.g2")
    assert story.running() == {"web.0.g1"}
    assert story.world.workloads["web"].record.failed_generation == 3


def test_a_stop_during_an_update_condemns_nothing_and_start_goes_on_with_it() -> None:
    story = Story(workload(ports=PORT)).up()
    story.specs(workload(image=V2, ports=PORT)).settle()
    story.command("stop").settle().wait(100).settle()
    assert story.running() == set()
    assert story.world.workloads["web"].record.previous is not None
    story.command("start").settle()
    assert story.running() == {"web.0.g2"}
    story.wait(2).settle()
    assert list(story.world.workloads["web"].instances) == ["web.0.g2"]


def test_a_stop_during_an_update_keeps_the_way_back() -> None:
    story = Story(workload(ports=PORT)).up()
    story.specs(workload(image=V2, ports=PORT)).settle()
    story.command("stop").settle()
    story.command("start").settle()
    crash(story, "web.0.g2")
    assert story.world.workloads["web"].record.target.generation == 1
    assert story.running() == {"web.0.g1"}


def test_rollback_starts_the_earlier_one_before_the_later_one_stops() -> None:
    story = Story(workload()).up()
    first = story.world.workloads["web"].record.target
    story.specs(workload(image=V2)).settle().wait(2).settle()
    since = len(story.done)
    story.command("rollback", version=first).settle()
    assert story.running() == {"web.0.g1", "web.0.g2"}
    story.wait(2).settle()
    assert story.running() == {"web.0.g1"}
    done = [type(a) for a in story.done[since:]]
    assert done.index(StartContainer) < done.index(StopContainer)


def test_a_rollback_to_one_whose_removal_is_refused_waits_and_loses_none() -> None:
    story = Story(workload()).up()
    first = story.world.workloads["web"].record.target
    story.specs(workload(image=V2)).settle().wait(2)
    removal = story.until(RemoveContainer)
    story.tell(Failed(action=removal, kind="refused", words="device or resource busy"))
    story.command("rollback", version=first)
    for turn in range(60):
        for action in story.step():
            assert not isinstance(action, CreateContainer), "its name is taken"
            if action.key == "web.0.g1" and isinstance(action, RemoveContainer):
                story.tell(Failed(action=action, kind="refused", words="busy"))
            else:
                story.obey(action)
        story.wait(35 if turn % 4 == 3 else 0.01)
    assert story.running() == {"web.0.g2"}, "the later one serves meanwhile"
    known = {i.record.container_id for i in story.world.workloads["web"].instances.values()}
    assert set(story.containers) == known, "no container is forgotten"
    story.wait(35).settle().wait(2).settle()
    assert story.running() == {"web.0.g1"} and len(story.containers) == 1


def test_a_slot_that_comes_back_while_its_old_container_is_removed() -> None:
    for way in ("file", "scale"):
        story = Story(workload(replicas=2)).up()
        if way == "file":
            story.specs(workload(replicas=1))
        else:
            story.command("scale", replicas=1)
        removal = story.until(RemoveContainer)
        story.tell(Failed(action=removal, kind="refused", words="device busy"))
        if way == "file":
            story.specs(workload(replicas=2)).settle()
        else:
            story.command("scale", replicas=2).settle()
        for _ in range(3):
            story.wait(35).settle()
        assert len(story.running()) == len(story.containers) == 2


def test_a_dependency_that_is_not_ready_holds_an_update_not_the_service() -> None:
    web: dict[str, Any] = {"after": ("db",), "ports": PORT}
    story = Story(workload("db", probes=PROBE), workload(**web)).up()
    story.probe("db.0.g1", True).settle().probe("db.0.g1", False).settle()
    story.specs(workload(image=V2, **web)).settle()
    for _ in range(10):
        story.wait(10).settle()
    assert "web.0.g1" in story.running()
    assert any("waits for db" in h for h in story.holds())
    story.die("web.0.g1").settle()
    assert "web.0.g1" in story.running(), "it is looked after while the new one waits"
    story.probe("db.0.g1", True).settle()
    assert "web.0.g2" in story.running() and "web.0.g1" not in story.running()


def test_the_old_one_is_restarted_while_the_new_one_gets_ready() -> None:
    story = Story(workload(probes=PROBE)).up().probe("web.0.g1", True).settle()
    story.specs(workload(image=V2, probes=PROBE)).settle()
    story.die("web.0.g1").settle()
    assert story.running() == {"web.0.g1", "web.0.g2"}


def test_a_daemon_that_restarts_in_an_update_gives_the_new_one_its_time() -> None:
    story = Story(workload(probes=PROBE)).up().probe("web.0.g1", True).settle()
    story.specs(workload(image=V2, probes=PROBE)).settle()
    heir = successor(story, now=story.now + 600).settle()
    assert heir.running() == {"web.0.g1", "web.0.g2"}
    assert heir.world.workloads["web"].record.failed is None
    heir.probe("web.0.g2", True).settle()
    assert heir.running() == {"web.0.g2"}


def test_a_failed_update_is_not_tried_again_by_the_next_daemon() -> None:
    story = Story(workload(ports=PORT)).up()
    story.specs(workload(image=V2, ports=PORT)).settle()
    crash(story, "web.0.g2", 4)
    heir = successor(story).settle().wait(60).settle()
    assert heir.running() == {"web.0.g1"}
    failed = heir.world.workloads["web"].record.failed
    assert failed is not None and failed.code is Code.UPDATE_FAILED


def test_a_job_is_updated_by_completing() -> None:
    once = Restart(policy=RestartPolicy.ON_FAILURE)
    story = Story(workload(restart=once)).up().die("web.0.g1", 0).settle()
    story.specs(workload(image=V2, restart=once)).settle().die("web.0.g2", 0).settle()
    for _ in range(3):
        story.wait(60).settle()
    assert list(story.world.workloads["web"].instances) == ["web.0.g2"]
    assert story.world.workloads["web"].record.previous is None


def test_a_rollout_whose_first_slot_fails_again_is_given_up() -> None:
    story = Story(workload(probes=PROBE, replicas=2)).up()
    story.probe("web.0.g1", True).probe("web.1.g1", True).settle()
    story.specs(workload(image=V2, probes=PROBE, replicas=2)).settle()
    story.probe("web.0.g2", True).settle().probe("web.0.g2", False).settle()
    assert story.running() == {"web.1.g1", "web.0.g2", "web.1.g2"}
    story.wait(600).settle()
    assert {"web.0.g1", "web.1.g1"} <= story.running()
    assert story.world.workloads["web"].record.failed_generation == 2


def test_going_back_goes_back_to_the_image_that_was_good() -> None:
    always: dict[str, Any] = {"pull": Pull.ALWAYS, "replicas": 2}
    story = Story(workload(**always)).up()
    good = story.world.workloads["web"].record.image_id
    story.specs(workload(env={"A": "1"}, **always))
    pull = story.until(EnsureImage)
    story.tell(Done(action=pull, image_id="id-broken", image_digest="sha256:2")).settle()
    crash(story, "web.0.g2", 4)
    record = story.world.workloads["web"].record
    assert (record.target.generation, record.image_id) == (1, good)


def test_a_larger_generation_than_the_node_never_stops_the_smaller() -> None:
    story = Story(workload(), workload("db"), memory=200 * MIB).up()
    story.specs(workload(image=V2, resources=Resources(memory=900 * MIB))).settle()
    for _ in range(10):
        story.wait(10).settle()
    assert story.running() == {"web.0.g1", "db.0.g1"}
    story.command("stop", "db").settle()
    story.command("start", "db").settle()
    story.die("web.0.g1").settle()
    assert story.running() == {"web.0.g1", "db.0.g1"}


def test_a_scale_does_not_follow_to_a_generation_with_a_host_port() -> None:
    story = Story(workload(ports=PORT)).up()
    first = story.world.workloads["web"].record.target
    story.specs(workload()).settle().wait(2).settle()
    story.command("scale", replicas=2).settle()
    assert len(story.running()) == 2
    story.command("rollback", version=first).settle().wait(2).settle()
    assert story.running() == {"web.0.g1"}


def test_a_stepped_clock_does_not_hold_an_update() -> None:
    """A start that seems to lie in the future counts from when it was seen."""
    story = Story(workload()).up()
    story.specs(workload(image=V2)).settle()
    for own, container in story.containers.items():
        story.containers[own] = replace(container, started=story.now + 3600)
    heir = successor(story).settle()
    for _ in range(3):
        heir.wait(10).settle()
    assert heir.running() == {"web.0.g2"}
