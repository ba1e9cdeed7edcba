# ruff: noqa: ASYNC221, ASYNC240 - a test may block its loop
"""The SQLite store on broken files, other schemas and disks that refuse."""

from __future__ import annotations

import os
import sqlite3
import stat
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from nodeorch.adapters.sqlite import SchemaTooNew, SqliteStore, rows, schema
from nodeorch.ports import Changes, StoreError
from tests.adapters.storing import desired, filled, instance, note, two_rows


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "nodeorch.db"


@pytest.fixture
async def store(path: Path) -> AsyncIterator[SqliteStore]:
    store = SqliteStore(path, keep=50)
    await store.open()
    yield store
    await store.close()


# Damage


def garble(path: Path, start: int, length: int) -> None:
    with open(path, "r+b") as file:
        file.seek(start)
        file.write(bytes(range(7, 200)) * (length // 193 + 1))


DAMAGES = {
    "garbage": lambda path: path.write_bytes(b"not a database at all" * 500),
    "header": lambda path: garble(path, 0, 100),
    "truncated": lambda path: os.truncate(path, path.stat().st_size // 2),
    "one page": lambda path: os.truncate(path, 4096),
    "odd size": lambda path: os.truncate(path, path.stat().st_size - 1000),
    "emptied": lambda path: os.truncate(path, 0),
    "removed": lambda path: path.unlink(),
    "page": lambda path: garble(path, 4096 * 2, 4096),
    "a stranger's": lambda path: (path.unlink(), strange(path)),
}


def strange(path: Path) -> None:
    db = sqlite3.connect(path)
    db.execute("CREATE TABLE bookmarks (url)")
    db.execute("PRAGMA user_version=1")
    db.commit()
    db.close()


@pytest.mark.parametrize("damage", DAMAGES)
async def test_a_damaged_database_is_set_aside_and_rebuilt(path: Path, damage: str) -> None:
    await filled(path, events=200)
    DAMAGES[damage](path)
    store = SqliteStore(path, wall=lambda: 1700000000.0)
    await store.open()
    found = await store.load()
    assert found.rebuilt and found.desired == {} and found.instances == {}
    entries = await store.save(Changes(notes=(note("after"),)))
    assert entries[0].seq > 200, "clients that resume by number must not wait for old ones"
    await store.close()
    aside = path.with_name("nodeorch.db.corrupt-1700000000")
    assert aside.exists() == (damage not in ("emptied", "removed"))


async def test_a_garbage_log_is_damage(path: Path) -> None:
    await filled(path)
    path.with_name("nodeorch.db-wal").write_bytes(os.urandom(100_000))
    store = SqliteStore(path, wall=lambda: 1700000000.0)
    await store.open()
    assert (await store.load()).rebuilt
    await store.close()
    assert path.with_name("nodeorch.db.corrupt-1700000000-wal").exists()


def crash_copy(path: Path, target: Path) -> None:
    """The files as a power cut leaves them: a log that was not brought home."""
    target.parent.mkdir(mode=0o700)
    for name in ("nodeorch.db", "nodeorch.db-wal", "initialized"):
        target.with_name(name).write_bytes(path.with_name(name).read_bytes())


@pytest.mark.parametrize("cut", ["whole", "tail", "empty", "zeros"])
async def test_a_log_cut_by_a_power_failure_is_no_damage(
    store: SqliteStore, path: Path, tmp_path: Path, cut: str
) -> None:
    await store.save(two_rows())
    await store.save(Changes(serial=8))
    copy = tmp_path / "cut" / "nodeorch.db"
    crash_copy(path, copy)
    wal = copy.with_name("nodeorch.db-wal")
    size = wal.stat().st_size
    if cut == "tail":
        os.truncate(wal, size - 100)
    elif cut == "empty":
        os.truncate(wal, 0)
    elif cut == "zeros":
        wal.write_bytes(bytes(size))
    again = SqliteStore(copy)
    await again.open()
    found = await again.load()
    await again.close()
    if cut in ("whole", "tail"):
        assert not found.rebuilt
        assert found.serial == (8 if cut == "whole" else 7)


async def test_a_rebuild_is_remembered_until_instances_are_recorded_again(path: Path) -> None:
    await filled(path)
    path.write_bytes(b"garbage" * 1000)
    for _ in range(2):  # the second daemon died before it took its containers back
        store = SqliteStore(path)
        await store.open()
        assert (await store.load()).rebuilt
        await store.save(Changes(desired={"web": desired("web")}))
        await store.close()
    await store.open()
    await store.save(Changes(instances={"web.0.g1": instance("web")}))
    await store.close()
    store = SqliteStore(path)
    await store.open()
    assert not (await store.load()).rebuilt
    await store.close()


async def test_few_broken_databases_are_kept(path: Path) -> None:
    for round in range(6):
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"garbage" * 1000)
        store = SqliteStore(path, wall=lambda round=round: 1700000000.0 + round)  # type: ignore[misc]
        await store.open()
        await store.close()
    kept = sorted(p.name for p in path.parent.glob("*.corrupt-*"))
    assert kept == [f"nodeorch.db.corrupt-{1700000000 + n}" for n in (3, 4, 5)]


async def test_a_row_that_cannot_be_read_stays_and_spoils_nothing(path: Path) -> None:
    await filled(path)
    db = sqlite3.connect(path)
    (data,) = db.execute("SELECT data FROM desired").fetchone()
    newer = data.replace('"image":', '"colour":"blue","image":', 1)
    assert newer != data
    db.execute("INSERT INTO desired VALUES ('newer', ?)", (newer,))
    db.execute("INSERT INTO instances VALUES ('broken.0.g1', '{')")
    db.execute("UPDATE versions SET data = '[]'")
    db.execute("UPDATE events SET code = 'NewerCode' WHERE seq = 1")
    # A record of a newer version may well have more fields.
    (row,) = db.execute("SELECT data FROM instances WHERE name = 'web.0.g1'").fetchone()
    grown = row.replace("{", '{"added_later":[1,2],', 1)
    db.execute("UPDATE instances SET data = ? WHERE name = 'web.0.g1'", (grown,))
    db.commit()
    db.close()
    store = SqliteStore(path)
    await store.open()
    found = await store.load()
    assert list(found.desired) == ["web"] and list(found.instances) == ["web.0.g1"]
    assert len(found.unreadable) == 2
    assert found.unreadable[0].startswith("desired 'newer': Object contains unknown field `colour`")
    assert found.unreadable[1].startswith("instances 'broken.0.g1'")
    assert [entry.seq for entry in await store.entries()] == [2, 3, 4, 5]
    assert await store.versions("web") == ()
    await store.close()
    db = sqlite3.connect(path)
    assert db.execute("SELECT count(*) FROM desired").fetchone() == (2,)
    db.close()


# Schema


async def test_a_newer_schema_is_refused_and_left_alone(path: Path) -> None:
    await filled(path)
    db = sqlite3.connect(path)
    db.execute("PRAGMA user_version=99")
    db.close()
    before = path.read_bytes()
    with pytest.raises(SchemaTooNew, match="version 99"):
        await SqliteStore(path).open()
    assert path.read_bytes() == before
    assert not list(path.parent.glob("*.corrupt-*"))


async def test_a_migration_backs_up_first(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    await filled(path)
    found = len(schema.MIGRATIONS)
    step = ("ALTER TABLE instances ADD COLUMN colour TEXT",)
    monkeypatch.setattr(schema, "MIGRATIONS", (*schema.MIGRATIONS, step))
    store = SqliteStore(path)
    await store.open()
    assert (await store.load()).serial == 7
    await store.close()
    db = sqlite3.connect(path)
    assert db.execute("PRAGMA user_version").fetchone() == (found + 1,)
    assert db.execute("SELECT colour FROM instances").fetchone() == (None,)
    db.close()
    backup = path.with_name(f"nodeorch.db.bak-v{found}")
    assert stat.S_IMODE(backup.stat().st_mode) == 0o600
    db = sqlite3.connect(backup)
    assert db.execute("PRAGMA user_version").fetchone() == (found,)
    assert db.execute("SELECT count(*) FROM events").fetchone() == (5,)
    db.close()


async def test_a_failing_migration_changes_nothing(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await filled(path)
    steps = (("CREATE TABLE extra (a)",), ("DROP TABLE instances", "nonsense"))
    with monkeypatch.context() as patch:
        patch.setattr(schema, "MIGRATIONS", schema.MIGRATIONS + steps)
        store = SqliteStore(path)
        with pytest.raises(StoreError, match="nonsense"):
            await store.open()
    await store.open()
    assert (await store.load()).serial == 7
    assert not list(store._connection().execute("SELECT 1 FROM sqlite_schema WHERE name='extra'"))
    await store.close()


# A disk that refuses


async def test_a_second_daemon_is_refused(
    store: SqliteStore, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(schema, "_BUSY_SECONDS", 0.05)
    await store.save(two_rows())
    script = (
        "import sys, asyncio; from pathlib import Path\n"
        "from nodeorch.adapters.sqlite import SqliteStore, schema\n"
        "schema._BUSY_SECONDS = 0.05\n"
        "asyncio.run(SqliteStore(Path(sys.argv[1])).open())\n"
    )
    done = subprocess.run([sys.executable, "-c", script, str(path)], capture_output=True, text=True)
    assert "another process holds it; stop the other daemon" in done.stderr
    await store.save(Changes(serial=9))


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A real file system of 1 MiB."""
    if os.geteuid() != 0:
        pytest.skip("mounting needs root")
    where = tmp_path / "disk"
    where.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(where)], check=True)
    try:
        yield where
    finally:
        subprocess.run(["umount", "-l", str(where)], check=True)


def fill(disk: Path) -> Path:
    filler = disk / "filler"
    with open(filler, "wb", buffering=0) as file:
        try:
            while True:
                file.write(b"x" * 4096)
        except OSError:
            pass
    return filler


@pytest.mark.parametrize("error", [sqlite3.OperationalError("no luck"), ValueError("no luck")])
async def test_a_save_that_fails_half_way_leaves_nothing(
    store: SqliteStore, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def fail(*_: object) -> None:
        raise error

    await store.save(two_rows())
    half = Changes(serial=8, notes=(note("half"),))
    with monkeypatch.context() as patch:
        patch.setattr(rows, "trim", fail)
        with pytest.raises(StoreError, match="no luck"):
            await store.save(half)
    assert (await store.load()).serial == 7
    assert await store.entries() == ()
    assert len(await store.save(half)) == 1


async def test_a_full_disk_is_an_error_and_passes(small_disk: Path) -> None:
    store = SqliteStore(small_disk / "state" / "nodeorch.db")
    await store.open()
    await store.save(two_rows())
    filler = fill(small_disk)
    big = Changes(serial=100, notes=tuple(note("y" * 1000) for _ in range(200)))
    for _ in range(3):
        with pytest.raises(StoreError, match="the disk is full; free space under"):
            await store.save(big)
    found = await store.load()
    assert found.serial == 7 and await store.entries() == ()
    filler.unlink()
    assert len(await store.save(big)) == 200
    await store.close()
    store = SqliteStore(small_disk / "state" / "nodeorch.db")
    await store.open()
    again = await store.load()
    assert (again.serial, again.rebuilt, len(again.instances)) == (100, False, 1)
    await store.close()


async def test_opening_on_a_full_disk_is_an_error_and_passes(small_disk: Path) -> None:
    filler = fill(small_disk)
    store = SqliteStore(small_disk / "state" / "nodeorch.db")
    with pytest.raises(StoreError, match="free space"):
        await store.open()
    with pytest.raises(StoreError):
        await store.save(two_rows())
    filler.unlink()
    await store.open()
    assert not (await store.load()).rebuilt
    await store.save(two_rows())
    await store.close()


async def test_a_read_only_disk_is_an_error_and_passes(small_disk: Path) -> None:
    path = small_disk / "state" / "nodeorch.db"
    await filled(path)
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    store = SqliteStore(path)
    with pytest.raises(StoreError, match="Read-only"):
        await store.open()
    assert not list(path.parent.glob("*.corrupt-*")), "a read-only disk is no damage"
    subprocess.run(["mount", "-o", "remount,rw", str(small_disk)], check=True)
    await store.open()
    assert (await store.load()).serial == 7
    await store.close()
