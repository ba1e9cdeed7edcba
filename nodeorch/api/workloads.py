"""GET status, why, history."""

from __future__ import annotations

import asyncio

from aiohttp.web import StreamResponse

from nodeorch.api.call import Call, answer, raw, rfc3339, unknown
from nodeorch.api.events import event_view
from nodeorch.decide.fleet.seats import refused
from nodeorch.decide.fleet.view import home_view, why_absent
from nodeorch.decide.fleet.whereabouts import home_of, placement
from nodeorch.decide.status import Surroundings
from nodeorch.model.view import GenerationView, WhyView
from nodeorch.model.workload import Workload
from nodeorch.spec.names import is_name

EVENTS_OF_WHY = 50
MOST_EVENTS = 10_000


async def status(call: Call) -> StreamResponse:
    name = call.query("name")
    if name is None:
        return raw(call.supervisor.status_json())
    views = call.supervisor.status(name) if is_name(name) else []
    if not views:
        home = home_of(call.supervisor.world, name) if is_name(name) else ""
        raise unknown(call.does, name[:80], home)
    return answer(views)


async def why(call: Call) -> StreamResponse:
    """A workload that is gone is explained too, as long as the journal knows it, and one that is
    declared by another host."""
    supervisor, name = call.supervisor, call.name
    last = min(call.whole("last") or EVENTS_OF_WHY, MOST_EVENTS)
    entries = await supervisor.store.entries(workload=name, last=last)
    world, views = supervisor.world, supervisor.status(name)
    absent = None if views else home_view(world, name)
    now = supervisor.clock.now()
    no = await asyncio.to_thread(refused, world, name, now)  # it may look at 1,000 hosts
    if absent is not None:
        lines = why_absent(world, absent, no, Surroundings(now=now, wall=supervisor.clock.wall()))
    elif views:
        lines = [*placement(world, name, no), *supervisor.why_now(name)]
    elif entries:
        lines = ["it is not declared any more"]
    else:
        raise unknown(call.does, name)
    return answer(
        WhyView(
            workload=views[0] if views else None,
            now=lines,
            events=[event_view(entry) for entry in entries],
            home=absent.home if absent else "",
        )
    )


async def history(call: Call) -> StreamResponse:
    versions = await call.supervisor.store.versions(call.name)
    state = call.supervisor.world.workloads.get(call.name)
    if state is None and not versions:
        raise unknown(call.does, call.name)
    record = state.record if state else None
    older: list[Workload | None] = [version.workload for _, version in versions[1:]]
    older.append(None)
    return answer(
        [
            GenerationView(
                generation=version.generation,
                at=rfc3339(wall),
                current=record is not None and record.target.generation == version.generation,
                declared=record is not None and record.declared == version.digest,
                words=_changed(call, before, version.workload),
            )
            for (wall, version), before in zip(versions, older, strict=True)
        ]
    )


def _changed(call: Call, before: Workload | None, after: Workload) -> str:
    if before is None:
        return f"image {after.main.image}"
    changes = call.supervisor.diff(before, after)
    return ", ".join(f"{c.field} {c.before} → {c.after}" for c in changes) or "no difference"
