"""What operators asked for, and whether it has become real.

Reads a change's wants and the workloads they are about. Promises: a change is done when each
workload was seen as it was asked to be; failed when that cannot come any more; superseded when
something newer was asked of its workloads. An ended change never changes again; the last
:data:`KEPT` are remembered.
"""

from __future__ import annotations

from collections.abc import Iterable

from msgspec.structs import replace

from nodeorch.decide.commands import refusal
from nodeorch.decide.edit import Detail, note
from nodeorch.decide.fleet.whereabouts import holders, home_of
from nodeorch.decide.limits import drift
from nodeorch.decide.ready import has_completed, is_ready
from nodeorch.decide.restart import stays_down
from nodeorch.model.change import Change, ChangeState, Goal, Want
from nodeorch.model.facts import Command, Fact, SpecsSeen
from nodeorch.model.job import Cause, Outcome
from nodeorch.model.workload import RestartPolicy
from nodeorch.model.world import Code, Instance, Why, WorkloadState, World

KEPT = 200

GOALS = {
    "stop": Goal.STOPPED,
    "shutdown": Goal.STOPPED,
    "delete": Goal.GONE,
    "confirm": Goal.GONE,
    "run": Goal.RAN,
}
"""Of the verbs; all others want their workload ready."""

CODES = {
    ChangeState.DONE: Code.CHANGE_DONE,
    ChangeState.FAILED: Code.CHANGE_FAILED,
    ChangeState.SUPERSEDED: Code.CHANGE_SUPERSEDED,
}

Verdict = tuple[ChangeState, str]


def begun(world: World, before: World, fact: Fact, now: float) -> World:
    """Write down the change that the fact asks for, if it does."""
    if not isinstance(fact, Command | SpecsSeen) or fact.change is None:
        return world
    wants = _wants(world, before, fact)
    change = Change(fact.change, tuple(sorted(wants)), wants, began=now)
    world = _signed(world, len(before.notes), change)
    world = _overtake(world, change, now)
    world = _put(world, change)
    words = _refused(before, fact)
    return _end(world, change, ChangeState.FAILED, words, now) if words else world


def judged(world: World, before: World, fact: Fact, now: float) -> World:
    """Look at those that go on, as far as the fact touched their workloads."""
    fresh = fact.change if isinstance(fact, Command | SpecsSeen) else None
    for number in world.doing:
        change = world.changes[number]
        names = [
            name for name in change.wants if change.asked is fresh or _touched(world, before, name)
        ]
        if names or not change.wants:
            world = _judge(world, change, names, now)
    return world


def _touched(world: World, before: World, name: str) -> bool:
    state = world.workloads.get(name)
    if state is not before.workloads.get(name):
        return True
    shared = state is not None and state.record.slots is not None
    return shared and world.fleet.hosts is not before.fleet.hosts


def remembered(world: World, changes: dict[int, Change], wall: float, now: float) -> World:
    """Those of an earlier daemon. When they began is told by the wall clock: the host may have
    rebooted since."""
    known = {
        number: replace(change, began=now - max(0.0, wall - change.asked.wall))
        for number, change in changes.items()
    }
    doing = tuple(n for n, change in known.items() if change.state is ChangeState.DOING)
    return replace(world, changes=known, doing=doing)


def verdict(world: World, name: str, want: Want) -> Verdict | None:
    """Whether one workload is as wanted, or never will be; None: not yet."""
    state = world.workloads.get(name)
    if want.goal is Goal.GONE:
        if state is None:
            return ChangeState.DONE, "is gone"
        again = not state.record.deleting
        return (ChangeState.SUPERSEDED, "was declared again") if again else None
    if state is None or state.record.deleting:
        return ChangeState.SUPERSEDED, "was deleted"
    if want.goal is Goal.RAN:
        return _ran(state, want.run)
    idle = state.record.stopped or world.shutdown
    if want.goal is Goal.STOPPED and not idle:
        return ChangeState.SUPERSEDED, "was started again"
    if idle:
        still = any(i.running or i.name in world.busy for i in state.instances.values())
        return None if still else (ChangeState.DONE, "is stopped")
    return _ready(world, state, want)


def _ready(world: World, state: WorkloadState, want: Want) -> Verdict | None:
    record = state.record
    if record.target.generation != want.generation:
        if record.failed is not None and record.failed_generation == want.generation:
            return ChangeState.FAILED, record.failed.words
        return ChangeState.SUPERSEDED, f"is to be generation {record.target.generation} now"
    if state.workload.is_job:
        return _job_ready(state)
    for instance in state.instances.values():
        forbidden = _ended_for_good(state, instance)
        if forbidden is not None and record.previous is None:
            return ChangeState.FAILED, f"{instance.name} {forbidden.words}"
    if record.previous is not None or len(state.instances) != len(state.slots):
        return None
    if not _ready_elsewhere(world, state):
        return None
    if all(_as_wanted(world, state, instance) for instance in state.instances.values()):
        how = "is ready" if state.replicas else "has no replicas"
        return ChangeState.DONE, f"{how}, generation {want.generation}"
    return None


def _ready_elsewhere(world: World, state: WorkloadState) -> bool:
    """Whether the replicas that are not for this host run on others, of the version wanted."""
    lacking = set(range(state.replicas)) - set(state.slots)
    if lacking:
        name = state.workload.name
        for host, running in holders(world, name, home_of(world, name)).items():
            if host != world.fleet.me and running.digest == state.record.target.digest:
                lacking -= set(running.ready)
    return not lacking


def _job_ready(state: WorkloadState) -> Verdict | None:
    """It waits for its schedule, or has had its one run."""
    job, template = state.record.job, state.record.target.template
    if state.workload.terms.schedule is not None:
        return ChangeState.DONE, "is scheduled"
    if job is None or job.ran != template:
        return None
    made = [run for run in job.runs if run.template == template]
    if not made:
        return ChangeState.DONE, "has had its run"
    own = next((run for run in reversed(made) if run.cause is not Cause.OPERATOR), made[-1])
    failed = own.outcome not in (None, Outcome.SUCCEEDED)
    return _ran(state, (made[-1] if failed else own).number)


def _ran(state: WorkloadState, number: int) -> Verdict | None:
    job = state.record.job
    run = job.run(number) if job is not None else None
    if run is None:
        return ChangeState.SUPERSEDED, f"its run {number} is not remembered"
    if run.outcome is None:
        return None
    words = f"run {number} {run.outcome.value}: {run.words}"
    if run.outcome in (Outcome.REPLACED, Outcome.STOPPED):
        return ChangeState.SUPERSEDED, words
    good = run.outcome is Outcome.SUCCEEDED
    return ChangeState.DONE if good else ChangeState.FAILED, words


def _as_wanted(world: World, state: WorkloadState, instance: Instance) -> bool:
    own, target = instance.record, state.record.target
    held = instance.limits is None or not drift(target.workload.resources, instance.limits)
    return (
        own.template == target.template
        and own.slot in state.slots
        and own.operator_seq >= state.record.operator_seq
        and instance.doom is None
        and instance.name not in world.busy
        and (_completed(state, instance) or (is_ready(state, instance) and held))
    )


def _completed(state: WorkloadState, instance: Instance) -> bool:
    policy = state.workload.restart.policy
    return policy is not RestartPolicy.ALWAYS and has_completed(instance)


def _ended_for_good(state: WorkloadState, instance: Instance) -> Why | None:
    if instance.running or instance.record.operator_seq < state.record.operator_seq:
        return None
    if (
        instance.record.last_exit is None
        or instance.record.template != state.record.target.template
    ):
        return None
    found = stays_down(state, instance)
    return found if found is not None and found.code is not Code.COMPLETED else None


def _wants(world: World, before: World, fact: Command | SpecsSeen) -> dict[str, Want]:
    if isinstance(fact, SpecsSeen):
        ready = [name for name in fact.applied if name in world.workloads]
        gone = [name for name in fact.deleted if name in before.workloads]
        return {n: _declared(world, n) for n in ready} | dict.fromkeys(gone, Want(Goal.GONE))
    names: Iterable[str] = [fact.workload]
    if fact.verb == "confirm":
        names = before.brake.names if before.brake else ()
    elif fact.verb == "shutdown":
        names = world.workloads
    goal = GOALS.get(fact.verb, Goal.READY)
    known = [name for name in names if name in before.workloads]
    if goal is Goal.RAN:
        return {n: Want(goal, run=_last_run(world, n)) for n in known}
    if goal is not Goal.READY:
        return dict.fromkeys(known, Want(goal))
    return {n: Want(goal, world.workloads[n].record.target.generation) for n in known}


def _last_run(world: World, name: str) -> int:
    job = world.workloads[name].record.job
    return job.last if job is not None else 0


def _declared(world: World, name: str) -> Want:
    """After an update that has failed, what is declared is not the target."""
    record = world.workloads[name].record
    return Want(Goal.READY, record.failed_generation or record.target.generation)


def _refused(before: World, fact: Command | SpecsSeen) -> str:
    if isinstance(fact, Command):
        return refusal(before, fact) or ""
    return "; ".join(fact.rejected[name] for name in fact.applied if name in fact.rejected)


def _signed(world: World, first: int, change: Change) -> World:
    """What the fact put into the journal carries the change's number and trace."""
    signature: dict[str, Detail] = {"change": change.asked.id}
    if change.asked.trace:
        signature |= {"trace": change.asked.trace}
    notes = tuple(
        replace(n, details=n.details | signature)
        if at >= first and (n.workload in change.wants or not n.workload)
        else n
        for at, n in enumerate(world.notes)
    )
    return replace(world, notes=notes)


def _overtake(world: World, newer: Change, now: float) -> World:
    asked = newer.asked
    for number in world.doing:
        change = world.changes[number]
        both = change.wants.keys() & newer.wants.keys()
        common = {n for n in both if not _abreast(change.wants[n], newer.wants[n])}
        if common:
            words = f"change {asked.id} ({asked.verb}) took its place"
            world = _settle(world, change, {}, dict.fromkeys(sorted(common), words), now)
    return world


def _abreast(one: Want, other: Want) -> bool:
    """Runs of one job do not take each other's place, unless the job says so; nor does a run that
    of a version that was applied, or the other way round."""
    goals = {one.goal, other.goal}
    return Goal.RAN in goals and goals <= {Goal.RAN, Goal.READY}


def _judge(world: World, change: Change, names: Iterable[str], now: float) -> World:
    done: dict[str, str] = {}
    overtaken: dict[str, str] = {}
    for name in names:
        found = verdict(world, name, change.wants[name])
        if found is None:
            continue
        state, words = found
        if state is ChangeState.FAILED:
            return _end(world, change, state, f"{name}: {words}", now)
        (done if state is ChangeState.DONE else overtaken)[name] = words
    if change.wants and not done and not overtaken:
        return world
    return _settle(world, change, done, overtaken, now)


def _settle(
    world: World, change: Change, done: dict[str, str], overtaken: dict[str, str], now: float
) -> World:
    """Take from its wants what has come, and what will not; end it when nothing is left."""
    left = {n: w for n, w in change.wants.items() if n not in done and n not in overtaken}
    change = replace(change, wants=left, overtaken=change.overtaken | overtaken)
    if left:
        return _put(world, change)
    if change.overtaken:
        words = "; ".join(f"{name}: {words}" for name, words in change.overtaken.items())
        return _end(world, change, ChangeState.SUPERSEDED, words, now)
    one = len(change.workloads) == 1
    words = "; ".join(f"{name} {words}" for name, words in done.items()) if one else ""
    many = f"{len(change.workloads)} workloads are as asked" if change.workloads else ""
    return _end(world, change, ChangeState.DONE, words or many or "nothing was to be done", now)


def _end(world: World, change: Change, state: ChangeState, reason: str, now: float) -> World:
    ended = replace(change, state=state, reason=reason, wants={}, took=max(0.0, now - change.began))
    asked = change.asked
    why = Why(code=CODES[state], words=f"change {asked.id} ({asked.verb}) is {state}: {reason}")
    workload = change.workloads[0] if len(change.workloads) == 1 else ""
    return note(_put(world, ended), why, workload, change=asked.id)


def _put(world: World, change: Change) -> World:
    number = change.asked.id
    going = change.state is ChangeState.DOING
    doing = (*(n for n in world.doing if n != number), *((number,) if going else ()))
    changes = {**world.changes, number: change}
    ended = [n for n in sorted(changes) if n not in doing and n != number]
    for old in ended[: max(0, len(changes) - KEPT)]:
        del changes[old]
    return replace(world, changes=changes, doing=doing)
