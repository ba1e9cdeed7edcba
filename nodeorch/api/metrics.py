"""GET metrics, healthz, readyz: what may also be asked without a name, on a loopback port."""

from __future__ import annotations

from aiohttp.web import Response, StreamResponse

from nodeorch.api.call import Call, Problem, answer
from nodeorch.api.catalogue import CATALOGUE
from nodeorch.api.openmetrics import CONTENT_TYPE, render
from nodeorch.api.reading import Reading
from nodeorch.decide.room import requested
from nodeorch.model.view import HealthView
from nodeorch.model.world import World

STALLED = 10.0
"""Seconds without a step of the loop, which steps every two at least, that mean it is stuck."""


async def metrics(call: Call) -> StreamResponse:
    supervisor = call.supervisor
    world, meters = supervisor.world, supervisor.meters
    meters.keep(world.workloads)
    reading = Reading(
        world=world,
        now=supervisor.clock.now(),
        views=supervisor.status(),
        meters=meters,
        process=meters.process(),
        requested=requested(world),
    )
    body = render(CATALOGUE, reading)
    return Response(body=body, headers={"Content-Type": CONTENT_TYPE})


async def healthz(call: Call) -> StreamResponse:
    """Whether the daemon works. An engine or a disk that does not is no reason to restart it."""
    idle = call.supervisor.clock.now() - call.supervisor.meters.loop.stepped_at
    stalled = idle > STALLED
    return _health(call, [f"the loop has taken no step for {idle:.0f} s"] if stalled else [])


async def readyz(call: Call) -> StreamResponse:
    """Whether it can do all that it is there for."""
    return _health(call, not_ready(call.supervisor.world))


def not_ready(world: World) -> list[str]:
    engine = world.engine
    reasons = []
    if world.store_trouble:
        reasons.append(f"database: {world.store_trouble}")
    if not engine.answering:
        reasons.append(f"engine: {engine.words}")
    elif engine.listed_at is None:
        reasons.append(f"engine: not listed yet {engine.list_error}".rstrip())
    if world.shutdown:
        reasons.append("the host shuts down")
    return reasons


def _health(call: Call, reasons: list[str]) -> Response:
    if reasons:
        words = f"cannot {call.does}: {'; '.join(reasons)}"
        raise Problem(503, words, "NotReady", reasons)
    return answer(HealthView(ok=True))
