"""What is to be done for a job's runs: their containers, in the slots of their numbers.

Reads the runs that have not ended and the job's instances. Promises: a run that replaces
another starts when that one has ended; of ended runs the last few containers are kept for
their logs.
"""

from __future__ import annotations

from nodeorch.decide.create import create
from nodeorch.decide.jobs import moment, slot_of
from nodeorch.decide.turn import Turn
from nodeorch.decide.upkeep import keep_up, retire, take_down
from nodeorch.model.job import JobRecord, Outcome, Run
from nodeorch.model.world import Code, Why, WorkloadState

CONTAINERS_KEPT = 3
"""Of ended runs, for ``nodeorch logs``; fewer where ``keep`` is less."""
OVER = Why(code=Code.SURPLUS, words="its run is over")
OUTDATED = Why(code=Code.UPDATE, words="the job was changed before its run began")
CODES = {
    Outcome.DEADLINE: Code.DEADLINE,
    Outcome.REPLACED: Code.REPLACED,
    Outcome.STOPPED: Code.OPERATOR,
}


def plan_runs(turn: Turn, state: WorkloadState) -> None:
    job = state.record.job
    if job is None:  # the clock has not been told yet
        return
    if state.next_due is not None and turn.world.wall_ahead is not None:
        words = f"next run at {moment(state, state.next_due)}"
        at = state.next_due - turn.world.wall_ahead
        turn.hold(state.workload.name, "", Why(code=Code.SCHEDULED, words=words), at)
    leaving: Run | None = None
    for run in job.active:
        if run.ending is Outcome.REPLACED:
            leaving = leaving or run
        if run.ending is not None:
            _take_down(turn, state, run)
        elif leaving is not None:
            words = f"run {run.number} starts when run {leaving.number} has ended"
            turn.hold(state.workload.name, "", Why(code=Code.REPLACED, words=words))
        else:
            _carry_on(turn, state, run)
    _tidy(turn, state, job)


def _carry_on(turn: Turn, state: WorkloadState, run: Run) -> None:
    instance = slot_of(state, run)
    deadline = state.workload.terms.deadline
    if deadline is not None:
        turn.wake(run.began + deadline)
    if instance is None:
        create(turn, state, run.number, run=run)
    elif not instance.record.runs and instance.record.template != state.record.target.template:
        retire(turn, state, instance, OUTDATED)
    else:
        keep_up(turn, state, instance)


def _take_down(turn: Turn, state: WorkloadState, run: Run) -> None:
    instance = slot_of(state, run)
    if instance is not None and run.ending is not None:
        why = Why(code=CODES[run.ending], words=f"run {run.number}: {run.words}")
        take_down(turn, state, instance, why)


def _tidy(turn: Turn, state: WorkloadState, job: JobRecord) -> None:
    kept = min(CONTAINERS_KEPT, state.workload.terms.keep)
    ended = [r for r in job.runs if r.outcome is not None and r.attempts]
    logs = {i.name for r in ended[-kept:] if (i := slot_of(state, r)) and not i.record.pruned}
    active = {i.name for r in job.active if (i := slot_of(state, r))}
    for instance in state.instances.values():
        if instance.name in logs:
            take_down(turn, state, instance, OVER)  # somebody may have started it
        elif instance.name not in active:
            retire(turn, state, instance, OVER)
