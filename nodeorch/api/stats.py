"""GET stats: what instances use now, and what one workload used in the last hour."""

from __future__ import annotations

from aiohttp.web import StreamResponse

from nodeorch.api.call import Call, answer


async def live(call: Call) -> StreamResponse:
    return answer(call.supervisor.stats())


async def history(call: Call) -> StreamResponse:
    return answer(call.supervisor.history(call.known()))
