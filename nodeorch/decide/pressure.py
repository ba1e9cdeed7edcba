"""Eviction: what the node gives up when it stalls.

Reads the node's rules and pressure, and the workloads' priorities. Promises: only workloads
below the configured priority are stopped, the lowest first and of these the youngest, one at
a time with a pause to see the effect; what was evicted starts again after a time of calm;
CPU pressure evicts nothing (limits cause it on purpose).
"""

from __future__ import annotations

from msgspec.structs import replace

from nodeorch.decide.edit import note, put_instance, say
from nodeorch.model.facts import PressureSeen
from nodeorch.model.pressure import PressureRules
from nodeorch.model.world import Code, Instance, Why, WorkloadState, World

PAUSE = 10.0
"""Seconds between two evictions: PSI's avg10 has to show what the last one was worth."""


def pressure_seen(world: World, fact: PressureSeen, now: float) -> World:
    rules, was = world.node.pressure, world.pressure
    words, missing = _over(rules, fact), _missing(rules, fact)
    fresh = replace(was, words=words, missing=missing, last_over=now if words else was.last_over)
    if missing and not was.missing:
        world = say(world, Code.PRESSURE, missing)
    if words and not was.words:
        world = say(world, Code.PRESSURE, f"the host stalls: {words}")
    elif was.words and not words:
        world = say(world, Code.PRESSURE, "the host does not stall any more")
    world = replace(world, pressure=fresh)
    paused = was.evicted_at is not None and now - was.evicted_at < PAUSE
    return _evict(world, words, now) if words and not paused else world


def held_back(world: World, state: WorkloadState, now: float) -> tuple[Why, float | None] | None:
    """Why an instance may not start while the host stalls; until when, once it is calm."""
    pressure, rules = world.pressure, world.node.pressure
    if pressure.last_over is None or not _may_go(rules, state):
        return None
    if pressure.words:
        return Why(code=Code.EVICTED, words=f"waits: {pressure.words}"), None
    until = pressure.last_over + rules.rest
    if until <= now:
        return None
    words = f"waits: the host stalled; it has to be calm for {rules.rest:g} s"
    return Why(code=Code.EVICTED, words=words), until


def _over(rules: PressureRules, fact: PressureSeen) -> str:
    found = [
        f"{kind} pressure is {value:.0f} %, evicting from {limit:g} % on"
        for kind, limit, value in (
            ("memory", rules.memory, fact.memory),
            ("io", rules.io, fact.io),
        )
        if limit and value is not None and value >= limit
    ]
    return "; ".join(found)


def _missing(rules: PressureRules, fact: PressureSeen) -> str:
    kinds = (("memory", rules.memory, fact.memory), ("io", rules.io, fact.io))
    names = [kind for kind, limit, value in kinds if limit and value is None]
    if not names:
        return ""
    return f"cannot tell the pressure of {' and '.join(names)}: this kernel has no PSI for it"


def _may_go(rules: PressureRules, state: WorkloadState) -> bool:
    return state.workload.main.priority < rules.below


def _evict(world: World, words: str, now: float) -> World:
    rules = world.node.pressure
    choice = [
        (state, instance)
        for state in world.workloads.values()
        if _may_go(rules, state)
        for instance in state.instances.values()
        if instance.running and instance.doom is None and instance.died_at is None
    ]
    if not choice:
        return world
    state, victim = min(choice, key=lambda pair: _rank(*pair))
    why = Why(code=Code.EVICTED, words=f"evicted: {words}")
    world = put_instance(world, replace(victim, doom=why))
    world = replace(world, pressure=replace(world.pressure, evicted_at=now))
    return note(world, why, state.workload.name, victim.name)


def _rank(state: WorkloadState, instance: Instance) -> tuple[int, float, str]:
    return (state.workload.main.priority, -(instance.running_since or 0.0), instance.name)
