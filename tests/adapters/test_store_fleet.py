"""The SQLite store: what it keeps of other hosts."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
from msgspec.structs import replace

from nodeorch.adapters.sqlite import SchemaTooNew, SqliteStore, schema
from nodeorch.model.fleet import Declared, FleetRecord, Grave, HostRecord, Stamp, View
from nodeorch.ports import Changes, Remembered
from tests.adapters.storing import desired, filled, version

RECORD = FleetRecord(
    lineage="5ca1ab1e",
    stamp=Stamp(2, 17),
    hosts={"h2": HostRecord("10.0.0.2", 7444, "boot", 1000.5, lost=True)},
    graves={"h1/old": Grave(3, "h1", 900.0)},
    departed={"h9": Grave(1, "h1", 800.0)},
)


def view(host: str, revision: int = 1) -> View:
    declared = Declared(version("web").workload, "digest", 4, term=2, scale=3)
    return View(host, "lineage", Stamp(1, revision), {"web": declared}, {"h1/x": Grave(1, "h1")})


async def load(path: Path) -> Remembered:
    store = SqliteStore(path)
    await store.open()
    found = await store.load()
    await store.close()
    return found


async def save(path: Path, changes: Changes) -> None:
    store = SqliteStore(path)
    await store.open()
    await store.save(changes)
    await store.close()


def edit(path: Path, sql: str) -> None:
    db = sqlite3.connect(path)
    db.execute(sql)
    db.commit()
    db.close()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "nodeorch.db"


async def test_the_fleet_and_its_views_are_loaded_by_the_next_daemon(path: Path) -> None:
    fresh = await load(path)
    assert (fresh.fleet, fresh.views) == (None, {})
    await save(path, Changes(fleet=RECORD, views={"h2": view("h2"), "h3": view("h3")}))
    await save(path, Changes(views={"h2": view("h2", 2), "h3": None}))
    found = await load(path)
    assert found.fleet == RECORD and found.views == {"h2": view("h2", 2)}
    await save(path, Changes(fleet=replace(RECORD, stamp=Stamp(2, 18))))
    found = await load(path)
    assert found.fleet is not None and found.fleet.stamp == Stamp(2, 18)
    assert found.views == {"h2": view("h2", 2)}


async def test_a_workload_held_for_another_host_is_remembered_as_such(path: Path) -> None:
    held = replace(
        desired("web"), home="h2", term=3, slots=(0, 2), held_wall=1000.5, held_boot="boot"
    )
    none_here = replace(desired("none"), home="h2", slots=())
    await save(path, Changes({"web": held, "own": desired("own"), "none": none_here}))
    found = (await load(path)).desired
    assert found == {"web": held, "own": desired("own"), "none": none_here}
    assert (found["own"].slots, found["none"].slots) == (None, ())


@pytest.mark.parametrize("data", ["{", '{"host": 7}', '{"colour": 1}', "X'ff'"])
async def test_a_view_that_cannot_be_read_is_left_out_until_it_is_fetched_again(
    path: Path, data: str
) -> None:
    await save(path, Changes(fleet=RECORD, views={"h2": view("h2"), "h3": view("h3")}))
    edit(path, f"UPDATE views SET data = {data if data[0] == 'X' else repr(data)} WHERE host='h2'")
    found = await load(path)
    assert found.views == {"h3": view("h3")} and found.fleet == RECORD
    assert (found.rebuilt, found.unreadable) == (False, ())
    await save(path, Changes(views={"h2": view("h2", 5)}))
    assert (await load(path)).views == {"h2": view("h2", 5), "h3": view("h3")}


async def test_a_record_that_cannot_be_read_is_lost_and_nothing_else_with_it(path: Path) -> None:
    await filled(path)
    await save(path, Changes(fleet=RECORD, views={"h2": view("h2")}))
    edit(path, "UPDATE fleet SET data = '{'")
    found = await load(path)
    assert found.fleet is None and found.views == {"h2": view("h2")}
    assert (found.serial, found.rebuilt, found.unreadable) == (7, False, ())


@pytest.mark.parametrize("table", ["fleet", "views"])
async def test_a_database_without_a_table_is_damaged(path: Path, table: str) -> None:
    await filled(path)
    edit(path, f"DROP TABLE {table}")
    assert (await load(path)).rebuilt


async def test_a_database_from_before_fleets_is_taken_over_and_can_be_put_back(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = schema.MIGRATIONS
    with monkeypatch.context() as before:
        before.setattr(schema, "MIGRATIONS", now[:2])
        before.setattr(schema, "_COLUMNS", ())
        await filled(path)
    found = await load(path)
    assert (found.desired, found.serial, found.fleet) == ({"web": desired("web")}, 7, None)
    await save(path, Changes(fleet=RECORD))
    monkeypatch.setattr(schema, "MIGRATIONS", now[:2])
    monkeypatch.setattr(schema, "_COLUMNS", ())
    with pytest.raises(SchemaTooNew, match=r"knows 2; .* put back the backup nodeorch.db.bak-v2"):
        await load(path)
    path.with_name("nodeorch.db.bak-v2").replace(path)
    store = SqliteStore(path)
    await store.open()
    assert len(await store.entries()) == 5
    await store.close()
