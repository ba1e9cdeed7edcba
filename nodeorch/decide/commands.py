"""Operators' wishes. Each cancels a pending backoff and is remembered with who said it.

Reads the workload it names. Promises: a command that cannot be obeyed changes nothing and
says why (:func:`refusal`, asked before the fact is absorbed).
"""

from __future__ import annotations

from collections.abc import Callable

from msgspec.structs import replace

from nodeorch.decide import jobs
from nodeorch.decide.edit import put, record, say
from nodeorch.decide.specs import aim, confirm, delete
from nodeorch.model.facts import Command
from nodeorch.model.world import Code, Why, WorkloadState, World

NEEDS_WORKLOAD = frozenset({"restart", "stop", "start", "scale", "rollback", "run", "delete"})


def refusal(world: World, fact: Command) -> str | None:
    """Why the command cannot be obeyed; None when it can."""
    if fact.verb in NEEDS_WORKLOAD:
        state = world.workloads.get(fact.workload)
        if state is None:
            return f"cannot {fact.verb} {fact.workload}: no such workload; see `nodeorch status`"
        if state.record.deleting and fact.verb != "delete":
            return f"cannot {fact.verb} {fact.workload}: it is being deleted; apply its file again"
        if state.record.home:
            return (
                f"cannot {fact.verb} {fact.workload}: its home is {state.record.home}; "
                f"do it there, or `nodeorch home take {fact.workload}` if that is gone for good"
            )
        if fact.verb == "run":
            return jobs.refusal(state, fact)
        if fact.verb in ("restart", "scale") and state.workload.is_job:
            return f"cannot {fact.verb} {fact.workload}: it is a job; use `nodeorch run`"
        if fact.verb == "restart" and state.record.stopped:
            return f"cannot restart {fact.workload}: it is stopped; use `nodeorch start`"
        if fact.verb == "scale":
            return _scale_refusal(state, fact)
        if fact.verb == "rollback" and fact.version is None:
            return (
                f"cannot roll back {fact.workload}: no earlier generation; see `nodeorch history`"
            )
    if fact.verb == "confirm" and world.brake is None:
        return "cannot confirm: no deletion waits for it"
    return None


def commanded(world: World, fact: Command, now: float) -> World:
    if refusal(world, fact) is not None:
        return world
    if fact.verb == "confirm":
        return confirm(world, fact.by)
    if fact.verb == "shutdown":
        words = f"{fact.by} asked for everything to stop, dependents first"
        return say(replace(world, shutdown=True), Code.SHUTDOWN, words)
    if fact.verb == "delete":
        return delete(world, fact.workload, f"deleted by {fact.by}")
    if fact.verb == "run":
        return jobs.run_asked(world, fact, now)
    state = world.workloads[fact.workload]
    world = put(world, _VERBS[fact.verb](state, fact, now))
    to = f" to {fact.replicas}" if fact.verb == "scale" else ""
    if fact.version is not None:
        to = f" to generation {fact.version.generation}"
    return say(world, Code.OPERATOR, f"{fact.verb}{to}, by {fact.by}", fact.workload)


def _restart(state: WorkloadState, fact: Command, now: float) -> WorkloadState:
    seq = state.record.operator_seq + 1
    state = replace(state, record=replace(state.record, operator_seq=seq))
    return _forgive(state)


def _stop(state: WorkloadState, fact: Command, now: float) -> WorkloadState:
    return replace(state, record=replace(state.record, stopped=True))


def _start(state: WorkloadState, fact: Command, now: float) -> WorkloadState:
    # It revives what has ended for good: a service's instances, but no run of a job.
    revives = not (state.workload.is_job or _up(state))
    seq = state.record.operator_seq + revives
    return _forgive(replace(state, record=replace(state.record, stopped=False, operator_seq=seq)))


def _scale(state: WorkloadState, fact: Command, now: float) -> WorkloadState:
    return _forgive(replace(state, record=replace(state.record, scale=fact.replicas)))


def _rollback(state: WorkloadState, fact: Command, now: float) -> WorkloadState:
    assert fact.version is not None
    state = aim(state, fact.version, now)
    words = f"rolled back to generation {fact.version.generation} by {fact.by}"
    differs = state.record.declared != fact.version.digest
    failed = Why(code=Code.ROLLBACK, words=words) if differs else None
    return replace(state, record=replace(state.record, failed=failed, failed_generation=None))


_VERBS: dict[str, Callable[[WorkloadState, Command, float], WorkloadState]] = {
    "restart": _restart,
    "stop": _stop,
    "start": _start,
    "scale": _scale,
    "rollback": _rollback,
}


def _forgive(state: WorkloadState) -> WorkloadState:
    """Cancel every pending wait: a person has looked at it."""
    fresh = replace(state.record, image_failures=0, image_next_try=None, image_error=None)
    instances = {
        name: replace(
            record(i, failures=0, next_try=None),
            retry_at=None,
            limits_retry_at=None,
            limits_error=None,
        )
        for name, i in state.instances.items()
    }
    return replace(
        state,
        record=fresh,
        instances=instances,
        create_error=None,
        create_next_try=None,
        create_failures=0,
    )


def _up(state: WorkloadState) -> bool:
    return any(i.running for i in state.instances.values())


def _scale_refusal(state: WorkloadState, fact: Command) -> str | None:
    name, count = fact.workload, fact.replicas
    if count is None or not 0 <= count <= 1000:
        return f"cannot scale {name}: {count} is not a number of replicas; give 0 to 1000"
    ports = [p.host for p in state.workload.ports if p.host]
    if count > 1 and ports:
        return (
            f"cannot scale {name} to {count}: it has host port {ports[0]}, "
            "which one instance alone can hold; remove `host` from its [[ports]]"
        )
    return None
