"""What a person is told of a job: its runs, the next and the last.

Reads one job, its instances and what is held back. Promises: a run that has not ended, or
has failed, comes with its reason in words.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from nodeorch.decide.jobs import because, moment, slot_of
from nodeorch.decide.moments import rfc3339
from nodeorch.model.actions import Hold
from nodeorch.model.job import Outcome, Run
from nodeorch.model.view import JobView, RunView
from nodeorch.model.world import Instance, WorkloadState, World

if TYPE_CHECKING:
    from nodeorch.decide.status import Surroundings

FAILURES = (Outcome.FAILED, Outcome.DEADLINE)
STATES = {"running": "running", "retrying": "backoff", "stopping": "stopping"}
"""State of a run → of its job; of others "pending"."""


def job_view(world: World, state: WorkloadState, around: Surroundings) -> JobView | None:
    """None: it is a service."""
    if not state.workload.is_job:
        return None
    terms, due = state.workload.terms, state.next_due
    runs = run_views(world, state, around)
    job = state.record.job
    return JobView(
        schedule=terms.schedule or "",
        timezone=terms.timezone,
        next_at=rfc3339(due) if due is not None else None,
        next_in=round(due - around.wall, 3) if due is not None else None,
        next_words=moment(state, due) if due is not None else "",
        active=len(job.active) if job else 0,
        last=next((r for r in runs if r.ended_at), None),
        skipped=job.skipped if job else "",
    )


def run_views(world: World, state: WorkloadState, around: Surroundings) -> list[RunView]:
    """Newest first."""
    job = state.record.job
    return [_run_view(world, state, run, around) for run in reversed(job.runs if job else ())]


def overall(world: World, state: WorkloadState, around: Surroundings) -> tuple[str, str]:
    """The job's state and reason, while it is neither stopped nor being deleted."""
    runs = run_views(world, state, around)
    job, due = state.record.job, state.next_due
    active = next((r for r in runs if not r.ended_at), None)
    if active is not None:
        words = f"run {active.number}{f': {active.reason}' if active.reason else ''}"
        return STATES.get(active.state, "pending"), words
    last = runs[0] if runs else None
    ended = f"run {last.number} {last.state}: {last.reason}" if last else ""
    failed = last is not None and last.state in FAILURES
    if state.workload.terms.schedule is None:
        return ("failed" if failed else "completed" if last else "pending"), ended
    if due is None:
        return "pending", job.skipped if job else ""
    words = f"next run at {moment(state, due)}"
    return ("failed" if failed else "scheduled"), "; ".join(filter(None, (ended, words)))


def _run_view(world: World, state: WorkloadState, run: Run, around: Surroundings) -> RunView:
    instance = slot_of(state, run)
    word, reason = _describe(state, run, instance, around)
    return RunView(
        number=run.number,
        state=word,
        reason=reason,
        cause=run.cause.value,
        words=because(state, run),
        due_at=rfc3339(run.due or 0.0),
        made_at=rfc3339(run.made_wall),
        started_at=rfc3339(run.started_wall),
        ended_at=rfc3339(run.ended_wall) if run.outcome is not None else None,
        seconds=_took(run, around.wall),
        attempts=run.attempts,
        exit_code=run.exit_code,
        args=list(run.args) if run.args is not None else None,
        instance=instance.name if instance is not None else None,
        generation=run.generation,
    )


def _took(run: Run, wall: float) -> float | None:
    if not run.started_wall:
        return None
    until = wall if run.outcome is None else run.ended_wall
    return round(max(0.0, until - run.started_wall), 3)


def _describe(
    state: WorkloadState, run: Run, instance: Instance | None, around: Surroundings
) -> tuple[str, str]:
    if run.outcome is not None:
        return run.outcome.value, run.words
    if run.ending is not None:
        return "stopping", run.words
    if instance is not None and instance.running:
        return "running", ""
    if instance is not None and instance.record.failures:
        end, at = instance.record.last_exit, instance.record.next_try
        wait = f", next try in {max(0.0, at - around.now):.1f}s" if at is not None else ""
        return "retrying", f"{end.why.words if end else 'failed'}{wait}"
    return "pending", _awaits(state, instance, around.holds)


def _awaits(state: WorkloadState, instance: Instance | None, holds: Mapping[str, Hold]) -> str:
    record, name = state.record, state.workload.name
    if record.image_error:
        return f"cannot get image {state.workload.main.image}: {record.image_error}"
    if instance is None and state.create_error:
        return f"cannot create its container: {state.create_error}"
    if instance is not None and instance.name in holds:
        return holds[instance.name].why.words
    mine = [h for key, h in holds.items() if key.startswith(f"{name}.") or key == name]
    return mine[0].why.words if mine else "is being created"
