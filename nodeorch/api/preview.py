"""What a change would do: the same pure functions, asked about another world."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping

from msgspec.structs import replace

from nodeorch.api.state import Supervisor
from nodeorch.decide.fleet.seats import refused
from nodeorch.decide.fleet.whereabouts import holders, listed, placement
from nodeorch.decide.results import QUIET, VERBS, verb
from nodeorch.model.actions import Hold, Plan
from nodeorch.model.facts import Fact
from nodeorch.model.view import FieldChange, WorkloadPlan
from nodeorch.model.world import Code, WorkloadState, World

LOOKING = frozenset(VERBS[kind] for kind in QUIET)
"""Verbs that change nothing."""

AT_REST = frozenset({Code.POLICY, Code.COMPLETED, Code.OPERATOR, Code.STOPPED, Code.SCHEDULED})
"""Holds that wait for nothing: the workload is as it shall be."""

FEW = 50
"""In a fleet with more movable workloads, only `nodeorch why` tells which hosts cannot run one:
each such answer is a look at all of them."""

WORDS = 3
"""How many reasons of one workload are told."""


def what_if(supervisor: Supervisor, fact: Fact, named: Iterable[str] = ()) -> list[WorkloadPlan]:
    """What the fact would change, for every workload that it touches or that is named."""
    before = supervisor.world
    after = supervisor.absorb(before, fact)
    everyone = before.workloads.keys() | after.workloads.keys()
    touched = {n for n in everyone if before.workloads.get(n) is not after.workloads.get(n)}
    if after.shutdown and not before.shutdown:
        touched = everyone
    asked = set(named)
    plans = compare(supervisor, before, after, sorted(touched | asked))
    return [plan for plan in plans if plan.verb != "none" or plan.workload in asked]


def compare(
    supervisor: Supervisor, before: World, after: World, names: Iterable[str]
) -> list[WorkloadPlan]:
    plan = supervisor.plan_for(after)
    reasons = _reasons(plan, after.busy)
    holds: defaultdict[str, list[Hold]] = defaultdict(list)
    for hold in plan.holds:
        if hold.why.code not in AT_REST:
            holds[hold.workload].append(hold)
    stopping = after.shutdown and not before.shutdown
    plans = [
        _one(
            supervisor,
            name,
            before.workloads.get(name),
            after.workloads.get(name),
            reasons.get(name, {}),
            holds[name],
            stopping,
        )
        for name in names
    ]
    if not after.fleet.on:
        return plans
    few = len(after.fleet.claims) <= FEW
    now = supervisor.clock.now()
    return [
        _placed(before, after, plan, refused(after, plan.workload, now) if few else {})
        if plan.verb != "none"
        else plan
        for plan in plans
    ]


def _placed(before: World, after: World, plan: WorkloadPlan, no: Mapping[str, str]) -> WorkloadPlan:
    """With what it means for other hosts."""
    name, me = plan.workload, before.fleet.me
    if plan.verb == "delete":
        others = [host for host in holders(before, name, me) if host != me]
        return replace(plan, words=f"{plan.words}; on {listed(others)}, too") if others else plan
    return replace(plan, placement=placement(after, name, no))


def _reasons(plan: Plan, busy: Mapping[str, str]) -> dict[str, dict[str, str]]:
    """workload → words → verb, of what is and will be under way."""
    found: defaultdict[str, dict[str, str]] = defaultdict(dict)
    for key, word in busy.items():
        if word not in LOOKING:
            found[workload_of(key)][f"under way: {word} {key.partition('#')[0]}"] = word
    for action in plan.actions:
        if not isinstance(action, QUIET):
            found[action.workload][action.why.words] = verb(action)
    return found


def workload_of(key: str) -> str:
    """The workload of an action's key: an instance's name or ``WORKLOAD#image``."""
    return key.partition("#")[0].partition(".")[0]


def _one(
    supervisor: Supervisor,
    name: str,
    before: WorkloadState | None,
    after: WorkloadState | None,
    reasons: dict[str, str],
    holds: list[Hold],
    stopping: bool,
) -> WorkloadPlan:
    why = "; ".join([*list(reasons)[:WORDS], *(h.why.words for h in holds[:WORDS])])
    if after is None or after.record.deleting:
        count = len(after.instances) if after else 0
        return WorkloadPlan(name, "delete", f"{count} instance(s) are stopped and removed")
    if stopping:
        return WorkloadPlan(name, "stop", why or "it is stopped")
    if before is None:
        what = "a job" if after.workload.is_job else f"{after.replicas} instance(s)"
        words = f"{what} of {after.workload.main.image}"
        changes = supervisor.diff(None, after.workload)
        return WorkloadPlan(name, "create", words, changes)
    begun = _begun(before, after)
    if begun:
        return WorkloadPlan(name, "run", begun)
    changes = supervisor.diff(before.workload, after.workload) + _overrides(before, after)
    if changes:
        return WorkloadPlan(name, "update", why, changes)
    if before.record.operator_seq != after.record.operator_seq:
        return WorkloadPlan(name, "restart", why or "its instances are stopped and started")
    what = _under_way(after, set(reasons.values())) if reasons else "hold" if holds else "none"
    return WorkloadPlan(name, what, why)


def _begun(before: WorkloadState, after: WorkloadState) -> str:
    """The run that a job begins by command, and what it replaces."""
    old, new = before.record.job, after.record.job
    if new is None or before.record.target is not after.record.target:
        return ""
    last = old.last if old else 0
    words = [f"run {r.number} begins" for r in new.runs if r.number > last]
    if words:
        words += [f"run {r.number} is {r.words}" for r in new.active if r.ending is not None]
    return "; ".join(words)


def _under_way(state: WorkloadState, verbs: set[str]) -> str:
    if state.record.previous is not None:
        return "update"
    if "create" in verbs:
        return "create"
    return "restart" if "start" in verbs else "update"


def _overrides(before: WorkloadState, after: WorkloadState) -> list[FieldChange]:
    """What an operator says over the file."""
    changes = []
    if before.record.stopped != after.record.stopped:
        was, now = (("running", "stopped")[s.record.stopped] for s in (before, after))
        changes.append(FieldChange("operator.state", was, now, "live"))
    if before.record.scale != after.record.scale and before.replicas != after.replicas:
        changes.append(
            FieldChange("operator.scale", str(before.replicas), str(after.replicas), "live")
        )
    return changes
