"""``plan(world, now) -> Plan``: what to do, what not to do, and when to look again.

Reads the whole world, changes nothing. Promises: never two actions for one key; nothing
while the engine does not answer or was not listed since it does; a workload that is
settled costs nothing; the order of workloads is by priority, then name.
"""

from __future__ import annotations

from nodeorch.decide.replicas import plan_workload
from nodeorch.decide.turn import Turn
from nodeorch.model.actions import ListContainers, Plan
from nodeorch.model.world import Code, Why, WorkloadState, World

LIST_KEY = "#list"


def plan(world: World, now: float) -> Plan:
    turn = Turn(world, now)
    if world.fleet.wake_at is not None and world.fleet.wake_at > now:
        turn.wake(world.fleet.wake_at)
    engine = world.engine
    restless = [s for s in world.workloads.values() if not s.settled or world.shutdown]
    if not engine.answering:
        why = Why(code=Code.ENGINE_DOWN, words=engine.words)
        for state in restless:
            turn.hold(state.workload.name, "", why)
        return turn.result()
    if now >= engine.list_due and not turn.busy(LIST_KEY):
        why = Why(code=Code.LOOK, words="a listing is due")
        turn.act(ListContainers(key=LIST_KEY, why=why, workload=""))
    elif now < engine.list_due:
        turn.wake(engine.list_due)
    if engine.listed_at is None or engine.listed_at < engine.since:
        return turn.result()  # what runs is not known yet: touch nothing
    for state in sorted(restless, key=_rank):
        plan_workload(turn, state)
    return turn.result()


def _rank(state: WorkloadState) -> tuple[int, str]:
    main = state.workload.main
    return (-main.priority, main.name)
