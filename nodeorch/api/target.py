"""Which instance a person means, and the journal's line about what was done inside it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence

from nodeorch.api.call import Call, Problem
from nodeorch.model.facts import Noted
from nodeorch.model.view import InstanceView
from nodeorch.model.world import Code, Note, Why
from nodeorch.ports import StoreError

DISK = 1.0
"""Seconds that the journal's line is waited for: a full disk locks nobody out of an instance."""

log = logging.getLogger(__name__)


def choose(call: Call) -> tuple[InstanceView, int]:
    """The instance asked for, else the first that is ready; and among how many it was chosen.

    ``instance`` is a name in full, or without its generation: "web.1.g3", "web.1".
    """
    name = call.known()
    view = call.supervisor.status(name)[0]
    asked = call.query("instance")
    meant = [i for i in view.instances if asked is None or is_meant(i.name, asked)]
    if asked is not None and not meant:
        raise no_such(call, asked, [i.name for i in view.instances])
    running = sorted((i for i in meant if i.pid), key=lambda i: (not i.ready, i.slot))
    if not running:
        state = f"{view.state}{f', {view.reason}' if view.reason else ''}"
        who = f"{asked} does not run" if asked else "no instance of it runs"
        words = f"cannot {call.does}: {who} ({state}); see `nodeorch why {name}`"
        raise Problem(409, words, "Refused")
    return running[0], len(running)


def is_meant(name: str, asked: str) -> bool:
    """In full, or without its generation."""
    return name == asked or name.rpartition(".")[0] == asked


def no_such(call: Call, asked: str, names: Sequence[str]) -> Problem:
    has = ", ".join(names) or "none"
    words = f'cannot {call.does}: it has no instance "{asked[:80]}"; it has {has}'
    return Problem(404, words, "NotFound")


async def record(call: Call, code: Code, instance: str, words: str) -> None:
    """Into the journal; into the log at least."""
    trace: dict[str, str | int | float | bool | None] = {"trace": call.trace} if call.trace else {}
    why = Why(code=code, words=words)
    note = Note(why=why, workload=call.name, instance=instance, details=trace)
    try:
        async with asyncio.timeout(DISK):
            await call.supervisor.submit(Noted(note))
    except (StoreError, TimeoutError) as error:
        log.warning("%s: %s (not yet in the journal: %s)", instance, words, error or "slow disk")
