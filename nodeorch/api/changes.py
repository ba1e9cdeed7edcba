"""GET changes: what operators asked for, and what became of it."""

from __future__ import annotations

import asyncio
from functools import partial

from aiohttp.web import StreamResponse

from nodeorch.api.call import Call, Lines, Problem, answer, rfc3339, unknown
from nodeorch.model.change import Change, ChangeState
from nodeorch.model.view import ChangeView, WorkloadView
from nodeorch.model.world import World
from nodeorch.spec.names import is_name

TIMEOUT = 30.0
LONGEST = 3600.0
PAUSE = 0.2
"""Seconds between two lines of one that is followed, at least."""


def change_view(call: Call, change: Change) -> ChangeView:
    asked = change.asked
    ended = asked.wall + change.took if change.took is not None else None
    return ChangeView(
        id=asked.id,
        verb=asked.verb,
        workloads=list(change.workloads),
        by=asked.by,
        at=rfc3339(asked.wall),
        state=change.state.value,
        reason=change.reason,
        waits=[_waits(view) for view in _open(call, change)],
        ended_at=rfc3339(ended) if ended is not None else None,
        trace=asked.trace,
    )


async def show(call: Call) -> StreamResponse:
    """Oldest first."""
    name, last = call.query("workload"), call.whole("last")
    if name is not None and not is_name(name):
        raise unknown(call.does, name[:80])
    changes = call.supervisor.world.changes
    found = [c for _, c in sorted(changes.items()) if name is None or name in c.workloads]
    found = found if last is None else found[len(found) - min(last, len(found)) :]
    return answer([change_view(call, change) for change in found])


async def one(call: Call) -> StreamResponse:
    return answer(change_view(call, _known(call)))


async def wait(call: Call) -> StreamResponse:
    """200 with the change when it has ended, however it did; 408 when it has not in time."""
    number = _known(call).asked.id
    timeout = call.number("timeout", LONGEST)
    timeout = TIMEOUT if timeout is None else timeout
    if not await call.supervisor.until(lambda world: _ended(world, number), timeout):
        waits = "; ".join(change_view(call, _known(call)).waits)
        words = f"cannot wait longer: change {number} is not done after {timeout:g} s: {waits}"
        raise Problem(408, words, "Timeout")
    return answer(change_view(call, _known(call)))


async def follow(call: Call) -> StreamResponse:
    """A line now, one whenever it has come further, and the last with its end."""
    change: Change | None = _known(call)
    lines = Lines(call)
    await lines.begin()
    while change is not None:
        await lines.send(change_view(call, change))
        if change.state is not ChangeState.DOING:
            break
        number, seen = change.asked.id, _stage(call, change)
        await asyncio.sleep(PAUSE)
        await call.supervisor.until(partial(_moved, call, number, seen), LONGEST)
        change = call.supervisor.world.changes.get(number)
    return await lines.end()


def _known(call: Call) -> Change:
    text = call.params["id"]
    number = int(text) if text.isascii() and text.isdigit() and len(text) < 16 else 0
    if number < 1:
        raise call.bad(f'"{text[:40]}" is not the number of a change', "see `nodeorch changes`")
    change = call.supervisor.world.changes.get(number)
    if change is None:
        words = f"cannot {call.does}: there is no change {number}, or it was long ago"
        raise Problem(404, f"{words}; see `nodeorch changes`", "NotFound")
    return change


def _ended(world: World, number: int) -> bool:
    change = world.changes.get(number)
    return change is None or change.state is not ChangeState.DOING


def _open(call: Call, change: Change) -> list[WorkloadView]:
    return [view for name in change.wants for view in call.supervisor.status(name)]


def _waits(view: WorkloadView) -> str:
    reason = f": {view.reason}" if view.reason else ""
    return f"{view.name} is {view.state}, {view.ready}/{view.desired} ready{reason}"


def _stage(call: Call, change: Change) -> list[object]:
    """How far it has come; without the seconds that reasons count."""
    return [
        (view.name, view.state, view.ready, [(i.name, i.state) for i in view.instances])
        for view in _open(call, change)
    ]


def _moved(call: Call, number: int, seen: list[object], world: World) -> bool:
    change = world.changes.get(number)
    return _ended(world, number) or change is None or _stage(call, change) != seen
