"""GET events: the journal, from a number on, and what is added to it."""

from __future__ import annotations

from aiohttp.web import StreamResponse

from nodeorch.api.call import Call, Lines, rfc3339, unknown
from nodeorch.model.view import ErrorView, EventView
from nodeorch.ports import Entry
from nodeorch.spec.names import is_name

LAST = 100
"""How many, when the peer does not say from where on."""

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
        entries = await _backlog(call, workload)
        await lines.begin()
        await lines.send(*map(event_view, entries))
        return await lines.end()
    # Subscribed before the backlog is read: nothing can fall between the two.
    async with call.supervisor.subscribe() as queue:
        entries = await _backlog(call, workload)
        await lines.begin()
        await lines.send(*map(event_view, entries))
        seen = entries[-1].seq if entries else call.whole("after") or 0
        while (entry := await queue.get()) is not None:
            if entry.seq > seen and workload in (None, entry.workload):
                await lines.send(event_view(entry))
        await lines.send(TOO_SLOW)
    return await lines.end()


async def _backlog(call: Call, workload: str | None) -> tuple[Entry, ...]:
    after = call.whole("after")
    last = call.whole("last")
    if last is None and after is None:
        last = LAST
    if last == 0:
        return ()
    return await call.supervisor.store.entries(after=after or 0, workload=workload, last=last)
