"""What adapters see: adoption, things done behind our back, a lost database."""

from __future__ import annotations

from msgspec.structs import replace

from nodeorch.decide.absorb import absorb
from nodeorch.model import labels
from nodeorch.model.actions import CreateContainer, StartContainer, StopContainer
from nodeorch.model.facts import Done, EngineSeen, Failed, Loaded, ProbeSeen
from nodeorch.model.workload import Probe, Probes, Tcp
from nodeorch.model.world import Code, Container, Node, State, World
from tests.decide.story import Story, workload


def successor(
    story: Story, *, rebuilt: bool = False, boot_id: str = "boot-1", now: float | None = None
) -> Story:
    """A new daemon on the same host: it knows what was written down, and nothing else."""
    states = story.world.workloads
    heir = Story(*story.files.values())
    heir.now = story.now + 10 if now is None else now
    heir.containers, heir.limits, heir._ids = story.containers, story.limits, story._ids
    heir.ports = story.ports
    heir.world = World(node=Node(name="h1", boot_id=boot_id, memory=1 << 40))
    desired = {} if rebuilt else {n: s.record for n, s in states.items()}
    instances = (
        {} if rebuilt else {i.name: i.record for s in states.values() for i in s.instances.values()}
    )
    serial = 0 if rebuilt else story.world.serial
    heir.tell(Loaded(desired=desired, instances=instances, serial=serial, rebuilt=rebuilt))
    heir.specs()
    return heir.tell(EngineSeen(answering=True, words="answers"))


def acts(story: Story) -> list[str]:
    return [type(a).__name__ for a in story.done if type(a).__name__ not in QUIET]


QUIET = ("ListContainers", "InspectContainer", "EnsureImage")


def test_running_containers_are_adopted_untouched() -> None:
    story = Story(workload(), workload("db")).up()
    pids = {c.name: c.pid for c in story.containers.values()}
    heir = successor(story).settle()
    assert acts(heir) == []
    assert {c.name: c.pid for c in heir.containers.values()} == pids
    assert heir.instance("web.0.g1").pid == pids["web.0.g1"]
    assert sum(w.startswith("Adopted") for w in heir.words) == 2


def test_a_creation_whose_answer_was_lost_is_found_by_name_and_seal() -> None:
    story = Story(workload()).up()
    story.command("delete").settle()
    story = Story(workload())
    story.tell(Loaded(desired={}, instances={}, serial=0)).specs()
    story.tell(EngineSeen(answering=True))
    create = story.until(CreateContainer)
    story._create(create)  # the engine did it; the daemon died before it heard
    heir = successor(story).settle()
    assert heir.took(CreateContainer) == []
    assert heir.running() == {"web.0.g1"}


def test_a_creation_that_never_happened_is_done_once() -> None:
    story = Story(workload())
    story.tell(Loaded(desired={}, instances={}, serial=0)).specs()
    story.tell(EngineSeen(answering=True))
    story.until(CreateContainer)
    heir = successor(story).settle()
    assert heir.took(CreateContainer) == ["web.0.g1"]
    assert heir.running() == {"web.0.g1"}


def test_a_container_with_our_labels_and_no_seal_is_left_alone() -> None:
    story = Story(workload()).up()
    ours = next(iter(story.containers.values()))
    stranger = replace(ours, id="stranger", name="by-hand", sealed=False, pid=77)
    story.containers["stranger"] = stranger
    story.relist().settle()
    heir = successor(story, rebuilt=True).settle()
    assert heir.containers["stranger"] == stranger
    assert set(heir.world.workloads["web"].instances) == {"web.0.g1"}


def test_a_lost_database_is_rebuilt_from_sealed_containers() -> None:
    story = Story(workload()).up()
    story.specs(workload(env={"A": "1"})).settle().wait(2).settle()
    pid = story.instance("web.0.g2").pid
    heir = successor(story, rebuilt=True).settle()
    assert acts(heir) == []
    assert heir.instance("web.0.g2").pid == pid
    assert heir.world.workloads["web"].record.target.generation == 2
    assert any(w.startswith("StateRebuilt") for w in heir.words)
    heir.specs(workload(env={"A": "2"})).settle().wait(2).settle()
    assert heir.running() == {"web.0.g3"}


def test_removed_by_hand_is_made_anew() -> None:
    story = Story(workload()).up()
    story.containers.clear()
    story.relist().settle()
    assert story.running() == {"web.0.g1"}
    assert any(w.startswith("RemovedOutside") for w in story.words)


def test_an_older_listing_proves_nothing_about_newer_containers() -> None:
    story = Story(workload())
    story.up()
    from nodeorch.model.facts import Listed

    story.tell(Listed(containers=(), begun=story.now - 5)).settle()
    assert story.took(CreateContainer) == ["web.0.g1"]
    assert len(story.containers) == 1


def test_paused_by_hand_is_resumed() -> None:
    story = Story(workload()).up()
    (own,) = story.containers
    story.containers[own] = replace(story.containers[own], state=State.PAUSED)
    story.wait(5).relist().settle()
    assert story.running() == {"web.0.g1"}
    assert any(w.startswith("PausedOutside") for w in story.words)


def test_renamed_by_hand_stays_ours() -> None:
    story = Story(workload()).up()
    (own,) = story.containers
    story.containers[own] = replace(story.containers[own], name="hugo")
    story.wait(5).relist().settle()
    assert acts(story)[-1] == "StartContainer" and len(story.containers) == 1
    assert sum(w.startswith("RenamedOutside") for w in story.words) == 1
    story.wait(5).relist()
    assert sum(w.startswith("RenamedOutside") for w in story.words) == 1


def test_stopped_by_hand_is_started() -> None:
    story = Story(workload()).up()
    (own,) = story.containers
    story.containers[own] = replace(story.containers[own], state=State.EXITED, pid=0, exit_code=0)
    story.wait(5).relist().settle()
    assert story.running() == {"web.0.g1"}


def test_after_a_reboot_everything_starts_and_nothing_counts_as_failure() -> None:
    story = Story(workload(), workload("db")).up()
    for own, container in story.containers.items():
        story.containers[own] = replace(container, state=State.CREATED, pid=0)
    heir = successor(story, boot_id="boot-2").settle()
    assert len(heir.running()) == 2
    last = heir.instance("web.0.g1").record.last_exit
    assert last is not None and last.why.code is Code.HOST_REBOOTED
    assert heir.instance("web.0.g1").record.failures == 0


def test_a_wait_for_an_image_does_not_outlive_its_boot() -> None:
    story = Story(workload(image="localhost/missing:1")).up()
    for _ in range(6):
        story.wait(31).settle()
    heir = successor(story, boot_id="boot-2", now=5.0)
    assert "EnsureImage" in [type(a).__name__ for a in heir.settle().done]


def test_an_engine_that_does_not_answer_is_nobodys_failure() -> None:
    story = Story(workload()).up()
    story.die("web.0.g1")
    (look,) = story.step()
    story.tell(Failed(action=look, kind="unreachable", words="connection refused"))
    assert story.plan().actions == ()
    assert any("EngineDown" in h for h in story.holds())
    story.wait(60)
    assert story.instance("web.0.g1").record.failures == 0
    story.tell(EngineSeen(answering=True, words="answers again")).settle()
    assert story.running() == {"web.0.g1"}


def test_nothing_is_done_before_the_first_listing() -> None:
    story = Story(workload())
    story.tell(Loaded(desired={}, instances={}, serial=0)).specs()
    story.tell(EngineSeen(answering=True))
    (listing,) = story.step()
    assert type(listing).__name__ == "ListContainers"
    assert story.step() == ()


def test_liveness_kills_only_what_was_ready_once() -> None:
    probes = Probes(liveness=Probe(tcp=Tcp(port=1)))
    story = Story(workload(probes=probes)).up()
    story.probe("web.0.g1", False, "liveness")
    assert story.plan().actions == ()
    story.wait(31)
    assert StopContainer in [type(a) for a in story.plan().actions]
    story.settle()
    last = story.instance("web.0.g1").record.last_exit
    assert last is not None and last.why.code is Code.PROBE_FAILED
    assert "connection refused" in last.why.words


def test_liveness_after_a_success_kills_at_once() -> None:
    probes = Probes(liveness=Probe(tcp=Tcp(port=1)))
    story = Story(workload(probes=probes)).up()
    story.probe("web.0.g1", True, "liveness").probe("web.0.g1", False, "liveness")
    assert [type(a) for a in story.plan().actions] == [StopContainer]


def test_a_failed_probe_is_noted_with_what_it_took() -> None:
    story = Story(workload(probes=Probes(readiness=Probe(tcp=Tcp(port=1))))).up()
    story.probe("web.0.g1", True)
    (container,) = story.containers
    fact = ProbeSeen("web.0.g1", container, "readiness", False, "connection refused", 0.0025)
    failed, lost = absorb(story.world, fact, story.now).notes
    assert failed.why.code is Code.PROBE_FAILED
    assert failed.details == {"probe": "readiness", "latency_ms": 2.5}
    assert lost.why.words == "is not ready any more: its readiness probe fails"


def test_a_probe_of_an_earlier_container_says_nothing() -> None:
    story = Story(workload(probes=Probes(readiness=Probe(tcp=Tcp(port=1))))).up()
    fact = ProbeSeen(instance="web.0.g1", container_id="other", probe="readiness", passed=True)
    before = story.world
    assert absorb(before, fact, story.now).workloads == before.workloads


def test_a_container_that_dies_while_being_started_is_a_death() -> None:
    story = Story(workload())
    story.tell(Loaded(desired={}, instances={}, serial=0)).specs()
    story.tell(EngineSeen(answering=True))
    start = story.until(StartContainer)
    (container,) = story.containers.values()
    dead = replace(container, state=State.EXITED, exit_code=3)
    story.containers[container.id] = dead
    story.tell(Done(action=start, container=dead))
    last = story.instance("web.0.g1").record.last_exit
    assert last is not None and last.code == 3
    assert isinstance(dead, Container) and dead.labels[labels.WORKLOAD] == "web"
