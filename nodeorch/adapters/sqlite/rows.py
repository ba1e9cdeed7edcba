"""Structs to rows and back."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

import msgspec

from nodeorch.model.change import Change
from nodeorch.model.fleet import FleetRecord, View
from nodeorch.model.world import Code, DesiredRecord, InstanceRecord, Note, Version, Why
from nodeorch.ports import Changes, Entry, Remembered

log = logging.getLogger(__name__)

VERSIONS_KEPT = 20
"""Generations of one workload that ``history`` and ``rollback`` can reach."""

T = TypeVar("T")
Statement = tuple[str, tuple[Any, ...]]

_KEYS = {"desired": "name", "instances": "name", "changes": "id", "fleet": "name", "views": "host"}
"""Tables of one record a row, and what it is found by."""
_PUT = {table: f"INSERT OR REPLACE INTO {table} VALUES (?, ?)" for table in _KEYS}
_DROP = {table: f"DELETE FROM {table} WHERE {key} = ?" for table, key in _KEYS.items()}
_OURS = "record"
"""The row of the table ``fleet``."""


class Prepared(msgspec.Struct, frozen=True):
    """What one save writes: encoded outside of the transaction, so that only SQLite can fail it."""

    statements: list[Statement]
    notes: list[tuple[float, Note, str | None]]
    """(wall, note, its details as JSON)."""


def prepare(changes: Changes, wall: float) -> Prepared:
    statements: list[Statement] = []
    tables: tuple[tuple[str, Mapping[Any, Any]], ...] = (
        ("desired", changes.desired),
        ("instances", changes.instances),
        ("changes", changes.asked),
        ("fleet", {_OURS: changes.fleet} if changes.fleet is not None else {}),
        ("views", changes.views),
    )
    for table, rows in tables:
        for name, record in rows.items():
            if record is None:
                statements.append((_DROP[table], (name,)))
            else:
                statements.append((_PUT[table], (name, _encode(record))))
    # A deleted workload takes its history along: names come and go without end.
    gone = [name for name, record in changes.desired.items() if record is None]
    statements += [("DELETE FROM versions WHERE workload = ?", (name,)) for name in gone]
    for version in changes.versions:
        statements += _version_statements(version, wall)
    if changes.serial is not None:
        statements.append(("INSERT OR REPLACE INTO meta VALUES ('serial', ?)", (changes.serial,)))
    if any(changes.instances.values()):
        statements.append(("DELETE FROM meta WHERE key = 'rebuilding'", ()))
    notes = [
        (at, note, _encode(note.details) if note.details else None) for at, note in changes.notes
    ]
    return Prepared(statements, [(at, _clean(note), details) for at, note, details in notes])


def _version_statements(version: Version, wall: float) -> list[Statement]:
    name = version.workload.name
    row = (name, version.generation, wall, _encode(version))
    oldest = (
        "DELETE FROM versions WHERE workload = ? AND generation <= (SELECT generation FROM versions"
        f" WHERE workload = ? ORDER BY generation DESC LIMIT 1 OFFSET {VERSIONS_KEPT})"
    )
    # Turned to again, it keeps the time at which it was first accepted.
    insert = (
        "INSERT INTO versions VALUES (?, ?, ?, ?)"
        " ON CONFLICT (workload, generation) DO UPDATE SET data = excluded.data"
    )
    return [(insert, row), (oldest, (name, name))]


def write(db: sqlite3.Connection, prepared: Prepared) -> tuple[Entry, ...]:
    """Run the statements inside the caller's transaction."""
    for sql, values in prepared.statements:
        db.execute(sql, values)
    entries = []
    for wall, note, details in prepared.notes:
        cursor = db.execute(
            "INSERT INTO events (wall, code, words, workload, instance, details)"
            " VALUES (?, ?, ?, ?, ?, ?)",
            (wall, note.why.code, note.why.words, note.workload, note.instance, details),
        )
        assert cursor.lastrowid is not None
        entries.append(
            Entry(cursor.lastrowid, wall, note.why, note.workload, note.instance, note.details)
        )
    return tuple(entries)


def trim(db: sqlite3.Connection, last: int, keep: int) -> None:
    """Forget the journal's oldest entries. The pages are used again: the file does not grow."""
    db.execute("DELETE FROM events WHERE seq <= ?", (last - keep,))


def load(db: sqlite3.Connection, rebuilt: bool) -> Remembered:
    unreadable: list[str] = []
    desired = _records(db, "desired", DesiredRecord, unreadable)
    instances = _records(db, "instances", InstanceRecord, unreadable)
    row = db.execute("SELECT value FROM meta WHERE key = 'serial'").fetchone()
    serial = int(row[0]) if row else 0
    return Remembered(
        desired,
        instances,
        serial,
        rebuilt,
        asked=_readable(db, "changes", Change),
        unreadable=tuple(unreadable),
        fleet=_readable(db, "fleet", FleetRecord).get(_OURS),
        views=_readable(db, "views", View),
    )


def _readable(db: sqlite3.Connection, table: str, kind: type[T]) -> dict[Any, T]:
    """What cannot be read is left out: nothing that runs leans on it. A change is forgotten, a
    view fetched again, and the fleet learns that this host has a new database."""
    return _records(db, table, kind, [])


def _records(
    db: sqlite3.Connection, table: str, kind: type[T], unreadable: list[str]
) -> dict[Any, T]:
    decoder = msgspec.json.Decoder(kind)
    found: dict[Any, T] = {}
    key = _KEYS[table]
    for name, data in db.execute(f"SELECT {key}, data FROM {table} ORDER BY {key}"):
        try:
            found[name] = decoder.decode(data)
        except (msgspec.DecodeError, TypeError) as error:
            unreadable.append(f"{table} {name!r}: {error}")
            log.warning("row of %s not read: %s: %s", table, name, error)
    return found


def versions(db: sqlite3.Connection, workload: str) -> tuple[tuple[float, Version], ...]:
    decoder = msgspec.json.Decoder(Version)
    found = []
    rows = db.execute(
        "SELECT wall, generation, data FROM versions WHERE workload = ? ORDER BY generation DESC",
        (workload,),
    )
    for wall, generation, data in rows:
        try:
            found.append((wall, decoder.decode(data)))
        except (msgspec.DecodeError, TypeError) as error:
            log.warning("generation %s of %s not read: %s", generation, workload, error)
    return tuple(found)


def entries(
    db: sqlite3.Connection,
    after: int,
    workload: str | None,
    instance: str | None,
    last: int | None,
    first: int | None = None,
) -> tuple[Entry, ...]:
    """Oldest first; ``last`` keeps only the newest so many, ``first`` the oldest."""
    where, values = _where(after, workload, instance)
    order, most = ("DESC", last) if first is None else ("ASC", first)
    rows = db.execute(
        "SELECT seq, wall, code, words, workload, instance, details FROM events"
        f" WHERE {where} ORDER BY seq {order} LIMIT ?",
        (*values, -1 if most is None else most),
    ).fetchall()
    if first is None:
        rows.reverse()
    return tuple(entry for row in rows if (entry := _entry(row)))


def extent(
    db: sqlite3.Connection, after: int, workload: str | None, last: int | None
) -> tuple[int, int]:
    where, values = _where(after, workload, None)
    newest = f"SELECT seq FROM events WHERE {where} ORDER BY seq DESC LIMIT ?"
    row = db.execute(
        f"SELECT min(seq), max(seq) FROM ({newest})", (*values, -1 if last is None else last)
    ).fetchone()
    return row[0] or 0, row[1] or 0


def _where(
    after: int, workload: str | None, instance: str | None
) -> tuple[str, tuple[int | str, ...]]:
    where, values = "seq > ?", [after]
    conditions: Iterable[tuple[str, str | None]] = (("workload", workload), ("instance", instance))
    for column, value in conditions:
        if value is not None:
            where += f" AND {column} = ?"
            values.append(value)  # type: ignore[arg-type]
    return where, tuple(values)


def _entry(row: tuple[Any, ...]) -> Entry | None:
    seq, wall, code, words, workload, instance, details = row
    try:
        why = Why(Code(code), words)
        told = msgspec.json.decode(details) if details else {}
        return msgspec.convert(
            Entry(seq, wall, why, workload, instance, told), Entry, from_attributes=True
        )
    except (ValueError, TypeError) as error:  # written by a newer nodeorch
        log.warning("journal entry %s not read: %s", seq, error)
        return None


def _encode(value: object) -> str:
    try:
        return msgspec.json.encode(value).decode()
    except UnicodeEncodeError:
        return msgspec.json.encode(_clean(msgspec.to_builtins(value))).decode()


def _clean(value: Any) -> Any:
    """Without lone surrogates, which neither JSON nor SQLite takes."""
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    if isinstance(value, dict):
        return {_clean(key): _clean(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_clean(item) for item in value]
    if isinstance(value, Note):
        why = Why(value.why.code, _clean(value.why.words))
        return Note(why, _clean(value.workload), _clean(value.instance), _clean(value.details))
    return value
