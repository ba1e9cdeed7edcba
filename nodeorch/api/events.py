"""GET events: the journal, from a number on, and what is added to it."""

from __future__ import annotations

from aiohttp.web import StreamResponse

from nodeorch.api.call import Call, Lines, rfc3339, unknown
from nodeorch.model.view import ErrorView, EventView, GapView
from nodeorch.ports import Entry
from nodeorch.spec.names import is_name

LAST = 100
"""How many, when the peer does not say from where on."""

PAGE = 200
"""Entries read and sent at once."""

TOO_SLOW = ErrorView(
    "cannot go on: this reader is too slow; ask again after the last seq", "TooSlow"
)


def event_view(entry: Entry) -> EventView:
    return EventView(
        seq=entry.seq,
        at=rfc3339(entry.wall),
        code=entry.why.code,
        words=entry.why.words,
        workload=entry.workload,
        instance=entry.instance,
        details=entry.details,
    )


async def show(call: Call) -> StreamResponse:
    workload = call.query("workload")
    if workload is not None and not is_name(workload):
        raise unknown(call.does, workload[:80])
    lines = Lines(call)
    if not call.flag("follow"):
        start, gap = await _start(call, workload)
        await lines.begin()
        await lines.send(*gap)
        await _backlog(call, lines, start, workload)
        return await lines.end()
    # Subscribed before the backlog is read: nothing can fall between the two.
    async with call.supervisor.subscribe() as queue:
        start, gap = await _start(call, workload)
        await lines.begin()
        await lines.send(*gap)
        seen = await _backlog(call, lines, start, workload)
        while (entry := await queue.get()) is not None:
            if entry.seq > seen and workload in (None, entry.workload):
                await lines.send(event_view(entry))
        await lines.send(TOO_SLOW)
    return await lines.end()


async def _start(call: Call, workload: str | None) -> tuple[int, list[GapView]]:
    """The number after which to begin; and what to say if that is not the one asked for."""
    after, last = call.whole("after"), call.whole("last")
    store = call.supervisor.store
    oldest, newest = await store.extent()
    if last is None and after is None:
        last = LAST
    gap = []
    if after and not oldest - 1 <= after <= newest:
        if after > newest:
            words = f"the journal ends at {newest}: {after} is of another one"
            start = newest
        else:
            words = f"{after + 1} to {oldest - 1} are forgotten"
            start = oldest - 1
        gap = [GapView(gap=words, after=after, first=start + 1)]
        after = start
    if last == 0:
        return newest, gap
    if last is not None:
        first, _ = await store.extent(after=after or 0, workload=workload, last=last)
        return max(first - 1, after or 0), gap
    return after or 0, gap


async def _backlog(call: Call, lines: Lines, seen: int, workload: str | None) -> int:
    """Send what is stored, by pages: a slow reader must not cost memory. The last number sent."""
    store = call.supervisor.store
    while entries := await store.entries(after=seen, workload=workload, first=PAGE):
        await lines.send(*map(event_view, entries))
        seen = entries[-1].seq
    return seen
