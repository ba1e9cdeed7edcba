"""POST restart, stop, start, scale, rollback, confirm, shutdown: an operator's wishes."""

from __future__ import annotations

from aiohttp.web import StreamResponse
from msgspec import Struct
from msgspec.structs import replace

from nodeorch.api.call import Call, Problem
from nodeorch.api.change import result
from nodeorch.api.preview import what_if
from nodeorch.model.facts import Command
from nodeorch.model.world import Version, World

SHUTDOWN_TIMEOUT = 90.0
LONGEST = 3600.0


class Nothing(Struct, forbid_unknown_fields=True):
    pass


class Scale(Struct, forbid_unknown_fields=True):
    replicas: int


class Rollback(Struct, forbid_unknown_fields=True):
    generation: int | None = None
    """None: the one before the current."""


async def restart(call: Call) -> StreamResponse:
    return await _plain(call, "restart")


async def stop(call: Call) -> StreamResponse:
    return await _plain(call, "stop")


async def start(call: Call) -> StreamResponse:
    return await _plain(call, "start")


async def scale(call: Call) -> StreamResponse:
    replicas = (await call.body(Scale)).replicas
    command = Command(verb="scale", workload=call.known(), by=await call.by(), replicas=replicas)
    return await _obey(call, command)


async def rollback(call: Call) -> StreamResponse:
    wanted = (await call.body(Rollback)).generation
    name = call.known()
    version = await _version(call, wanted)
    return await _obey(
        call, Command(verb="rollback", workload=name, by=await call.by(), version=version)
    )


async def confirm(call: Call) -> StreamResponse:
    await call.body(Nothing)
    return await _obey(call, Command(verb="confirm", by=await call.by()))


async def shutdown(call: Call) -> StreamResponse:
    """Stop everything, dependents first, because the host goes down; answer when it is done."""
    await call.body(Nothing)
    timeout = call.number("timeout", LONGEST)
    timeout = SHUTDOWN_TIMEOUT if timeout is None else timeout
    answer = await _obey(call, Command(verb="shutdown", by=await call.by()))
    if not call.dry_run and not await call.supervisor.until(_all_stopped, timeout):
        left = ", ".join(_running(call.supervisor.world))
        words = f"cannot wait longer: after {timeout:g} s these still run: {left}"
        raise Problem(408, words, "Timeout")
    return answer


async def _plain(call: Call, verb: str) -> StreamResponse:
    await call.body(Nothing)
    return await _obey(call, Command(verb=verb, workload=call.known(), by=await call.by()))


async def _obey(call: Call, command: Command) -> StreamResponse:
    supervisor = call.supervisor
    refusal = supervisor.refusal(supervisor.world, command)
    if refusal is not None:
        raise Problem(409, refusal, "Refused")
    plans = what_if(supervisor, command, [command.workload] if command.workload else [])
    asked = None
    if not call.dry_run:
        asked = await call.asked(command.verb)
        await supervisor.submit(replace(command, change=asked))
    return await result(call, plans, asked)


async def _version(call: Call, wanted: int | None) -> Version | None:
    """The generation asked for, or the last one before the target."""
    record = call.supervisor.world.workloads[call.name].record
    if wanted is None and record.previous is not None:
        return record.previous
    for _, version in await call.supervisor.store.versions(call.name):
        if version.generation == wanted:
            return version
        if wanted is None and version.generation < record.target.generation:
            return version
    if wanted is None:
        return None
    words = (
        f"cannot roll {call.name} back: it has no generation {wanted}; "
        f"see `nodeorch history {call.name}`"
    )
    raise Problem(404, words, "NotFound")


def _all_stopped(world: World) -> bool:
    return world.shutdown and not _running(world)


def _running(world: World) -> list[str]:
    return [
        instance.name
        for state in world.workloads.values()
        for instance in state.instances.values()
        if instance.running
    ]
