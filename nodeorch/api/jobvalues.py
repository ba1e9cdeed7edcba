"""What the metrics tell of jobs."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from nodeorch.model.job import JobRecord, Outcome, Run
from nodeorch.model.world import WorkloadState, World

Get = Callable[[WorkloadState, JobRecord], float | None]


def each(world: World, get: Get) -> Iterator[tuple[tuple[str], float]]:
    """The value of each job that has one, by the job's name."""
    for name, state in sorted(world.workloads.items()):
        if not state.workload.is_job:
            continue
        value = get(state, state.record.job or JobRecord())
        if value is not None:
            yield (name,), value


def active(state: WorkloadState, job: JobRecord) -> float:
    return len(job.active)


def next_due(state: WorkloadState, job: JobRecord) -> float | None:
    return state.next_due


def last_end(state: WorkloadState, job: JobRecord) -> float | None:
    last = _last(job)
    return last.ended_wall if last else None


def last_succeeded(state: WorkloadState, job: JobRecord) -> float | None:
    last = _last(job)
    return int(last.outcome is Outcome.SUCCEEDED) if last else None


def _last(job: JobRecord) -> Run | None:
    """The last run that has ended."""
    return max((run for run in job.runs if run.outcome), key=lambda run: run.number, default=None)
