"""GET members, homes; POST take, leave, keys: several hosts."""

from __future__ import annotations

import asyncio
from typing import Literal

from aiohttp.web import StreamResponse
from msgspec import Struct

from nodeorch.api.call import Call, Problem, answer
from nodeorch.decide.fleet import view as fleetview
from nodeorch.decide.fleet.graves import take_refusal
from nodeorch.decide.fleet.mirrors import removal_refusal
from nodeorch.decide.fleet.whereabouts import home_of
from nodeorch.decide.status import Surroundings
from nodeorch.model.facts import HostRemoved
from nodeorch.model.fleetview import KeysView, SaidView


class Take(Struct, forbid_unknown_fields=True):
    force: bool = False
    """Also where it is not certain that its home is gone."""


class Leave(Struct, forbid_unknown_fields=True):
    host: str = ""
    """Empty: this one."""


class Keys(Struct, forbid_unknown_fields=True):
    verb: Literal["list", "install", "use", "remove"]
    key: str = ""
    """32 bytes in base64; of all but "list"."""


async def members(call: Call) -> StreamResponse:
    """All hosts by name; none while this one is alone."""
    return answer(fleetview.members(call.supervisor.world, _around(call)))


async def homes(call: Call) -> StreamResponse:
    """Beside the loop: with 10,000 workloads it takes half a second."""
    found = await asyncio.to_thread(fleetview.homes, call.supervisor.world, _around(call))
    return answer(found)


async def take(call: Call) -> StreamResponse:
    force = (await call.body(Take)).force
    async with call.edit_lock:  # its spec file is written here
        _not_if(take_refusal(call.supervisor.world, call.name, forced=force))
        if call.dry_run:
            home = home_of(call.supervisor.world, call.name)
            words = f"{call.name}: its home would be this host, no more {home}"
            return answer(SaidView(words, dry_run=True))
        return answer(SaidView(await call.supervisor.take(call.name, await call.by(), force)))


async def leave(call: Call) -> StreamResponse:
    world = call.supervisor.world
    host = (await call.body(Leave)).host or world.fleet.me
    _not_if(removal_refusal(world, HostRemoved(host, by="")))
    if call.dry_run:
        return answer(SaidView(f"{host} would leave the fleet for good", dry_run=True))
    return answer(SaidView(await call.supervisor.leave(host, await call.by())))


async def keys(call: Call) -> StreamResponse:
    body = await call.body(Keys)
    if not call.supervisor.world.fleet.on:
        _not_if(f"cannot {call.does}: this host is in no fleet; see `nodeorch members`")
    if bool(body.key) != (body.verb != "list"):
        raise call.bad(f'"{body.verb}" with key "{body.key[:4]}…"', 'give a key, to "list" none')
    if call.dry_run:
        return answer(KeysView({}, dry_run=True))
    return answer(KeysView(dict(await call.supervisor.keys(body.verb, body.key))))


def _not_if(refusal: str | None) -> None:
    if refusal is not None:
        raise Problem(409, refusal, "Refused")


def _around(call: Call) -> Surroundings:
    clock = call.supervisor.clock
    return Surroundings(now=clock.now(), wall=clock.wall())
