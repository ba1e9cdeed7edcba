"""POST run, GET runs: a job's runs."""

from __future__ import annotations

from aiohttp.web import StreamResponse
from msgspec import Struct
from msgspec.structs import replace

from nodeorch.api.call import Call, Problem, answer
from nodeorch.api.change import result
from nodeorch.api.preview import what_if
from nodeorch.model.facts import Command
from nodeorch.model.job import Run
from nodeorch.model.world import World

LONGEST = 3600.0
ARGS_MOST = 1000


class RunBody(Struct, forbid_unknown_fields=True):
    args: list[str] | None = None
    """In place of the workload's args."""


async def run(call: Call) -> StreamResponse:
    """Begin a run; the answer has its number."""
    args = (await call.body(RunBody)).args
    if args is not None and (len(args) > ARGS_MOST or any("\0" in arg for arg in args)):
        raise call.bad("args are too many or have a NUL character", f"give {ARGS_MOST} at most")
    command = Command(
        verb="run",
        workload=call.known(),
        by=await call.by(),
        args=None if args is None else tuple(args),
    )
    supervisor = call.supervisor
    refusal = supervisor.refusal(supervisor.world, command)
    if refusal is not None:
        raise Problem(409, refusal, "Refused")
    plans = what_if(supervisor, command, [call.name])
    if call.dry_run:
        return await result(call, plans, None)
    asked = await call.asked("run")
    await supervisor.submit(replace(command, change=asked))
    made = next((r for r in _runs(supervisor.world, call.name) if r.change == asked.id), None)
    return await result(call, plans, asked, run=made.number if made else 0)


async def runs(call: Call) -> StreamResponse:
    """The runs, newest first. With ``number`` that one; and ``timeout``: when it has ended, or
    as it is after so many seconds."""
    call.known()
    supervisor = call.supervisor
    if not supervisor.world.workloads[call.name].workload.is_job and not supervisor.runs(call.name):
        raise Problem(409, f"cannot {call.does}: it is a service, no job", "Refused")
    number, timeout = call.whole("number"), call.number("timeout", LONGEST)
    if number is None:
        return answer(supervisor.runs(call.name))
    if timeout:
        await supervisor.until(lambda world: _over(world, call.name, number), timeout)
    views = [view for view in supervisor.runs(call.name) if view.number == number]
    if not views:
        words = f"cannot {call.does}: run {number} is not remembered; see `nodeorch runs`"
        raise Problem(404, words, "NotFound")
    return answer(views)


def _runs(world: World, name: str) -> tuple[Run, ...]:
    state = world.workloads.get(name)
    job = state.record.job if state is not None else None
    return job.runs if job is not None else ()


def _over(world: World, name: str, number: int) -> bool:
    return all(r.outcome is not None for r in _runs(world, name) if r.number == number)
