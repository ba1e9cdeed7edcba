"""GET wait: a long poll until a workload is ready, stopped or gone."""

from __future__ import annotations

from aiohttp.web import StreamResponse

from nodeorch.api.call import Call, Problem, answer, unknown
from nodeorch.decide.fleet.whereabouts import home_of
from nodeorch.model.world import WorkloadState, World

GOALS = ("ready", "stopped", "gone")
TIMEOUT = 30.0
LONGEST = 3600.0


async def wait(call: Call) -> StreamResponse:
    """200 with the workload when it is so; 408 with the reason when it is not in time.

    "ready" also waits for a workload that is not known yet: its file may just have been written.
    """
    goal = call.query("for") or "ready"
    if goal not in GOALS:
        raise call.bad(f'for is "{goal}"', f"write one of {', '.join(GOALS)}")
    name, supervisor = call.name, call.supervisor
    if goal == "stopped" and name not in supervisor.world.workloads:
        raise unknown(call.does, name)
    timeout = call.number("timeout", LONGEST)
    timeout = TIMEOUT if timeout is None else timeout
    if not await supervisor.until(lambda world: _reached(call, goal, world), timeout):
        words = f"cannot wait longer: {name} is not {goal} after {timeout:g} s: {_state(call)}"
        raise Problem(408, words, "Timeout")
    return answer(supervisor.status(name))


def _reached(call: Call, goal: str, world: World) -> bool:
    state = world.workloads.get(call.name)
    if goal == "gone" or state is None:
        return state is None and goal != "ready"
    views = call.supervisor.status(call.name)
    if not views:
        return False
    view = views[0]
    if goal == "stopped":
        return view.state in ("stopped", "completed", "failed")
    if view.job is not None:  # it has done what it had to
        return view.state in ("completed", "scheduled")
    return (
        view.state in ("running", "elsewhere") and view.ready >= view.desired > 0 and _obeyed(state)
    )


def _obeyed(state: WorkloadState) -> bool:
    """An operator's restart is not still to come."""
    asked = state.record.operator_seq
    return all(i.record.operator_seq >= asked for i in state.instances.values())


def _state(call: Call) -> str:
    views = call.supervisor.status(call.name)
    if not views:
        world = call.supervisor.world
        home = home_of(world, call.name)
        nowhere = f"its home is {home}, see there" if home else "there is no such workload"
        return world.rejected.get(call.name) or nowhere
    view = views[0]
    return f"{view.state}{f', {view.reason}' if view.reason else ''}"
