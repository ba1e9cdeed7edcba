"""DELETE a workload: its file goes, then its instances."""

from __future__ import annotations

from aiohttp.web import StreamResponse

from nodeorch.api.call import Call, Problem, not_here
from nodeorch.api.change import declared, directory, edit, result
from nodeorch.api.preview import what_if
from nodeorch.model.facts import Command, SpecsSeen


async def delete(call: Call) -> StreamResponse:
    """Also of a workload whose file is gone already, and of a file that was never accepted."""
    name = call.name
    async with call.edit_lock:
        world = call.supervisor.world
        if name not in world.workloads and not (directory(call) / f"{name}.toml").exists():
            raise not_here(call.does, world, name)
        if name in world.workloads and world.workloads[name].record.home:
            refused = call.supervisor.refusal(world, Command(verb="delete", workload=name))
            if refused is not None:
                raise Problem(409, refused, "Refused")
        rest = await declared(call)
        rest.pop(name, None)
        rejected = {k: v for k, v in world.rejected.items() if k not in (name, "")}
        fact = SpecsSeen(workloads=rest, rejected=rejected, deleted=(name,))
        plans = what_if(call.supervisor, fact, [name])
        plans = [plan for plan in plans if plan.workload == name]
        asked = None
        if not call.dry_run:
            asked = await edit(call, lambda work: work.remove(f"{name}.toml"), deleted=(name,))
    return await result(call, plans, asked)
