"""Eviction when the host stalls: whom, when, why, and when they come back."""

from __future__ import annotations

from msgspec.structs import replace

from nodeorch.decide.pressure import PAUSE
from nodeorch.model.actions import StartContainer
from nodeorch.model.facts import PressureSeen
from nodeorch.model.pressure import PressureRules
from nodeorch.model.workload import Workload
from tests.decide.story import Story, workload

RULES = PressureRules(memory=20.0, io=30.0, below=0, rest=60.0)


def pressed(*specs: Workload, rules: PressureRules = RULES) -> Story:
    story = Story(*specs).up()
    story.world = replace(story.world, node=replace(story.world.node, pressure=rules))
    return story


def feel(
    story: Story, memory: float | None = 0.0, io: float | None = 0.0, after: float = 2.0
) -> Story:
    story.now += after
    return story.tell(PressureSeen(memory=memory, io=io)).settle()


def three() -> Story:
    story = pressed(workload("db"), workload("batch", priority=-10), workload("idle", priority=-5))
    assert story.running() == {"db.0.g1", "batch.0.g1", "idle.0.g1"}
    return story


def test_the_lowest_goes_first_one_at_a_time_and_the_others_never() -> None:
    story = feel(three(), memory=25.0)
    assert story.running() == {"db.0.g1", "idle.0.g1"}
    feel(story, memory=90.0)
    assert story.running() == {"db.0.g1", "idle.0.g1"}, "the last one's effect is waited for"
    feel(story, memory=90.0, after=PAUSE)
    assert story.running() == {"db.0.g1"}
    feel(story, memory=90.0, after=PAUSE)
    assert story.running() == {"db.0.g1"}
    said = [words for words in story.words if "ressure" in words or "stall" in words]
    assert said[0] == ("Pressure: the host stalls: memory pressure is 25 %, evicting from 20 % on")
    assert "Evicted: evicted: memory pressure is 25 %, evicting from 20 % on" in said


def test_what_was_evicted_comes_back_after_a_time_of_calm() -> None:
    story = feel(three(), io=30.0)
    assert "batch.0.g1" not in story.running()
    assert any("batch.0.g1: Evicted: waits" in hold for hold in story.holds())
    feel(story, io=1.0)
    assert "Pressure: the host does not stall any more" in story.words
    story.wait(RULES.rest - 5).settle()
    assert "batch.0.g1" not in story.running()
    wake = story.plan().wake_at
    assert wake is not None
    story.wait(wake - story.now).settle()
    assert "batch.0.g1" in story.running()
    own = story.instance("batch.0.g1").record
    assert own.failures == 0 and own.last_exit is not None
    assert own.last_exit.why.words.startswith("evicted: io pressure")


def test_as_long_as_it_stalls_nothing_comes_back_however_short_the_rest() -> None:
    rules = replace(RULES, rest=0.5)
    story = feel(pressed(workload("a", priority=-1), rules=rules), memory=50.0)
    story.wait(1.9).settle()
    assert story.running() == set()
    feel(story, memory=0.0).wait(0.6).settle()
    assert story.running() == {"a.0.g1"}


def test_among_equals_the_youngest_goes() -> None:
    story = pressed(workload("a", priority=-1), workload("b", priority=-1))
    story.die("a.0.g1").settle()
    feel(story, memory=50.0)
    assert story.running() == {"b.0.g1"}


def test_below_the_thresholds_and_without_rules_nobody_goes() -> None:
    story = feel(three(), memory=19.9, io=29.9)
    assert len(story.running()) == 3
    story = three()
    story.world = replace(story.world, node=replace(story.world.node, pressure=PressureRules()))
    assert len(feel(story, memory=100.0, io=100.0).running()) == 3


def test_an_expendable_one_does_not_start_while_the_host_stalls() -> None:
    story = feel(pressed(workload("db")), memory=50.0)
    story.specs(workload("idle", priority=-1), workload("web")).settle()
    assert story.running() == {"db.0.g1", "web.0.g1"}
    assert story.took(StartContainer)[-1] == "web.0.g1"


def test_a_kernel_that_does_not_tell_is_said_once_and_evicts_nobody() -> None:
    story = three()
    for _ in range(3):
        feel(story, memory=None, io=None)
    assert len(story.running()) == 3
    said = [words for words in story.words if "no PSI" in words]
    assert said == [
        "Pressure: cannot tell the pressure of memory and io: this kernel has no PSI for it"
    ]
