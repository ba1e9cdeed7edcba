"""Whether an instance is ready, and whether what a workload waits for is so.

Reads instances' probe verdicts and other workloads' states. Promises: an instance is
ready only while its first process lives, and by the probes of its own generation.
"""

from __future__ import annotations

from nodeorch.model.fleet import Fleet
from nodeorch.model.job import Outcome, Run
from nodeorch.model.workload import Condition, PostStart, Probe, RestartPolicy, Workload
from nodeorch.model.world import Code, Instance, State, Why, WorkloadState, World


def own_workload(state: WorkloadState, instance: Instance) -> Workload:
    """The version of the workload that the instance was made from."""
    template, previous = instance.record.template, state.record.previous
    if previous is not None and template == previous.template:
        return previous.workload
    job = state.record.job
    if job is not None and job.older and template != state.record.target.template:
        return job.older.get(template, state.workload)
    return state.workload


def awaited_hook(state: WorkloadState, instance: Instance) -> PostStart | None:
    """The post-start hook that has yet to end well in this run."""
    return own_workload(state, instance).hooks.post_start if instance.record.hook_due else None


def is_ready(state: WorkloadState, instance: Instance) -> bool:
    if instance.state is not State.RUNNING or instance.died_at is not None:
        return False
    if awaited_hook(state, instance) is not None:
        return False
    probes = own_workload(state, instance).probes
    if probes.startup is not None and not instance.record.startup_passed:
        return False
    return probes.readiness is None or instance.readiness is True


def is_good(state: WorkloadState, instance: Instance, now: float) -> bool:
    """Ready for long enough, or completed: the generation before it can be given up."""
    workload = own_workload(state, instance)
    if workload.restart.policy is not RestartPolicy.ALWAYS and has_completed(instance):
        return True
    if not is_ready(state, instance):
        return False
    if workload.probes.readiness is not None or workload.probes.startup is not None:
        return True
    # Not since its start: an engine that answers late may tell of one that has ended by now.
    since = instance.watched_since
    return since is not None and now - since >= workload.update.settle


def has_completed(instance: Instance) -> bool:
    """It ended of itself, with code 0."""
    end = instance.record.last_exit
    if instance.record.up or instance.running or end is None:
        return False
    return end.code == 0 and end.why.code is Code.EXITED


def last_run_succeeded(state: WorkloadState) -> bool:
    """Of a job, and of what is declared now: a success of an earlier version proves nothing."""
    ended = [run.outcome for run in _own_runs(state) if run.outcome is not None]
    return bool(ended) and ended[-1] is Outcome.SUCCEEDED


def _own_runs(state: WorkloadState) -> list[Run]:
    runs = state.record.job.runs if state.record.job else ()
    return [run for run in runs if run.template == state.record.target.template]


def _in_vain(other: WorkloadState) -> str:
    """What a person has to know and do, when the job has had its run and failed."""
    last = next(reversed(_own_runs(other)), None)
    if last is None or last.outcome in (None, Outcome.SUCCEEDED):
        return ""
    return f": its run {last.number} ended: {last.words}; `nodeorch run {other.workload.name}`"


def budget(probe: Probe) -> float:
    """Seconds in which a probe must have passed, or else has failed."""
    return probe.delay + probe.interval * probe.failures + probe.timeout


def start_deadline(workload: Workload) -> float:
    """Seconds after its start in which an instance must become ready."""
    startup, hook = workload.probes.startup, workload.hooks.post_start
    held = (budget(startup) if startup else 0.0) + (hook.timeout if hook else 0.0)
    return max(workload.update.deadline, held)


def current(state: WorkloadState) -> list[Instance]:
    """The instances of the target's template."""
    template = state.record.target.template
    return [i for i in state.instances.values() if i.record.template == template]


def ready_count(state: WorkloadState) -> int:
    return sum(1 for i in state.instances.values() if is_ready(state, i))


def waits_for(world: World, workload: Workload) -> Why | None:
    """The first condition on another workload that does not hold yet."""
    for name, condition in workload.conditions.items():
        words = _unmet(world, workload, name, condition)
        if words:
            return Why(code=Code.DEPENDENCY, words=words)
    return None


def _unmet(world: World, workload: Workload, name: str, condition: Condition) -> str:
    """What is waited for; empty when the condition holds."""
    other = world.workloads.get(name)
    if other is not None and other.record.slots != ():
        met = _holds(other, condition)
    elif name in world.fleet.claims:
        met = _holds_elsewhere(world.fleet, name, condition)
    elif other is None:
        state = world.workloads.get(workload.name)
        if state is not None and state.record.home:
            return ""  # what does not leave a home cannot hold up copies on other hosts
        return f"waits for {name}, which is not declared"
    else:
        met = False
    hint = _in_vain(other) if other is not None else ""
    return "" if met else f"waits for {name} to be {condition.value}{hint}"


def _holds_elsewhere(fleet: Fleet, name: str, condition: Condition) -> bool:
    """By what the other hosts report."""
    reports = [h.report for h in fleet.hosts.values() if h.report is not None and not h.lost]
    found = [report.running[name] for report in reports if name in report.running]
    if condition is Condition.STARTED:
        return any(running.slots for running in found)
    return any(running.ready for running in found)


def _holds(other: WorkloadState, condition: Condition) -> bool:
    wanted = len(other.slots)
    if condition is Condition.COMPLETED and other.workload.is_job:
        return last_run_succeeded(other)
    if condition is Condition.COMPLETED:
        return sum(1 for i in other.instances.values() if has_completed(i)) >= wanted
    if other.record.stopped or other.record.deleting:
        return False
    if condition is Condition.READY:
        return ready_count(other) >= wanted
    return sum(1 for i in other.instances.values() if i.record.started_once) >= wanted
