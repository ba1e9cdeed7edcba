"""What is written, and that a disk's bad moment loses nothing of it."""

from __future__ import annotations

import asyncio

import pytest
from msgspec.structs import replace

from nodeorch.daemon import persist
from nodeorch.daemon.persist import NOTES_KEPT, Persister
from nodeorch.decide.edit import put, say
from nodeorch.model.fleet import Fleet, FleetRecord, Stamp, View
from nodeorch.model.world import Code, DesiredRecord, Version, WorkloadState, World
from nodeorch.ports import Changes, Entry, StoreError
from tests.decide.story import workload
from tests.lab.wait import async_wait_for


class GatedStore:
    """Each save waits for the test's word: True, or the words of its failure."""

    def __init__(self) -> None:
        self.asked: asyncio.Queue[tuple[Changes, asyncio.Future[str]]] = asyncio.Queue()
        self.desired: set[str] = set()
        self.words: list[str] = []

    async def save(self, changes: Changes) -> tuple[Entry, ...]:
        verdict: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self.asked.put_nowait((changes, verdict))
        trouble = await verdict
        if trouble:
            raise StoreError(trouble)
        for name, record in changes.desired.items():
            (self.desired.discard if record is None else self.desired.add)(name)
        self.words += [note.why.words for _, note in changes.notes]
        return ()


class Wall:
    time = 1000.0

    def now(self) -> float:
        return self.time

    def wall(self) -> float:
        self.time += 1
        return self.time


class Desk:
    """A persister between a store and the loop's ear."""

    def __init__(self) -> None:
        self.store = GatedStore()
        self.heard: list[tuple[bool, str]] = []
        self.persister = Persister(
            self.store,  # type: ignore[arg-type]
            Wall(),
            lambda entries: None,
            lambda working, words: self.heard.append((working, words)),
        )
        self.world = World()

    def declare(self, name: str) -> asyncio.Future[None]:
        target = Version(generation=1, digest="d", template="t", workload=workload(name))
        record = DesiredRecord(target=target, declared="d", latest=1)
        self.world = say(
            put(self.world, WorkloadState(record=record)), Code.SPEC_ACCEPTED, f"declared {name}"
        )
        return self.save()

    def save(self) -> asyncio.Future[None]:
        saved = self.persister.save(self.world)
        self.world = replace(self.world, notes=())
        assert saved is not None
        return saved

    async def answer(self, saved: asyncio.Future[None], trouble: str = "") -> None:
        """To the oldest save without an answer."""
        (await self.store.asked.get())[1].set_result(trouble)
        if trouble:
            with pytest.raises(StoreError, match=trouble):
                await saved
        else:
            await saved


async def test_two_failed_saves_are_made_good_by_the_next() -> None:
    desk = Desk()
    first, second = desk.declare("a"), desk.declare("b")
    await desk.answer(first, "full")
    await desk.answer(second, "full")
    assert desk.persister.trouble == "full" and desk.heard == [(False, "full")]
    await desk.answer(desk.save())
    assert desk.store.desired == {"a", "b"}
    assert desk.store.words == ["declared a", "declared b"]
    assert desk.persister.trouble == "" and desk.heard[1:] == [(True, "")]
    assert desk.persister.save(desk.world) is None


async def test_a_save_begun_before_a_failure_that_fails_later_takes_nothing_back() -> None:
    desk = Desk()
    first, second = desk.declare("a"), desk.declare("b")
    await desk.answer(first, "full")
    third = desk.declare("c")  # leans on what was there before the first
    await desk.answer(second, "full")
    await desk.answer(third)
    await desk.answer(desk.save())  # the second's words
    assert desk.store.desired == {"a", "b", "c"}
    assert sorted(desk.store.words) == ["declared a", "declared b", "declared c"]
    assert desk.persister.save(desk.world) is None


async def test_a_failure_after_a_success_writes_only_what_is_missing() -> None:
    desk = Desk()
    await desk.answer(desk.declare("a"))
    await desk.answer(desk.declare("b"), "full")
    again = desk.save()
    changes, verdict = await desk.store.asked.get()
    assert changes.desired.keys() == {"b"}
    verdict.set_result("")
    await again
    assert desk.store.desired == {"a", "b"}


async def test_words_that_wait_for_the_disk_are_bounded_and_the_newest_stay() -> None:
    desk = Desk()
    for count in range(NOTES_KEPT + 50):
        desk.world = say(desk.world, Code.READY, f"note {count}")
        await desk.answer(desk.save(), "full")
    await desk.answer(desk.save())
    assert len(desk.store.words) == NOTES_KEPT
    assert desk.store.words[-1] == f"note {NOTES_KEPT + 49}"


async def test_a_bug_in_the_store_loses_nothing_and_ends_as_its_failure() -> None:
    desk = Desk()
    saved = desk.declare("a")
    (await desk.store.asked.get())[1].set_exception(ValueError("a bug"))
    with pytest.raises(StoreError, match="internal error: ValueError: a bug"):
        await saved
    await desk.answer(desk.save())
    assert desk.store.desired == {"a"} and desk.store.words == ["declared a"]


async def test_a_write_without_an_answer_is_a_trouble_until_it_has_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(persist, "SILENT", 0.01)
    desk = Desk()
    saved = desk.persister.save(say(World(), Code.LOOK, "a note"))
    assert saved is not None
    _, verdict = await desk.store.asked.get()
    await async_wait_for(lambda: desk.persister.trouble)
    assert "the disk does not answer" in desk.persister.trouble
    verdict.set_result("")
    await saved
    assert desk.persister.trouble == "" and [working for working, _ in desk.heard] == [False, True]
    assert desk.store.words == ["a note"]


# The fleet


def fleet(world: World, record: FleetRecord, **views: View) -> World:
    return replace(world, fleet=Fleet(me="h1", record=record, views=views))


async def written(desk: Desk, trouble: str = "") -> Changes:
    saved = desk.save()
    changes, verdict = await desk.store.asked.get()
    verdict.set_result(trouble)
    await asyncio.wait([saved])
    return changes


async def test_of_the_fleet_only_what_changed_is_written() -> None:
    desk = Desk()
    h2, h3, record = View("h2", "l"), View("h3", "l"), FleetRecord(lineage="l")
    desk.world = fleet(desk.world, record, h2=h2, h3=h3)
    changes = await written(desk)
    assert (changes.fleet, changes.views) == (record, {"h2": h2, "h3": h3})
    assert desk.persister.save(desk.world) is None
    newer = View("h3", "l", Stamp(1, 1))
    desk.world = fleet(desk.world, record, h3=newer)
    changes = await written(desk)
    assert (changes.fleet, changes.views) == (None, {"h2": None, "h3": newer})
    newest = replace(record, stamp=Stamp(0, 1))
    desk.world = fleet(desk.world, newest, h3=newer)
    changes = await written(desk)
    assert (changes.fleet, changes.views) == (newest, {})


async def test_what_of_the_fleet_a_disk_refused_is_written_by_the_next_save() -> None:
    desk = Desk()
    h2, record = View("h2", "l"), FleetRecord(lineage="l")
    desk.world = fleet(desk.world, record, h2=h2)
    await written(desk, "full")
    changes = await written(desk)
    assert (changes.fleet, changes.views) == (record, {"h2": h2})


async def test_a_record_made_while_it_was_taken_up_is_written() -> None:
    desk = Desk()
    h2, record = View("h2", "l"), FleetRecord(lineage="fresh")
    desk.world = fleet(desk.world, record, h2=h2)
    desk.persister.loaded(desk.world)
    changes = await written(desk)
    assert (changes.fleet, changes.views) == (record, {})
    assert desk.persister.save(desk.world) is None


async def test_without_a_fleet_what_there_was_of_one_is_left_alone() -> None:
    desk = Desk()
    desk.world = fleet(desk.world, FleetRecord(lineage="l"), h2=View("h2", "l"))
    await written(desk)
    desk.world = replace(desk.world, fleet=Fleet(record=FleetRecord("other")))
    assert desk.persister.save(desk.world) is None
    desk.world = say(desk.world, Code.LOOK, "a note")
    changes = await written(desk)
    assert (changes.fleet, changes.views) == (None, {})
