"""GET version, node."""

from __future__ import annotations

from aiohttp.web import StreamResponse

from nodeorch import __version__
from nodeorch.api.call import Call, answer
from nodeorch.decide.fleet.view import warnings as fleet_warnings
from nodeorch.decide.room import requested
from nodeorch.model.view import NodeView, VersionView


async def version(call: Call) -> StreamResponse:
    return answer(VersionView(version=__version__, api="v1"))


async def show(call: Call) -> StreamResponse:
    world = call.supervisor.world
    brake = world.brake
    engine = world.engine
    warnings = [world.pressure.words, world.pressure.missing]
    if world.store_trouble:
        warnings.insert(0, f"what runs is kept up, no more: {world.store_trouble}")
    return answer(
        NodeView(
            name=world.node.name,
            version=__version__,
            engine=engine.words,
            engine_answering=engine.answering,
            memory_total=world.node.memory,
            memory_requested=requested(world),
            rejected=world.rejected,
            brake=list(brake.names) if brake else [],
            brake_words=brake.words if brake else "",
            warnings=[words for words in warnings if words],
            fleet=world.fleet.me,
            fleet_warnings=fleet_warnings(world),
        )
    )
