"""Whether an instance is ready, and whether what a workload waits for is so.

Reads instances' probe verdicts and other workloads' states. Promises: an instance is
ready only while its first process lives.
"""

from __future__ import annotations

from nodeorch.model.workload import Condition, Probe, Workload
from nodeorch.model.world import Code, Instance, State, Why, WorkloadState, World


def is_ready(instance: Instance, workload: Workload) -> bool:
    if instance.state is not State.RUNNING or instance.died_at is not None:
        return False
    if workload.probes.startup is not None and not instance.startup_passed:
        return False
    return workload.probes.readiness is None or instance.readiness is True


def is_good(instance: Instance, workload: Workload, now: float) -> bool:
    """Ready, and for long enough to give up the generation before it."""
    if not is_ready(instance, workload):
        return False
    if workload.probes.readiness is not None or workload.probes.startup is not None:
        return True
    since = instance.running_since
    return since is not None and now - since >= workload.update.settle


def budget(probe: Probe) -> float:
    """Seconds in which a probe must have passed, or else has failed."""
    return probe.delay + probe.interval * probe.failures + probe.timeout


def start_deadline(workload: Workload) -> float:
    """Seconds after its start in which an instance must become ready."""
    startup = workload.probes.startup
    return max(workload.update.deadline, budget(startup) if startup else 0.0)


def current(state: WorkloadState) -> list[Instance]:
    """The instances of the target's template, by slot."""
    template = state.record.target.template
    return [i for i in state.instances.values() if i.record.template == template]


def ready_count(state: WorkloadState) -> int:
    workload = state.workload
    return sum(1 for i in state.instances.values() if is_ready(i, workload))


def waits_for(world: World, workload: Workload) -> Why | None:
    """The first condition on another workload that does not hold yet."""
    for name, condition in workload.conditions.items():
        other = world.workloads.get(name)
        if other is None:
            words = f"waits for {name}, which is not declared"
        elif _holds(other, condition):
            continue
        else:
            words = f"waits for {name} to be {condition.value}"
        return Why(code=Code.DEPENDENCY, words=words)
    return None


def _holds(other: WorkloadState, condition: Condition) -> bool:
    wanted = other.replicas
    if other.record.stopped or other.record.deleting:
        return False
    if condition is Condition.READY:
        return ready_count(other) >= wanted
    if condition is Condition.STARTED:
        return sum(1 for i in other.instances.values() if i.record.started_once) >= wanted
    return sum(1 for i in other.instances.values() if _completed(i)) >= wanted


def _completed(instance: Instance) -> bool:
    end = instance.record.last_exit
    return not instance.record.up and end is not None and end.code == 0
