# ruff: noqa: ASYNC220, ASYNC240 - a test may block its loop
"""The SQLite store: what it keeps, and what it bounds."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import stat
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from nodeorch.adapters.sqlite import SqliteStore
from nodeorch.model.change import Asked, Change, ChangeState, Goal, Want
from nodeorch.model.world import InstanceRecord
from nodeorch.ports import Changes, StoreError
from tests.adapters.storing import desired, instance, note, two_rows, version


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "nodeorch.db"


@pytest.fixture
async def store(path: Path) -> AsyncIterator[SqliteStore]:
    store = SqliteStore(path, keep=50)
    await store.open()
    yield store
    await store.close()


async def test_what_was_saved_is_loaded_by_the_next_daemon(path: Path) -> None:
    store = SqliteStore(path)
    await store.open()
    empty = await store.load()
    assert (empty.desired, empty.instances, empty.serial, empty.rebuilt) == ({}, {}, 0, False)
    await store.save(two_rows())
    await store.save(Changes(instances={"gone.0.g1": instance("gone")}))
    await store.save(Changes(instances={"gone.0.g1": None}))
    await store.close()

    store = SqliteStore(path)
    await store.open()
    found = await store.load()
    await store.close()
    assert found.desired == {"web": desired("web")}
    assert found.instances == {"web.0.g1": instance("web")}
    assert (found.serial, found.rebuilt, found.unreadable) == (7, False, ())


async def test_files_are_for_the_daemon_alone(store: SqliteStore, path: Path) -> None:
    await store.save(two_rows())
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    for name in os.listdir(path.parent):
        assert stat.S_IMODE((path.parent / name).stat().st_mode) == 0o600, name


async def test_the_database_is_durable_and_has_no_shared_memory(
    store: SqliteStore, path: Path
) -> None:
    await store.save(two_rows())
    db = store._connection()
    assert db.execute("PRAGMA journal_mode").fetchone()[0] == "wal"
    assert db.execute("PRAGMA synchronous").fetchone()[0] == 2
    assert not path.with_name(path.name + "-shm").exists()


async def test_journal_entries_come_back_numbered_and_are_found_again(store: SqliteStore) -> None:
    first = await store.save(Changes(notes=(note("a", pid=12), note("b", "db"))))
    second = await store.save(Changes(notes=(note("c"),)))
    assert [entry.why.words for entry in first + second] == ["a", "b", "c"]
    assert [entry.seq for entry in first + second] == [1, 2, 3]
    assert await store.entries() == first + second
    assert await store.entries(after=first[0].seq) == (first[1], *second)
    assert await store.entries(workload="web") == (first[0], *second)
    assert await store.entries(instance="db.0.g1") == (first[1],)
    assert await store.entries(workload="web", last=1) == second
    assert first[0].details == {"pid": 12}


async def test_the_journal_is_read_by_pages_and_knows_its_ends(store: SqliteStore) -> None:
    assert await store.extent() == (0, 0)
    await store.save(Changes(notes=tuple(note(n, "db" if n == "c" else "web") for n in "abcd")))
    everything = await store.entries()
    assert await store.entries(first=2) == everything[:2]
    assert await store.entries(after=1, first=2) == everything[1:3]
    assert await store.entries(workload="web", first=9) == (*everything[:2], everything[3])
    assert await store.extent() == (1, 4)
    assert await store.extent(last=2) == (3, 4)
    assert await store.extent(workload="web", last=2) == (2, 4)
    assert await store.extent(after=4) == (0, 0)


async def test_changes_are_kept_until_they_are_forgotten(path: Path) -> None:
    first, second = (
        Change(
            Asked(n, "restart", "uid 0", 1000.0, "00-ab"), ("web",), {"web": Want(Goal.READY, 1)}
        )
        for n in (1, 2)
    )
    ended = replace(first, state=ChangeState.DONE, reason="is ready", wants={}, took=1.5)
    for asked in ({1: first, 2: second}, {1: ended}, {2: None}):
        store = SqliteStore(path)
        await store.open()
        await store.save(Changes(asked=asked))
        await store.close()
    store = SqliteStore(path)
    await store.open()
    assert (await store.load()).asked == {1: ended}
    await store.close()
    db = sqlite3.connect(path)
    db.execute("INSERT INTO changes VALUES (3, '{')")
    db.commit()
    db.close()
    await store.open()
    found = await store.load()
    await store.close()
    assert (found.asked, found.rebuilt, found.unreadable) == ({1: ended}, False, ())


async def test_the_journal_is_bounded(store: SqliteStore, path: Path) -> None:
    for batch in range(30):
        await store.save(Changes(notes=tuple(note("x" * 2000) for _ in range(20))))
        if batch == 9:
            early = path.stat().st_size + path.with_name("nodeorch.db-wal").stat().st_size
    kept = await store.entries()
    assert [entry.seq for entry in kept] == list(range(551, 601))
    late = path.stat().st_size + path.with_name("nodeorch.db-wal").stat().st_size
    assert late < early + 3 * 1024 * 1024


async def test_twenty_versions_a_workload_are_kept_until_it_is_deleted(store: SqliteStore) -> None:
    await store.save(Changes(versions=(version("db", 1),)))
    for generation in range(1, 31):
        await store.save(Changes(versions=(version("web", generation),)))
    found = await store.versions("web")
    assert [item.generation for _, item in found] == list(range(30, 10, -1))
    assert found[0][1] == version("web", 30)
    await store.save(Changes(desired={"web": None}))
    assert await store.versions("web") == ()
    assert len(await store.versions("db")) == 1


async def test_a_version_turned_to_again_keeps_its_time(store: SqliteStore) -> None:
    await store.save(Changes(versions=(version("web", 1),)))
    ((first, _),) = await store.versions("web")
    store._wall = lambda: first + 1000
    await store.save(Changes(versions=(version("web", 1),)))
    assert [wall for wall, _ in await store.versions("web")] == [first]


async def test_saves_made_together_are_committed_together(store: SqliteStore) -> None:
    commits = []
    store._connection().set_trace_callback(
        lambda sql: commits.append(sql) if sql.startswith("COMMIT") else None
    )
    results = await asyncio.gather(
        *(store.save(Changes(notes=(note(f"n{i}"), note(f"m{i}")))) for i in range(100))
    )
    assert [entry.seq for entries in results for entry in entries] == list(range(1, 201))
    assert [entries[0].why.words for entries in results] == [f"n{i}" for i in range(100)]
    assert len(commits) < 100


async def test_the_loop_goes_on_while_the_disk_is_slow(store: SqliteStore) -> None:
    import threading

    gate = threading.Event()
    store._connection().set_progress_handler(lambda: int(not gate.wait(10)), 1)
    save = asyncio.create_task(store.save(two_rows()))
    beats = 0
    while beats < 20:
        await asyncio.sleep(0.001)
        beats += 1
    assert not save.done()
    gate.set()
    assert await save == ()


async def test_a_save_whose_caller_gave_up_is_written_all_the_same(store: SqliteStore) -> None:
    save = asyncio.create_task(store.save(two_rows()))
    await asyncio.sleep(0)
    save.cancel()
    assert (await store.load()).serial == 7


async def test_words_with_broken_characters_do_not_stop_the_journal(store: SqliteStore) -> None:
    broken = InstanceRecord("web.0.g1", "web", 0, 1, "t\udc80", 7)
    await store.save(
        Changes(instances={"web.0.g1": broken}, notes=(note("a\udcff", out="\ud800"),))
    )
    assert (await store.entries())[0].why.words == "a?"
    assert (await store.load()).instances["web.0.g1"].template == "t?"


async def test_what_is_no_data_fails_alone(store: SqliteStore) -> None:
    bad = Changes(notes=(note("x", thing=object()),))  # type: ignore[arg-type]
    results = await asyncio.gather(
        store.save(Changes(serial=1)), store.save(bad), return_exceptions=True
    )
    assert results[0] == () and isinstance(results[1], StoreError)
    assert (await store.load()).serial == 1


async def test_a_closed_store_says_so(path: Path) -> None:
    store = SqliteStore(path)
    with pytest.raises(StoreError, match="open it first"):
        await store.load()
    await store.open()
    await store.close()
    with pytest.raises(StoreError, match="open it first"):
        await store.save(two_rows())


async def test_killed_at_any_moment_all_or_nothing_of_each_save_is_there(path: Path) -> None:
    """A child saves pairs until it is killed; no half of a pair may be found."""
    script = """
import asyncio, sys
from pathlib import Path
from tests.adapters.storing import Changes, SqliteStore, instance, note
async def main():
    store = SqliteStore(Path(sys.argv[1])); await store.open()
    for n in range(100000):
        name = f"w{n}"
        await store.save(Changes(instances={f"{name}.0.g1": instance(name)}, serial=n,
                                 notes=(note(str(n)),)))
        print(n, flush=True)
asyncio.run(main())
"""
    child = subprocess.Popen(
        [sys.executable, "-c", script, str(path)], stdout=subprocess.PIPE, text=True
    )
    assert child.stdout is not None
    told = -1
    while told < 25:
        told = int(child.stdout.readline())
    child.kill()
    told = max([told, *map(int, child.stdout.read().split())])
    child.wait()
    child.stdout.close()
    store = SqliteStore(path)
    await store.open()
    found = await store.load()
    journal = await store.entries()
    await store.close()
    assert not found.rebuilt
    assert found.serial >= told
    assert len(found.instances) == len(journal) == found.serial + 1
