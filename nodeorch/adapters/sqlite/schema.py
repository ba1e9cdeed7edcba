"""Opening the database: its file, its schema, and what to do when it is broken."""

from __future__ import annotations

import errno
import logging
import os
import sqlite3
from contextlib import closing
from pathlib import Path

from nodeorch.ports import StoreError

log = logging.getLogger(__name__)

MIGRATIONS: tuple[tuple[str, ...], ...] = (
    (
        "CREATE TABLE desired (name TEXT PRIMARY KEY, data TEXT NOT NULL) WITHOUT ROWID",
        "CREATE TABLE instances (name TEXT PRIMARY KEY, data TEXT NOT NULL) WITHOUT ROWID",
        "CREATE TABLE versions (workload TEXT, generation INTEGER, wall REAL NOT NULL,"
        " data TEXT NOT NULL, PRIMARY KEY (workload, generation)) WITHOUT ROWID",
        "CREATE TABLE meta (key TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID",
        "CREATE TABLE events (seq INTEGER PRIMARY KEY AUTOINCREMENT, wall REAL NOT NULL,"
        " code TEXT NOT NULL, words TEXT NOT NULL, workload TEXT NOT NULL,"
        " instance TEXT NOT NULL, details TEXT)",
    ),
    ("CREATE TABLE changes (id INTEGER PRIMARY KEY, data TEXT NOT NULL)",),
    (
        "CREATE TABLE fleet (name TEXT PRIMARY KEY, data TEXT NOT NULL) WITHOUT ROWID",
        "CREATE TABLE views (host TEXT PRIMARY KEY, data TEXT NOT NULL)",
    ),
)
"""Step N takes the schema from N to N+1. Steps are only ever added."""

# Selecting the columns tells a stranger's database (or one half destroyed) from ours.
_COLUMNS = (
    "SELECT name, data FROM desired LIMIT 0",
    "SELECT name, data FROM instances LIMIT 0",
    "SELECT workload, generation, wall, data FROM versions LIMIT 0",
    "SELECT key, value FROM meta LIMIT 0",
    "SELECT seq, wall, code, words, workload, instance, details FROM events LIMIT 0",
    "SELECT id, data FROM changes LIMIT 0",
    "SELECT name, data FROM fleet LIMIT 0",
    "SELECT host, data FROM views LIMIT 0",
)

_SETTINGS = (
    # No shared-memory file: nothing to be broken, nor to fault when the disk is full, and a
    # second daemon on the same file is refused.
    "PRAGMA locking_mode=EXCLUSIVE",
    "PRAGMA journal_mode=WAL",
    "PRAGMA synchronous=FULL",
    "PRAGMA wal_autocheckpoint=500",
    "PRAGMA journal_size_limit=1048576",
    "PRAGMA cache_size=-512",
    "PRAGMA temp_store=MEMORY",
)

_KEEP_ASIDE = 3
_BUSY_SECONDS = 5.0


class SchemaTooNew(Exception):
    """The database was written by a newer nodeorch; the daemon exits with 78."""


class _Corrupt(Exception):
    pass


def open_database(path: Path, wall: float) -> tuple[sqlite3.Connection, bool]:
    """The connection, and whether what it held was lost and has to be rebuilt.

    A broken database is set aside as ``NAME.corrupt-WALL`` and a fresh one made. Raises
    SchemaTooNew; ports.StoreError when the file cannot be used and is not broken (disk
    full, read-only, held by another daemon).
    """
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            db = _connect(path, wall, lost=False)
        except _Corrupt as why:
            _set_aside(path, int(wall), str(why))
            db = _connect(path, wall, lost=True)
    except sqlite3.Error as error:
        raise StoreError(f"cannot open the database {path}: {in_words(error, path)}") from error
    except OSError as error:
        raise StoreError(
            f"cannot open the database {path}: {error.strerror};"
            " make its directory writable for the daemon, or free space"
        ) from error
    except _Corrupt as why:
        raise StoreError(f"cannot make a new database {path}: {why}; look at the disk") from why
    row = db.execute("SELECT value FROM meta WHERE key = 'rebuilding'").fetchone()
    return db, bool(row and row[0])


def in_words(error: sqlite3.Error, path: Path) -> str:
    """Why SQLite failed and what to do, for a person."""
    name = getattr(error, "sqlite_errorname", "") or ""
    where = path.parent
    if name == "SQLITE_FULL" or (name.startswith("SQLITE_IOERR") and _full(where)):
        return f"the disk is full; free space under {where}"
    if name.startswith(("SQLITE_IOERR", "SQLITE_CANTOPEN", "SQLITE_READONLY")) and _sealed(where):
        return f"the disk is read-only; see `dmesg` for why, then remount {where} writable"
    if name.startswith("SQLITE_READONLY"):
        return f"it is read-only; make {where} writable for the daemon"
    if name.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
        return "another process holds it; stop the other daemon, or give this one its own state"
    if _is_corruption(error):
        return "it is damaged; restart the daemon, which sets it aside and rebuilds it"
    return f"{error} ({name}); look at the disk under {where}"


def _sealed(directory: Path) -> bool:
    """Whether its file system takes no file. Tried, for after an error of the device the kernel
    may refuse writes and show the mount as writable."""
    probe = directory / ".writable"
    try:
        os.close(os.open(probe, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600))
        probe.unlink()
    except OSError as error:
        return error.errno == errno.EROFS
    return False


def _full(directory: Path) -> bool:
    try:
        return os.statvfs(directory).f_bavail == 0
    except OSError:
        return False


def _is_corruption(error: sqlite3.Error) -> bool:
    code = getattr(error, "sqlite_errorcode", 0) or 0
    return code & 0xFF in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


def _connect(path: Path, wall: float, *, lost: bool) -> sqlite3.Connection:
    """Open, verify, migrate; ``lost``: what it held before is known to be lost."""
    marker = path.with_name("initialized")
    _check_wal(path)
    # SQLite gives its other files the mode of this one.
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        os.fchmod(fd, 0o600)
    finally:
        os.close(fd)
    db = sqlite3.connect(path, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False)
    try:
        for setting in _SETTINGS:
            db.execute(setting)
        fresh = _verify(db)
        _migrate(db, path, int(wall) if lost or (fresh and marker.exists()) else None)
        _verify_columns(db)
        marker.touch(mode=0o600)
    except sqlite3.Error as error:
        db.close()
        if _is_corruption(error):
            raise _Corrupt(str(error)) from error
        raise
    except BaseException:
        db.close()
        raise
    return db


def _check_wal(path: Path) -> None:
    """A log whose header is garbage would be taken for an empty one, without a word.

    Damage further on cannot be told from a power cut: what was committed after it is lost,
    and what stays is whole. https://www.sqlite.org/fileformat2.html#the_write_ahead_log
    """
    try:
        with open(path.with_name(path.name + "-wal"), "rb") as file:
            header = file.read(32)
    except FileNotFoundError:
        return
    if len(header) < 32 or not any(header):
        return
    magic = int.from_bytes(header[:4], "big")
    order = "big" if magic & 1 else "little"
    first = second = 0
    for at in range(0, 24, 8):
        words = (int.from_bytes(header[i : i + 4], order) for i in (at, at + 4))  # type: ignore[arg-type]
        first = (first + next(words) + second) & 0xFFFFFFFF
        second = (second + next(words) + first) & 0xFFFFFFFF
    sums = (int.from_bytes(header[24:28], "big"), int.from_bytes(header[28:], "big"))
    if magic & ~1 != 0x377F0682 or sums != (first, second):
        raise _Corrupt("the header of its write-ahead log is garbage")


def _verify(db: sqlite3.Connection) -> bool:
    """True: an empty database."""
    problems = [str(row[0]) for row in db.execute("PRAGMA quick_check(1)")]
    if problems != ["ok"]:
        raise _Corrupt(problems[0])
    if db.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]:
        return False
    return _version(db) == 0


def _version(db: sqlite3.Connection) -> int:
    return int(db.execute("PRAGMA user_version").fetchone()[0])


def _verify_columns(db: sqlite3.Connection) -> None:
    for select in _COLUMNS:
        try:
            db.execute(select)
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode == sqlite3.SQLITE_ERROR:
                raise _Corrupt(str(error)) from error
            raise


def _migrate(db: sqlite3.Connection, path: Path, lost_at: int | None) -> None:
    """To the newest schema, in one transaction, which also holds that something was lost."""
    found = _version(db)
    if found > len(MIGRATIONS):
        raise SchemaTooNew(
            f"cannot use the database {path}: its schema is version {found} and this nodeorch"
            f" knows {len(MIGRATIONS)}; install the newer nodeorch again, or put back the backup"
            f" {path.name}.bak-v{len(MIGRATIONS)}"
        )
    if found < 0:
        raise _Corrupt(f"its schema version is {found}")
    if 0 < found < len(MIGRATIONS):
        _back_up(db, path.with_name(f"{path.name}.bak-v{found}"))
    if found == len(MIGRATIONS):
        return
    db.execute("BEGIN IMMEDIATE")
    try:
        for step in MIGRATIONS[found:]:
            for statement in step:
                db.execute(statement)
        if lost_at is not None:
            _note_loss(db, lost_at)
        db.execute(f"PRAGMA user_version={len(MIGRATIONS)}")
        db.execute("COMMIT")
    except BaseException:
        roll_back(db)
        raise


def roll_back(db: sqlite3.Connection) -> None:
    """End a transaction, if SQLite has not done so itself after an error."""
    if db.in_transaction:
        db.execute("ROLLBACK")


def _back_up(db: sqlite3.Connection, target: Path) -> None:
    aside = target.with_name(target.name + ".new")
    aside.unlink(missing_ok=True)
    fd = os.open(aside, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with closing(sqlite3.connect(aside)) as copy:
            db.backup(copy)
        os.fsync(fd)
    finally:
        os.close(fd)
    os.replace(aside, target)


def _set_aside(path: Path, wall: int, why: str) -> None:
    """Rename the database and its log together; keep the last few such."""
    target = path.with_name(f"{path.name}.corrupt-{wall}")
    for suffix in ("", "-wal", "-shm"):
        source = path.with_name(path.name + suffix)
        if source.exists():
            os.replace(source, target.with_name(target.name + suffix))
    log.error("database set aside as %s: %s", target, why)
    kept = sorted(path.parent.glob(f"{path.name}.corrupt-*[0-9]"), key=lambda p: p.stat().st_mtime)
    for old in kept[:-_KEEP_ASIDE]:
        for suffix in ("", "-wal", "-shm"):
            old.with_name(old.name + suffix).unlink(missing_ok=True)


def _note_loss(db: sqlite3.Connection, wall: int) -> None:
    """Remembered until instances are recorded again: a second crash before that must not hide it.

    The journal goes on from a number above all earlier ones, for clients that resume by it.
    """
    db.execute("INSERT INTO meta VALUES ('rebuilding', 1)")
    db.execute("INSERT INTO sqlite_sequence (name, seq) VALUES ('events', ?)", (wall,))
