"""What spec files refer to is read again from time to time.

A watch of the workloads directory sees no change of an env file, nor of a config file's source.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable
from typing import Protocol

from nodeorch.model.world import World
from nodeorch.ports import Shelf, Store, StoreError

log = logging.getLogger("nodeorch")

EVERY = 30.0
"""Seconds, as between two listings of the engine."""


class Refers(Protocol):
    @property
    def refers(self) -> bool: ...


async def reread(
    files: Refers, reload: Callable[[], Awaitable[None]], every: float = EVERY
) -> None:
    """For ever; costs nothing while no spec refers to another file."""
    while True:
        await asyncio.sleep(every)
        if files.refers:
            try:
                await reload()
            except StoreError as error:  # reported elsewhere, too
                log.error("%s", error)


async def tidy(shelf: Shelf, store: Store, world: World, changed: Iterable[str]) -> None:
    """Remove config files that no generation needs which can still be returned to."""
    changed = set(changed)
    for name in await asyncio.to_thread(shelf.workloads):
        state = world.workloads.get(name)
        if state is None:
            await asyncio.to_thread(shelf.tidy, name, (), ())
        elif name in changed:
            record = state.record
            now = [v.workload for v in (record.target, record.previous) if v is not None]
            now += record.job.older.values() if record.job is not None else ()
            all = [*now, *(version.workload for _, version in await store.versions(name))]
            kept = {file.digest for workload in all for file in workload.files}
            # A job's run goes on, and is tried again, in the container it began in.
            used = all if state.workload.is_job else now
            laid = {file.digest for workload in used for file in workload.files}
            await asyncio.to_thread(shelf.tidy, name, kept, laid)
