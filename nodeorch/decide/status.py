"""What a person is told: the state and the reason of each workload and instance.

Reads one workload's state and, for display only, its usage, probe results and other hosts.
Promises: every state that is not "running" comes with a reason in words.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from msgspec import Struct

from nodeorch.decide.fleet.whereabouts import in_fleet
from nodeorch.decide.jobview import job_view
from nodeorch.decide.jobview import overall as job_overall
from nodeorch.decide.moments import rfc3339 as rfc3339
from nodeorch.decide.ready import awaited_hook, is_ready, own_workload, waits_for
from nodeorch.decide.restart import CRASH_LOOP, NOT_ITS_FAULT, stays_down
from nodeorch.model.actions import Hold
from nodeorch.model.view import InstanceView, Pressure, ProbeView, WorkloadView
from nodeorch.model.world import Code, Instance, State, WorkloadState, World
from nodeorch.ports import ProbeResult


class Sample(Protocol):
    """A running instance's use of the host: bytes, and percent of one CPU."""

    @property
    def memory(self) -> int | None: ...

    @property
    def cpu_percent(self) -> float | None: ...

    @property
    def pressure(self) -> Pressure: ...


class Surroundings(Struct, frozen=True):
    """What is shown beside the world's own knowledge."""

    now: float
    wall: float
    samples: Mapping[str, Sample] = {}
    probes: Mapping[tuple[str, str], ProbeResult] = {}
    holds: Mapping[str, Hold] = {}
    """Instance, or workload, → what is decided not to be done for it."""


NOTHING = Surroundings(now=0.0, wall=0.0)


def workload_view(world: World, state: WorkloadState, around: Surroundings) -> WorkloadView:
    view = _here(world, state, around)
    return in_fleet(world, state, view, around) if world.fleet.on else view


def _here(world: World, state: WorkloadState, around: Surroundings) -> WorkloadView:
    """As far as this host goes."""
    record, workload = state.record, state.workload
    ordered = sorted(state.instances.values(), key=lambda i: (i.record.slot, i.name))
    views = [instance_view(world, state, i, around) for i in ordered]
    idle = record.stopped or record.deleting or world.shutdown
    wanted = _wanted_slots(state)
    desired = 0 if idle else len(wanted)
    slots = {i.record.slot for i, v in zip(ordered, views, strict=True) if v.ready}
    ready = len(slots & wanted)
    name, reason = _overall(world, state, views, desired, ready, around)
    return WorkloadView(
        name=workload.name,
        generation=record.target.generation,
        desired=desired,
        ready=ready,
        state=name,
        reason=reason,
        instances=views,
        image=workload.main.image,
        ports=[
            f"{p.address}:{p.host}->{p.container}/{p.protocol.value}"
            for p in workload.ports
            if p.host
        ],
        declared_generation=record.failed_generation or record.target.generation,
        scaled=record.scale is not None,
        stopped_by_operator=record.stopped,
        job=job_view(world, state, around),
    )


def _wanted_slots(state: WorkloadState) -> set[int]:
    """Those that shall run here: of a job, the slots of its runs that have not ended."""
    if not state.workload.is_job:
        return set(state.slots)
    job = state.record.job
    return {run.number for run in job.active} if job else set()


def _overall(
    world: World,
    state: WorkloadState,
    views: list[InstanceView],
    desired: int,
    ready: int,
    around: Surroundings,
) -> tuple[str, str]:
    record = state.record
    down = [v for v in views if v.state not in ("running", "starting", "unready")]
    if record.deleting:
        return "deleting", "its spec was deleted"
    if record.stopped or world.shutdown:
        words = "the host shuts down" if world.shutdown else "stopped by an operator"
        return ("stopping" if any(v.pid for v in views) else "stopped"), words
    if state.workload.is_job:
        return job_overall(world, state, around)
    if record.previous is not None:
        words = f"generation {record.previous.generation} → {record.target.generation}"
        worst = _image_words(state) or next(
            (v.reason for v in views if v.reason and not v.ready), ""
        )
        return "updating", words + (f": {worst}" if worst else "")
    if desired == 0:
        return "stopped", "0 replicas"
    for word in ("crash-loop", "backoff", "stuck", "failed"):
        found = next((v for v in down if v.state == word), None)
        if found is not None:
            return word, found.reason
    if ready >= desired:
        return "running", record.failed.words if record.failed else ""
    if down and all(v.state == "completed" for v in views) and len(views) >= desired:
        return "completed", down[0].reason
    hold = around.holds.get(state.workload.name)
    words = _image_words(state) or state.create_error or (hold.why.words if hold else "")
    if len(views) < desired:
        full = next((h for h in around.holds.values() if _no_room(h, state)), None)
        words = full.why.words if full else words
        return ("pending" if words else "starting"), words or "is being created"
    worst_view = next((v for v in views if not v.ready), views[0])
    if worst_view.state == "waiting":
        return "pending", worst_view.reason
    if any(v.ready for v in views):
        return "degraded", worst_view.reason
    return "starting", worst_view.reason


def _no_room(hold: Hold, state: WorkloadState) -> bool:
    return hold.workload == state.workload.name and hold.why.code is Code.NO_ROOM


def _image_words(state: WorkloadState) -> str:
    if state.record.image_error:
        return f"cannot get image {state.workload.main.image}: {state.record.image_error}"
    return ""


def instance_view(
    world: World, state: WorkloadState, instance: Instance, around: Surroundings
) -> InstanceView:
    own = instance.record
    word, reason = _describe(world, state, instance, around)
    sample = around.samples.get(instance.name) if instance.running else None
    limits = instance.limits
    wait = own.next_try - around.now if own.next_try is not None else None
    return InstanceView(
        name=own.name,
        container_id=own.container_id,
        pid=instance.pid,
        state=word,
        ready=is_ready(state, instance),
        restarts=max(0, own.runs - 1),
        started_at=rfc3339(instance.started_wall) if instance.running else None,
        exit_code=own.last_exit.code if own.last_exit else None,
        image_digest=own.image_digest,
        memory_bytes=sample.memory if sample else None,
        memory_limit_bytes=limits.memory if limits else None,
        cpu_percent=sample.cpu_percent if sample else None,
        address=instance.address or None,
        generation=own.generation,
        slot=own.slot,
        reason=reason,
        next_try_in=round(wait, 3) if wait is not None and wait > 0 else None,
        failures=own.failures,
        oom_kills=own.oom_kills,
        probes={
            kind: _probe_view(around.probes[own.name, kind])
            for kind in ("startup", "readiness", "liveness")
            if (own.name, kind) in around.probes and instance.running
        },
    )


def _describe(
    world: World, state: WorkloadState, instance: Instance, around: Surroundings
) -> tuple[str, str]:
    own = instance.record
    busy = world.busy.get(instance.name)
    last = f"last ended: {own.last_exit.why.words}" if own.last_exit else ""
    if instance.stuck and busy is None:
        return "stuck", instance.stuck
    if busy == "stop" or (instance.running and instance.doom is not None):
        return "stopping", instance.doom.words if instance.doom else ""
    if instance.running and instance.died_at is None:
        return _describe_running(state, instance, last, around)
    if not own.container_id:
        return "creating", "its container is being created"
    if busy == "start":
        return "starting", last
    if instance.state is State.UNKNOWN:
        return "unknown", "the engine has not been asked about it yet"
    return _describe_ended(world, state, instance, around, last)


def _describe_running(
    state: WorkloadState, instance: Instance, last: str, around: Surroundings
) -> tuple[str, str]:
    if instance.state is State.PAUSED:
        return "paused", "paused outside nodeorch"
    if is_ready(state, instance):
        return "running", instance.limits_error or last
    if instance.was_ready:
        return "unready", "its readiness probe fails" + _said(instance, "readiness", around)
    word = "crash-loop" if instance.record.failures >= CRASH_LOOP else "starting"
    if awaited_hook(state, instance) is not None:
        return word, instance.hook_error or "its post-start hook has not passed yet"
    startup = own_workload(state, instance).probes.startup
    held = startup is not None and not instance.record.startup_passed
    kind = "startup" if held else "readiness"
    return word, f"its {kind} probe has not passed yet" + _said(instance, kind, around)


def _said(instance: Instance, kind: str, around: Surroundings) -> str:
    """What the last try of a probe came to, if it failed."""
    result = around.probes.get((instance.name, kind))
    return f": {result.words}" if result is not None and not result.passed else ""


def _describe_ended(
    world: World, state: WorkloadState, instance: Instance, around: Surroundings, last: str
) -> tuple[str, str]:
    own = instance.record
    forbidden = stays_down(state, instance)
    if forbidden is not None:
        word = "completed" if forbidden.code is Code.COMPLETED else "failed"
        return word, forbidden.words
    if state.record.stopped:
        return "stopped", last
    if own.failures and own.next_try is not None:
        ended = own.last_exit.why.words if own.last_exit else ""
        wait = max(0.0, own.next_try - around.now)
        words = f"{ended}; failed {own.failures} times in a row, next try in {wait:.1f}s"
        return ("crash-loop" if own.failures >= CRASH_LOOP else "backoff"), words
    waits = waits_for(world, state.workload) if not own.started_once else None
    hold = around.holds.get(instance.name)
    if waits or hold:
        return "waiting", waits.words if waits else (hold.why.words if hold else "")
    if own.last_exit and own.last_exit.why.code in NOT_ITS_FAULT:
        return "stopped", last
    return "waiting", last


def _probe_view(result: ProbeResult) -> ProbeView:
    return ProbeView(
        passed=result.passed,
        words=result.words,
        latency_ms=round(result.latency * 1000, 2),
        at=rfc3339(result.wall) or "",
        runs=result.runs,
        in_a_row=result.in_a_row,
        since=rfc3339(result.since),
    )
