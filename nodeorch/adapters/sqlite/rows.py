"""Structs to rows and back."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

import msgspec

from nodeorch.model.change import Change
from nodeorch.model.world import Code, DesiredRecord, InstanceRecord, Note, Version, Why
from nodeorch.ports import Changes, Entry, Remembered

log = logging.getLogger(__name__)

VERSIONS_KEPT = 20
"""Generations of one workload that ``history`` and ``rollback`` can reach."""

T = TypeVar("T")
Statement = tuple[str, tuple[Any, ...]]

_PUT = {
    "desired": "INSERT OR REPLACE INTO desired VALUES (?, ?)",
    "instances": "INSERT OR REPLACE INTO instances VALUES (?, ?)",
    "changes": "INSERT OR REPLACE INTO changes VALUES (?, ?)",
}
_DROP = {
    "desired": "DELETE FROM desired WHERE name = ?",
    "instances": "DELETE FROM instances WHERE name = ?",
    "changes": "DELETE FROM changes WHERE id = ?",
}


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
    return Remembered(desired, instances, serial, rebuilt, _changes(db), tuple(unreadable))


def _changes(db: sqlite3.Connection) -> dict[int, Change]:
    """One that cannot be read is left out: nothing that runs leans on it."""
    decoder = msgspec.json.Decoder(Change)
    found: dict[int, Change] = {}
    for number, data in db.execute("SELECT id, data FROM changes ORDER BY id"):
        try:
            found[number] = decoder.decode(data)
        except (msgspec.DecodeError, TypeError) as error:
            log.warning("change %s not read: %s", number, error)
    return found


def _records(
    db: sqlite3.Connection, table: str, kind: type[T], unreadable: list[str]
) -> dict[str, T]:
    decoder = msgspec.json.Decoder(kind)
    found: dict[str, T] = {}
    for name, data in db.execute(f"SELECT name, data FROM {table} ORDER BY name"):
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
