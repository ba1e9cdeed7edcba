"""The kernel's limits against the declared ones, and commands that are refused."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from nodeorch.decide.absorb import is_settled
from nodeorch.decide.commands import refusal
from nodeorch.decide.limits import drift
from nodeorch.model.facts import Command
from nodeorch.model.workload import Port, Resources
from nodeorch.model.world import Limits
from tests.decide.story import MIB, Story, workload

HELD = Limits(memory=64 * MIB, swap=0, cpu=0.5, pids=256, cpuset="0-1", cpu_weight=100)
DECLARED = Resources(memory=64 * MIB, cpu=0.5, pids=256, cpuset="0,1", cpu_weight=100)


def test_what_is_held_as_declared_is_no_drift() -> None:
    assert drift(DECLARED, HELD) == []
    nearly = replace(HELD, memory=64 * MIB + 100, cpu=0.5001, cpu_weight=101)
    assert drift(DECLARED, nearly) == [], "the kernel rounds"
    unread = replace(HELD, swap=None, cpu_weight=None)
    assert drift(DECLARED, unread) == [], "not readable on this host"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("memory", 32 * MIB),
        ("memory", None),
        ("swap", 64 * MIB),
        ("cpu", 1.0),
        ("cpu", None),
        ("pids", 100),
        ("pids", None),
        ("cpuset", "0"),
        ("cpu_weight", 500),
    ],
)
def test_each_difference_is_told(field: str, value: object) -> None:
    (words,) = drift(DECLARED, replace(HELD, **{field: value}))
    assert words.startswith(f"{field} is ") and "declared" in words


def test_settled_needs_every_slot_filled() -> None:
    story = Story(workload(replicas=2)).up()
    state = story.world.workloads["web"]
    assert is_settled(story.world, state)
    first = state.instances["web.0.g1"]
    twin = replace(first, record=replace(first.record, name="web.0.g9"))
    doubled = replace(state, instances={"web.0.g1": first, "web.0.g9": twin})
    assert not is_settled(story.world, doubled)


@pytest.mark.parametrize(
    ("verb", "more", "words"),
    [
        ("restart", {}, "it is stopped; use `nodeorch start`"),
        ("scale", {"replicas": 2}, "it has host port 80"),
        ("scale", {"replicas": -1}, "is not a number of replicas"),
        ("scale", {}, "is not a number of replicas"),
        ("rollback", {}, "no earlier generation"),
        ("confirm", {}, "no deletion waits"),
    ],
)
def test_a_command_that_cannot_be_obeyed_changes_nothing(
    verb: str, more: dict[str, Any], words: str
) -> None:
    story = Story(workload(ports=(Port(container=80, host=80),))).up()
    story.command("stop").settle()
    fact = Command(verb=verb, workload="web", by="uid 0", **more)
    refused = refusal(story.world, fact)
    assert refused is not None and words in refused
    before = story.world
    assert story.tell(fact).world == before


def test_a_command_for_what_is_not_there_or_goes() -> None:
    story = Story(workload()).up()
    missing = refusal(story.world, Command(verb="stop", workload="nobody"))
    assert missing is not None and "no such workload" in missing
    story.command("delete")
    gone = refusal(story.world, Command(verb="start", workload="web"))
    assert gone is not None and "is being deleted" in gone
