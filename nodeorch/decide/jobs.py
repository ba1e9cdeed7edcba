"""A job's runs: when one is made, how it goes on, how it ends.

Reads one job, its instances and the wall clock (boot time plus an offset, which is a fact).
Promises: a run is written down before anything is done for it; each due time makes one run
at most; what makes none is said, and why. A run is one container in the slot of its number;
a retry starts the same container again. What the host took down begins again; a run whose
container was removed by others has failed: it does not run twice.
"""

from __future__ import annotations

from datetime import UTC, datetime, tzinfo

from msgspec.structs import replace

from nodeorch.decide.due import COUNTED, Verdict, judge, next_due
from nodeorch.decide.edit import note, put, say
from nodeorch.decide.restart import stays_down
from nodeorch.model.facts import ClockSeen, Command
from nodeorch.model.job import Cause, JobRecord, Outcome, Run
from nodeorch.model.workload import Concurrency
from nodeorch.model.world import Code, DesiredRecord, Instance, State, Why, WorkloadState, World
from nodeorch.schedule import BadSchedule, UnknownZone, find_zone, schedule

ABREAST = 20
"""Runs of one job at a time, where its concurrency is "allow": a bound for what is remembered."""
STEP = 1.0
"""Seconds by which the wall clock must have been set to be worth a word."""

Told = list[Why]


def follow(world: World, before: WorkloadState | None, name: str, now: float) -> World:
    """After a fact about the job, or when time passed: end runs, make runs."""
    state = world.workloads[name]
    if not state.workload.is_job:
        if state.record.job is None:
            return world
        return put(world, replace(state, record=replace(state.record, job=None), next_due=None))
    told: Told = []
    job, due = _found(world, state, state.record.job or _first(world, state)), state.next_due
    runs = [_look(world, before, state, run, now, told) for run in job.runs]
    job = replace(job, runs=tuple(runs))
    if state.record.stopped:  # what comes due meanwhile is not made up for
        again = job.ran if _succeeded_last(job) else ""
        job, due = replace(job, spent=(), ran=again), None
    elif world.wall_ahead is not None and not (state.record.deleting or world.shutdown):
        job, due = _times(world, state, job, now, told)
    job = _trimmed(state, job)
    if job == state.record.job and due == state.next_due:
        return world
    fresh = state.record if job == state.record.job else replace(state.record, job=job)
    world = put(world, replace(state, record=fresh, next_due=due))
    for why in told:
        world = note(world, why, name)
    return world


def clock_seen(world: World, fact: ClockSeen, now: float) -> World:
    """All due times are worked out anew."""
    was, world = world.wall_ahead, replace(world, wall_ahead=fact.ahead)
    workloads = {
        name: replace(state, next_due=None) if state.workload.is_job else state
        for name, state in world.workloads.items()
    }
    world = replace(world, workloads=workloads)
    if was is None or abs(fact.ahead - was) < STEP:
        return world
    way = "forward" if fact.ahead > was else "back"
    return say(world, Code.CLOCK_SET, f"the clock was set {way} by {abs(fact.ahead - was):.0f} s")


def refusal(state: WorkloadState, fact: Command) -> str | None:
    """Why a run cannot be begun by command; None when it can."""
    name = fact.workload
    if not state.workload.is_job:
        return f"cannot run {name}: it is a service; use `nodeorch start` or `restart`"
    if state.record.stopped:
        return f"cannot run {name}: it is stopped; use `nodeorch start {name}` first"
    active = state.record.job.active if state.record.job else ()
    concurrency = state.workload.terms.concurrency
    if active and concurrency is Concurrency.FORBID:
        return (
            f"cannot run {name}: run {active[0].number} has not ended, and its concurrency is "
            f"forbid; wait for it, or `nodeorch stop {name}`"
        )
    if len(active) >= ABREAST:
        return f"cannot run {name}: {ABREAST} of its runs have not ended; wait for one"
    return None


def run_asked(world: World, fact: Command, now: float) -> World:
    """An operator's run."""
    state, told = world.workloads[fact.workload], Told()
    run = Run(
        number=0,
        cause=Cause.OPERATOR,
        template="",
        made_wall=0.0,
        by=fact.by,
        change=fact.change.id if fact.change else 0,
        args=fact.args,
    )
    job = _make(world, state, state.record.job or JobRecord(), run, now, told)
    world = put(world, replace(state, record=replace(state.record, job=job)))
    for why in told:
        world = note(world, why, fact.workload)
    return world


def declared_again(job: JobRecord | None) -> JobRecord | None:
    """Of a job that is declared anew while the last of the deleted one is being removed: what has
    run then counts as little as it would a moment later. What has not ended ends first."""
    if job is None:
        return None
    left = tuple(
        replace(run, ending=run.ending or Outcome.STOPPED, words=run.words or "its job was deleted")
        for run in job.active
    )
    return JobRecord(runs=left, last=job.last)


def superseded(record: DesiredRecord) -> JobRecord | None:
    """Of a job that gets another target: the present one is kept for the runs made from it."""
    job, target = record.job, record.target
    if job is None or not job.active:
        return job
    return replace(job, older=job.older | {target.template: target.workload})


def moment(state: WorkloadState, wall: float) -> str:
    """A time in the job's zone: "2026-03-29 03:00 CEST"."""
    try:
        zone: tzinfo = find_zone(state.workload.terms.timezone)
    except UnknownZone:
        zone = UTC
    try:
        return datetime.fromtimestamp(wall, zone).strftime("%Y-%m-%d %H:%M %Z")
    except (OverflowError, OSError, ValueError):  # a clock beyond the calendar
        return f"second {wall:.0f}"


def slot_of(state: WorkloadState, run: Run) -> Instance | None:
    """The run's instance; of several, the one that has run."""
    mine = [i for i in state.instances.values() if i.record.slot == run.number]
    return max(mine, key=lambda i: (i.record.runs, i.record.generation), default=None)


# how a run goes on ------------------------------------------------------------------------


def _look(
    world: World, before: WorkloadState | None, state: WorkloadState, run: Run, now: float,
    told: Told,
) -> Run:  # fmt: skip
    if run.outcome is not None:
        return run
    if run.boot_id != world.node.boot_id:  # times of another boot mean nothing
        run = replace(run, boot_id=world.node.boot_id, began=now)
    instance = slot_of(state, run)
    if instance is not None:
        run = replace(
            run,
            attempts=instance.record.runs,
            generation=instance.record.generation,
            started_wall=run.started_wall or instance.started_wall,
        )
    deadline = state.workload.terms.deadline
    if run.ending is None and state.record.stopped:
        run = replace(run, ending=Outcome.STOPPED, words="stopped by an operator")
    elif run.ending is None and deadline is not None and now - run.began >= deadline:
        words = f"not done within its deadline of {deadline:g} s"
        run = replace(run, ending=Outcome.DEADLINE, words=words)
    end = _end(world, before, state, run, instance)
    if end is None:
        return run
    outcome, words = end
    wall = now + (world.wall_ahead or 0.0)
    code = instance.exit_code if instance is not None else None
    run = replace(run, outcome=outcome, words=words, ended_wall=wall, exit_code=code)
    good = outcome is Outcome.SUCCEEDED
    said = f"run {run.number} {'succeeded' if good else 'failed'}: {words}"
    told.append(Why(code=Code.RUN_SUCCEEDED if good else Code.RUN_FAILED, words=said))
    return run


def _end(
    world: World, before: WorkloadState | None, state: WorkloadState, run: Run,
    instance: Instance | None,
) -> tuple[Outcome, str] | None:  # fmt: skip
    """How the run has ended; None: it has not."""
    if instance is None:
        if run.ending is not None:
            return run.ending, run.words
        if run.attempts and _taken_away(before, run):
            return Outcome.FAILED, "its container was removed outside nodeorch"
        return None
    if not _at_rest(world, instance):
        return None
    over = stays_down(state, instance)
    if over is not None and over.code is Code.COMPLETED:
        return Outcome.SUCCEEDED, over.words
    if run.ending is not None:
        return run.ending, run.words
    if over is not None:
        return Outcome.FAILED, over.words
    own = instance.record
    if world.rebuilding and own.last_exit is None and own.runs and instance.exit_code is not None:
        words = f"exited with code {instance.exit_code}, as was found"
        return (Outcome.FAILED if instance.exit_code else Outcome.SUCCEEDED), words
    return None


def _at_rest(world: World, instance: Instance) -> bool:
    own = instance.record
    known = bool(own.container_id) and instance.state in (State.CREATED, State.EXITED)
    return known and not own.up and instance.died_at is None and own.name not in world.busy


def _taken_away(before: WorkloadState | None, run: Run) -> bool:
    """Whether its container was there a moment ago, and not ours to remove."""
    was = slot_of(before, run) if before is not None else None
    return was is not None and not was.record.removing


def _first(world: World, state: WorkloadState) -> JobRecord:
    """Numbers begin above the slots that are taken: it may have been a service before."""
    slots = [i.record.slot for i in state.instances.values()]
    return JobRecord(last=0 if world.rebuilding else max(slots, default=0))


def _found(world: World, state: WorkloadState, job: JobRecord) -> JobRecord:
    """Runs for the containers that were taken back after the database was lost."""
    if not world.rebuilding:
        return job
    for instance in sorted(state.instances.values(), key=lambda i: i.record.slot):
        own = instance.record
        if own.slot < 1 or own.removing or job.run(own.slot) is not None:
            continue
        run = Run(number=own.slot, cause=Cause.FOUND, template=own.template, made_wall=0.0)
        job = replace(job, runs=(*job.runs, run), last=max(job.last, own.slot), ran=own.template)
    return job


# when one is made -------------------------------------------------------------------------


def _times(
    world: World, state: WorkloadState, job: JobRecord, now: float, told: Told
) -> tuple[JobRecord, float | None]:
    """The job with what is due now, and its next due time."""
    terms = state.workload.terms
    wall = now + (world.wall_ahead or 0.0)
    if terms.schedule is None:
        return _declared(world, state, replace(job, schedule="", spent=()), now, told), None
    try:
        times = schedule(terms.schedule, terms.timezone)
    except (BadSchedule, UnknownZone) as error:  # tzdata is gone since it was accepted
        words = f"cannot tell when it is due: {error.message}; {error.fix}"
        if job.skipped != words:
            told.append(Why(code=Code.RUN_MISSED, words=words))
        return replace(job, skipped=words), None
    key = f"{terms.schedule} {terms.timezone}"
    if job.schedule != key:
        job = replace(job, schedule=key, spent=(), ran="")
    elif state.next_due is not None and wall < state.next_due:
        return job, state.next_due
    verdict = judge(job.spent, times, wall, terms.catch_up)
    job = replace(job, spent=verdict.spent)
    if verdict.forgot:
        words = "the clock was more than a day ahead: what it ran through then counts no more"
        told.append(Why(code=Code.CLOCK_SET, words=words))
    if verdict.due is not None:
        job = _come(world, state, job, verdict, verdict.due, now, told)
    return job, next_due(job.spent, times, wall)


def _come(
    world: World, state: WorkloadState, job: JobRecord, verdict: Verdict, due: float, now: float,
    told: Told,
) -> JobRecord:  # fmt: skip
    """A due time has come, perhaps long ago."""
    when = moment(state, due)
    if verdict.missed:
        many = f"{verdict.missed}{' or more' if verdict.missed >= COUNTED else ''}"
        words = f"{many} due before {when} passed unseen; the last alone may be made up for"
        told.append(Why(code=Code.RUN_MISSED, words=words))
    if not verdict.runs:
        late = now + (world.wall_ahead or 0.0) - due
        window = state.workload.terms.catch_up
        words = f"the run due at {when} was missed: {late:.0f} s ago, catch_up is {window:g} s"
        told.append(Why(code=Code.RUN_MISSED, words=words))
        return replace(job, skipped=words)
    run = Run(number=0, cause=Cause.SCHEDULE, template="", made_wall=0.0, due=due)
    concurrency = state.workload.terms.concurrency
    active = job.active
    if (active and concurrency is Concurrency.FORBID) or len(active) >= ABREAST:
        which = f"run {active[0].number} has not ended (concurrency: {concurrency.value})"
        words = f"the run due at {when} is skipped: {which}"
        told.append(Why(code=Code.RUN_SKIPPED, words=words))
        return replace(job, skipped=words)
    return _make(world, state, job, run, now, told)


def _declared(
    world: World, state: WorkloadState, job: JobRecord, now: float, told: Told
) -> JobRecord:
    """Without a schedule it runs once for each version of what is baked into a container."""
    template = state.record.target.template
    if job.ran == template:
        return job
    if world.rebuilding and world.engine.listed_at is None:  # it may have run
        return job
    if job.active and state.workload.terms.concurrency is Concurrency.FORBID:
        return job  # its turn comes when they have ended
    run = Run(number=0, cause=Cause.DECLARED, template="", made_wall=0.0)
    return replace(_make(world, state, job, run, now, told), ran=template)


def _make(
    world: World, state: WorkloadState, job: JobRecord, run: Run, now: float, told: Told
) -> JobRecord:
    number = job.last + 1
    run = replace(
        run,
        number=number,
        template=state.record.target.template,
        made_wall=now + (world.wall_ahead or 0.0),
        began=now,
        boot_id=world.node.boot_id,
    )
    runs = job.runs
    if state.workload.terms.concurrency is Concurrency.REPLACE:
        runs = tuple(_replaced(old, number) for old in runs)
    told.append(Why(code=Code.RUN_BEGAN, words=f"run {number}: {because(state, run)}"))
    return replace(job, runs=(*runs, run), last=number)


def because(state: WorkloadState, run: Run) -> str:
    """Why a run was made, in words."""
    if run.cause is Cause.SCHEDULE and run.due is not None:
        return f"due at {moment(state, run.due)}"
    if run.cause is Cause.OPERATOR:
        return f"asked for by {run.by}"
    return "declared" if run.cause is Cause.DECLARED else "found after the database was lost"


def _replaced(run: Run, by: int) -> Run:
    if run.outcome is not None or run.ending is not None:
        return run
    return replace(run, ending=Outcome.REPLACED, words=f"replaced by run {by}")


def _succeeded_last(job: JobRecord) -> bool:
    return bool(job.runs) and job.runs[-1].outcome is Outcome.SUCCEEDED


def _trimmed(state: WorkloadState, job: JobRecord) -> JobRecord:
    """Without the oldest ended runs, as long as no container is left of them, and without the
    versions by which no run goes."""
    if job.older:
        going = {i.record.template for r in job.active if (i := slot_of(state, r))}
        left = {template: own for template, own in job.older.items() if template in going}
        left.pop(state.record.target.template, None)
        job = replace(job, older=left) if left != job.older else job
    ended = [r for r in job.runs if r.outcome is not None]
    surplus = ended[: -state.workload.terms.keep]
    gone = {r.number for r in surplus if slot_of(state, r) is None}
    return replace(job, runs=tuple(r for r in job.runs if r.number not in gone)) if gone else job
