"""An adopted container keeps its identity: also the start time, to the millisecond."""

from __future__ import annotations

from msgspec.structs import replace

from nodeorch.model.actions import CreateContainer, InspectContainer
from nodeorch.model.facts import Done, EngineSeen, Listed, Loaded, SpecsSeen
from nodeorch.model.world import Code, Why
from tests.decide.story import Story, workload


def test_listings_tell_whole_seconds_and_the_inspection_that_follows_corrects_them() -> None:
    story = Story(workload()).up()
    state = story.world.workloads["web"]
    own = state.instances["web.0.g1"].record
    exact = replace(
        story.containers[own.container_id], started_wall=1234.56, started=990.56, address="10.0.0.2"
    )
    coarse = replace(exact, started_wall=1234.0, started=990.0, address=None)

    later = Story(workload())
    later.tell(Loaded(desired={"web": state.record}, instances={own.name: own}, serial=1))
    later.tell(EngineSeen(answering=True, words="answers"))
    later.now += 1
    later.tell(Listed(containers=(coarse,), begun=later.now))
    look = InspectContainer(
        key=own.name,
        why=Why(code=Code.LOOK, words="look"),
        workload="web",
        container_id=own.container_id,
    )
    later.tell(Done(action=look, container=exact))
    adopted = later.world.workloads["web"].instances[own.name]
    assert adopted.started_wall == 1234.56 and adopted.address == "10.0.0.2"
    later.now += 30
    later.tell(Listed(containers=(coarse,), begun=later.now))
    assert later.world.workloads["web"].instances[own.name].started_wall == 1234.56


def test_a_spec_repaired_after_the_database_was_lost_finds_its_container() -> None:
    """It runs under a generation that nobody remembers: look before creating another one."""
    story = Story(workload()).up().specs(workload(env={"V": "2"})).settle()
    story.wait(5).settle()
    assert [c.name for c in story.containers.values()] == ["web.0.g2"]

    later = Story()
    later.containers = dict(story.containers)
    later.tell(Loaded(desired={}, instances={}, serial=0, rebuilt=True))
    later.tell(SpecsSeen(workloads={}, rejected={"web": "broken"}))
    later.tell(EngineSeen(answering=True, words="answers"))
    later.settle()
    assert later.world.workloads == {}
    later.specs(workload(env={"V": "2"})).settle()
    assert list(later.world.workloads["web"].instances) == ["web.0.g2"]
    assert not later.took(CreateContainer)


def test_a_listing_that_misses_a_container_is_not_believed() -> None:
    story = Story(workload()).up()
    before = story.instance("web.0.g1")
    story.now += 30
    story.tell(Listed(containers=(), begun=story.now)).settle()
    after = story.instance("web.0.g1")
    assert (after.record, after.pid) == (before.record, before.pid)
    assert story.took(CreateContainer) == ["web.0.g1"]
    story.containers.clear()  # it is true now
    story.now += 30
    story.tell(Listed(containers=(), begun=story.now)).settle()
    assert story.took(CreateContainer) == ["web.0.g1", "web.0.g1"]
    assert "RemovedOutside: its container was removed outside nodeorch" in story.words
