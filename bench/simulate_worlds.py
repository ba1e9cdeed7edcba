"""Whole worlds of hosts, told of a loss: they decide by the ``absorb`` and ``plan`` of a daemon."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from random import Random
from typing import NamedTuple

from msgspec.structs import replace

from bench.simulate_fleet import Made
from nodeorch.decide.absorb import absorb
from nodeorch.decide.fleet.members import GATHER
from nodeorch.decide.placement import Candidate, place
from nodeorch.decide.plan import plan
from nodeorch.model.facts import EngineSeen, LinkSeen, Listed, Loaded, SpecsSeen, Tick
from nodeorch.model.fleet import (
    Fleet,
    FleetRecord,
    Hearing,
    Host,
    HostRecord,
    Report,
    Running,
    Standing,
)
from nodeorch.model.world import Node, World

NOW = 1000.0


class Decided(NamedTuple):
    """What came of a loss."""

    ready: list[float]
    """Seconds in which each world was made ready."""
    seconds: list[float]
    """In which each decided what the loss means for it, and planned."""
    takers: Counter[str]
    """Replicas of the lost host, as WORKLOAD.SLOT → worlds that took them."""
    lost: set[str]
    """All of them that can be placed."""
    moved: int
    """Replicas that a world gave up, or took though they were not lost."""


def decide(made: Made, share: float, seed: int, worlds: int) -> Decided:
    """One host is lost; ``worlds`` of the others look at it, those first that are to take over."""
    hosts = made.filled(share)
    at_home = {one.name: (one.home,) * one.slots for one in made.asks if one.together}
    before = dict(place(made.asks, hosts, at_home).seats)
    lost = Random(seed).choice(sorted(hosts))
    slots = [
        (name, slot) for name, held in before.items() for slot, at in enumerate(held) if at == lost
    ]
    everyone = _hosts(made, hosts, before, lost)
    left = sorted(hosts.keys() - {lost})
    any_world = _told(_world(made, hosts, everyone, left[0]), lost)
    belongs = {f"{n}.{slot}": any_world.fleet.seats[n].hosts[slot] for n, slot in slots}
    decided = Decided([], [], Counter(), {replica for replica, at in belongs.items() if at}, 0)
    for name in _chosen(set(belongs.values()), left, worlds, seed):
        begun = time.perf_counter()
        world = _world(made, hosts, everyone, name)
        ready = time.perf_counter()
        after = _told(world, lost)
        plan(after, NOW + GATHER)
        decided.ready.append(ready - begun)
        decided.seconds.append(time.perf_counter() - ready)
        taken = _held(after) - _held(world)
        decided.takers.update(taken)
        wrong = len(_held(world) - _held(after)) + len(taken - decided.lost)
        decided = decided._replace(moved=decided.moved + wrong)
    return decided


def _told(world: World, lost: str) -> World:
    world = absorb(world, LinkSeen(lost, Hearing.SILENT), NOW)
    return absorb(world, Tick(), NOW + GATHER)


def _chosen(takers: set[str], names: Sequence[str], worlds: int, seed: int) -> list[str]:
    first = sorted(takers - {""})
    rest = [name for name in Random(seed).sample(names, len(names)) if name not in takers]
    return [*first, *rest][:worlds]


def _held(world: World) -> set[str]:
    return {f"{n}.{slot}" for n, state in world.workloads.items() for slot in state.slots}


def _hosts(
    made: Made, hosts: Mapping[str, Candidate], seats: Mapping[str, Sequence[str]], lost: str
) -> dict[str, Host]:
    """Each as all others see it: heard, told, and hearing nothing of the one that is lost."""
    running: dict[str, dict[str, Running]] = {name: {} for name in hosts}
    for home, view in made.views.items():
        for name, one in view.declared.items():
            for at in set(seats[name]) - {""}:
                slots = tuple(slot for slot, host in enumerate(seats[name]) if host == at)
                running[at][name] = Running(
                    home=home, term=1, digest=one.digest, slots=slots, ready=slots
                )
    return {
        name: Host(
            name=name,
            address="10.0.0.1",
            port=7444,
            run=name,
            hearing=Hearing.HEARD,
            says_silent=frozenset({lost}),
            report=Report(
                name, labels=dict(host.labels), memory=host.memory, running=running[name]
            ),
            told=True,
            standing=Standing.UP,
        )
        for name, host in hosts.items()
    }


def _world(
    made: Made, hosts: Mapping[str, Candidate], everyone: Mapping[str, Host], me: str
) -> World:
    """A host that has been up for a while, and has heard all others."""
    node = Node(name=me, boot_id="boot", memory=hosts[me].memory, labels=dict(hosts[me].labels))
    world = World(node=node, fleet=Fleet(me=me, address="10.0.0.1"))
    known = HostRecord(address="10.0.0.1", port=7444, heard_boot="boot")
    record = FleetRecord(lineage=me, hosts=dict.fromkeys(everyone.keys() - {me}, known))
    views = {name: view for name, view in made.views.items() if name != me}
    loaded = Loaded(desired={}, instances={}, serial=0, fleet=record, views=views)
    world = absorb(world, loaded, NOW - 100)
    others = {name: host for name, host in everyone.items() if name != me}
    world = replace(world, fleet=replace(world.fleet, hosts=others))
    own = {n: one.workload for n, one in made.views[me].declared.items()}
    world = absorb(world, SpecsSeen(workloads=own), NOW - 2)
    world = absorb(world, EngineSeen(answering=True), NOW - 2)
    world = absorb(world, Listed(containers=(), begun=NOW - 1), NOW - 1)
    return replace(absorb(world, Tick(), NOW - 1), notes=())
