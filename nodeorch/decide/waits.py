"""What was decided not to be done, for the journal: ``why`` tells of a wait also when it is over.

Reads the plan and ``world.waits``. Promises: one line a wait, however often it is decided anew;
a wait ends when what waited is begun or gone. What is remembered is bounded by what there is.
"""

from __future__ import annotations

from msgspec.structs import replace

from nodeorch.decide.edit import note
from nodeorch.model.actions import CreateContainer, Hold, Plan, StartContainer
from nodeorch.model.world import Code, Wait, Why, World

TOLD = frozenset({Code.DEPENDENCY, Code.NO_ROOM, Code.EVICTED, Code.BACKOFF, Code.CRASH_LOOP})
"""The other holds end by themselves at once, or began with a line of their own."""
SHORT = 1.0
"""Seconds: a wait known to be shorter is not worth a line."""


def waits_told(world: World, plan: Plan, now: float) -> World:
    """The world with a note on each wait that begins with this plan."""
    begun = {a.key for a in plan.actions if isinstance(a, CreateContainer | StartContainer)}
    held = {_wait(hold) for hold in plan.holds}
    going = frozenset(
        wait
        for wait in world.waits
        if wait.instance not in begun and (wait in held or _is_there(world, wait))
    )
    new = [h for h in plan.holds if _worth(h, now) and _wait(h) not in going]
    if not new and len(going) == len(world.waits):
        return world
    for hold in new:
        world = note(world, _words(hold, now), hold.workload, hold.instance)
    return replace(world, waits=going.union(map(_wait, new)))


def _is_there(world: World, wait: Wait) -> bool:
    """It may be held up by something else for a moment; what is not made yet is held, or gone."""
    state = world.workloads.get(wait.workload)
    return state is not None and wait.instance in state.instances


def _worth(hold: Hold, now: float) -> bool:
    known_short = hold.until is not None and hold.until - now < SHORT
    return hold.why.code in TOLD and not known_short


def _wait(hold: Hold) -> Wait:
    return Wait(hold.workload, hold.instance, hold.why.code)


def _words(hold: Hold, now: float) -> Why:
    if hold.until is None:
        return hold.why
    words = f"waits {hold.until - now:.1f} s until its next try: {hold.why.words}"
    return replace(hold.why, words=words)
