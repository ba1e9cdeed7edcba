"""What of the world has to be written, and what was.

A save carries the difference between the world and the world last handed to the store; a
failed one is forgotten, so that the next carries it too. Several can be on their way: after
the first that fails, the later ones lean on what was never written, and their failing tells
nothing new. Notes wait in a bounded list.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

from msgspec import Struct
from msgspec.structs import replace

from nodeorch.model.change import Change
from nodeorch.model.fleet import FleetRecord, View
from nodeorch.model.world import (
    DesiredRecord,
    InstanceRecord,
    Note,
    Version,
    WorkloadState,
    World,
)
from nodeorch.ports import Changes, Clock, Entry, Store, StoreError

NOTES_KEPT = 1000
"""Notes that wait while the store takes none; older ones are dropped."""
SILENT = 5.0
"""Seconds until a write that has no answer is a trouble of its own."""


class _Written(Struct, frozen=True):
    """The parts of a world that were last handed to the store."""

    workloads: Mapping[str, WorkloadState] = {}
    serial: int = 0
    asked: Mapping[int, Change] = {}
    fleet: FleetRecord | None = None
    views: Mapping[str, View] = {}

    def then(self, world: World) -> _Written:
        """With no fleet, what there was of one stays as it is: it may be on again."""
        fleet, views = self.fleet, self.views
        if world.fleet.on:
            fleet, views = world.fleet.record, world.fleet.views
        return _Written(world.workloads, world.serial, world.changes, fleet, views)


class Persister:
    def __init__(
        self,
        store: Store,
        clock: Clock,
        publish: Callable[[tuple[Entry, ...]], None],
        working: Callable[[bool, str], None],
    ) -> None:
        self._store = store
        self._clock = clock
        self._publish = publish
        self._working = working
        self._written = _Written()
        self._notes: list[tuple[float, Note]] = []
        self._failures = 0
        self.trouble = ""
        """Why the last save failed; empty: it did not."""

    def loaded(self, world: World) -> None:
        """The world as it was just read: nothing of it needs writing.

        But the fleet's record, which may have been made anew while it was taken up.
        """
        self._written = replace(self._written.then(world), fleet=None)

    def save(self, world: World) -> asyncio.Future[None] | None:
        """Begin to write what has changed; None when nothing has.

        The future ends with StoreError when it could not be written.
        """
        wall = self._clock.wall()
        self._notes += [(wall, note) for note in world.notes]
        del self._notes[:-NOTES_KEPT]
        changes = self._changes(world)
        if changes is None:
            return None
        before, self._written = self._written, self._written.then(world)
        self._notes = []
        writing = asyncio.ensure_future(self._write(changes, before, self._failures))
        writing.add_done_callback(_heard)  # nobody may wait for it
        return writing

    async def _write(self, changes: Changes, before: _Written, failures: int) -> None:
        try:
            entries = await self._saved(changes)
        except Exception as error:  # a bug in the store, too, must lose nothing
            if failures == self._failures:
                self._written = before
                self._failures += 1
            notes = sorted([*changes.notes, *self._notes], key=lambda note: note[0])
            self._notes = notes[-NOTES_KEPT:]
            self._report(str(error))
            if isinstance(error, StoreError):
                raise
            words = f"cannot save: internal error: {type(error).__name__}: {error}"
            raise StoreError(words) from error
        self._report("")
        self._publish(entries)

    async def _saved(self, changes: Changes) -> tuple[Entry, ...]:
        saving = asyncio.ensure_future(self._store.save(changes))
        answered, _ = await asyncio.wait({saving}, timeout=SILENT)
        if not answered:
            self._report(f"the disk does not answer: a write has waited {SILENT:g} s; look at it")
        return await saving

    def _report(self, trouble: str) -> None:
        before, self.trouble = self.trouble, trouble
        if before != trouble:
            self._working(not trouble, trouble)

    def _changes(self, world: World) -> Changes | None:
        desired: dict[str, DesiredRecord | None] = {}
        instances: dict[str, InstanceRecord | None] = {}
        versions: list[Version] = []
        old_states, states = self._written.workloads, world.workloads
        if old_states is not states:
            for name in old_states.keys() - states.keys():
                desired[name] = None
                instances |= dict.fromkeys(old_states[name].instances)
            for name, state in states.items():
                old = old_states.get(name)
                if old is state:
                    continue
                if old is None or old.record is not state.record:
                    desired[name] = state.record
                    if old is None or old.record.target is not state.record.target:
                        versions.append(state.record.target)
                instances |= _instance_changes(old, state)
        serial = world.serial if world.serial != self._written.serial else None
        asked = self._asked_changes(world)
        fleet, views = self._fleet_changes(world)
        numbered = serial is not None or fleet is not None
        if not (desired or instances or asked or views or numbered or self._notes):
            return None
        return Changes(
            desired=desired,
            instances=instances,
            versions=tuple(versions),
            serial=serial,
            notes=tuple(self._notes),
            asked=asked,
            fleet=fleet,
            views=views,
        )

    def _asked_changes(self, world: World) -> dict[int, Change | None]:
        """New, ended and forgotten ones. How far one has come is seen anew after a start."""
        asked = self._written.asked
        if world.changes is asked:
            return {}
        found: dict[int, Change | None] = dict.fromkeys(asked.keys() - world.changes.keys())
        for number, change in world.changes.items():
            old = asked.get(number)
            if old is None or old.state is not change.state:
                found[number] = change
        return found

    def _fleet_changes(self, world: World) -> tuple[FleetRecord | None, dict[str, View | None]]:
        fleet, written = world.fleet, self._written
        if not fleet.on:
            return None, {}
        views: dict[str, View | None] = {}
        if fleet.views is not written.views:
            views |= dict.fromkeys(written.views.keys() - fleet.views.keys())
            views |= {h: v for h, v in fleet.views.items() if written.views.get(h) is not v}
        return fleet.record if fleet.record is not written.fleet else None, views


def _heard(writing: asyncio.Future[None]) -> None:
    if not writing.cancelled():
        writing.exception()


def _instance_changes(
    old: WorkloadState | None, new: WorkloadState
) -> dict[str, InstanceRecord | None]:
    before = old.instances if old is not None else {}
    if before is new.instances:
        return {}
    changes: dict[str, InstanceRecord | None] = dict.fromkeys(before.keys() - new.instances.keys())
    for name, instance in new.instances.items():
        was = before.get(name)
        if was is None or was.record is not instance.record:
            changes[name] = instance.record
    return changes
