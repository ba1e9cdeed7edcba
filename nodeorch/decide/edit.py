"""The few ways in which the world is changed. Everything else goes through these."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from nodeorch.model.world import Code, Instance, Note, Why, WorkloadState, World

Detail = str | int | float | bool | None


def note(
    world: World, why: Why, workload: str = "", instance: str = "", **details: Detail
) -> World:
    line = Note(why=why, workload=workload, instance=instance, details=details)
    return replace(world, notes=(*world.notes, line))


def say(world: World, code: Code, words: str, workload: str = "", instance: str = "") -> World:
    return note(world, Why(code=code, words=words), workload, instance)


def put(world: World, state: WorkloadState) -> World:
    """Store a workload's new state; it counts as not settled until looked at again."""
    name = state.record.target.workload.name
    return replace(world, workloads={**world.workloads, name: replace(state, settled=False)})


def put_instance(world: World, instance: Instance) -> World:
    state = world.workloads[instance.record.workload]
    return put(world, replace(state, instances={**state.instances, instance.name: instance}))


def drop_instance(world: World, instance: Instance) -> World:
    state = world.workloads[instance.record.workload]
    left = {k: v for k, v in state.instances.items() if k != instance.name}
    return put(world, replace(state, instances=left))


def record(instance: Instance, **changes: Any) -> Instance:
    """The instance with parts of its durable record changed."""
    return replace(instance, record=replace(instance.record, **changes))


def find(world: World, name: str) -> Instance | None:
    """An instance by its name; the part before the first dot is its workload."""
    state = world.workloads.get(name.partition(".")[0])
    return state.instances.get(name) if state else None


def find_id(world: World, container_id: str) -> Instance | None:
    for state in world.workloads.values():
        for instance in state.instances.values():
            if instance.record.container_id == container_id:
                return instance
    return None


def instance_name(workload: str, slot: int, generation: int) -> str:
    """Deterministic, so that a creation done twice meets itself. Workload names have no dots."""
    return f"{workload}.{slot}.g{generation}"
