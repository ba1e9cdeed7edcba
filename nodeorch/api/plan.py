"""GET plan: what is under way, what comes next, and what waits for what."""

from __future__ import annotations

from aiohttp.web import StreamResponse

from nodeorch.api.call import Call, answer
from nodeorch.api.preview import LOOKING, compare, workload_of
from nodeorch.decide.results import QUIET, verb
from nodeorch.model.view import PlanView, WorkloadPlan
from nodeorch.model.world import World


async def show(call: Call) -> StreamResponse:
    supervisor = call.supervisor
    world, now = supervisor.world, supervisor.clock.now()
    plan = supervisor.plan_for(world)
    actions = [
        {
            "verb": verb(action),
            "workload": action.workload,
            "key": action.key,
            "code": action.why.code.value,
            "why": action.why.words,
        }
        for action in plan.actions
        if not isinstance(action, QUIET)
    ]
    holds: list[dict[str, str | float | None]] = [
        {
            "workload": hold.workload,
            "instance": hold.instance,
            "code": hold.why.code.value,
            "why": hold.why.words,
            "in": None if hold.until is None else max(0.0, hold.until - now),
        }
        for hold in plan.holds
    ]
    workloads = _braked(world, compare(supervisor, world, world, sorted(world.workloads)))
    return answer(PlanView(workloads, [*_busy(world), *actions], holds))


def _busy(world: World) -> list[dict[str, str]]:
    return [
        {
            "verb": word,
            "workload": workload_of(key),
            "key": key,
            "code": "UnderWay",
            "why": "it is under way",
        }
        for key, word in world.busy.items()
        if word not in LOOKING
    ]


def _braked(world: World, plans: list[WorkloadPlan]) -> list[WorkloadPlan]:
    if world.brake is None:
        return plans
    held = {n: WorkloadPlan(n, "hold", world.brake.words) for n in world.brake.names}
    return [held.pop(p.workload, p) for p in plans] + list(held.values())
