"""The store: one thread that owns the connection, fed through a queue."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import threading
import time
from collections.abc import Callable
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any, TypeVar

from msgspec import Struct

from nodeorch.adapters.sqlite import rows, schema
from nodeorch.meters import WRITE_BOUNDS, CallMeter
from nodeorch.model.world import Version
from nodeorch.ports import Changes, Entry, Remembered, StoreError

T = TypeVar("T")


class _Job(Struct):
    """A call for the thread: either changes to save, or a function of the connection."""

    loop: asyncio.AbstractEventLoop
    future: asyncio.Future[Any]
    changes: Changes | None = None
    call: Callable[[], Any] | None = None

    def settle(self, result: Any, error: BaseException | None = None) -> None:
        """Hand the outcome to the loop that waits; a loop that is gone waits no more."""
        with contextlib.suppress(RuntimeError):
            self.loop.call_soon_threadsafe(self._set, result, error)

    def _set(self, result: Any, error: BaseException | None) -> None:
        if self.future.done():
            return
        if error is not None:
            self.future.set_exception(error)
        else:
            self.future.set_result(result)


class SqliteStore:
    """ports.Store in the file ``path``; the journal keeps the last ``keep`` entries.

    Saves that wait while the disk is busy are committed together, in the order of the
    calls (group commit). A failed save has written nothing, and later ones are tried anew.
    The thread is a daemon thread, so that a hung disk cannot hold up the exit.
    """

    def __init__(
        self, path: Path, keep: int = 10000, *, wall: Callable[[], float] = time.time
    ) -> None:
        self._path = path
        self._keep = keep
        self._wall = wall
        self._queue: SimpleQueue[_Job] = SimpleQueue()
        self._thread: threading.Thread | None = None
        self._opened = False
        self._db: sqlite3.Connection | None = None
        self._rebuilt = False
        self.calls = CallMeter(bounds=WRITE_BOUNDS)

    async def open(self) -> None:
        """Raises schema.SchemaTooNew, ports.StoreError; can be called again after the latter."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="sqlite", daemon=True)
            self._thread.start()
        await self._call(self._open)

    async def load(self) -> Remembered:
        return await self._call(lambda: rows.load(self._connection(), self._rebuilt))

    async def save(self, changes: Changes) -> tuple[Entry, ...]:
        """Commit durably; the journal's new entries come back numbered. Raises StoreError."""
        began, result = time.monotonic(), "failed"
        try:
            entries: tuple[Entry, ...] = await self._submit(changes, None)
            result = "ok"
            return entries
        finally:
            self.calls.add("save", result, time.monotonic() - began)

    def size(self) -> int:
        """Bytes of the database's files."""
        return sum(
            path.stat().st_size
            for suffix in ("", "-wal", "-shm")
            if (path := self._path.with_name(self._path.name + suffix)).exists()
        )

    async def entries(
        self,
        *,
        after: int = 0,
        workload: str | None = None,
        instance: str | None = None,
        last: int | None = None,
        first: int | None = None,
    ) -> tuple[Entry, ...]:
        return await self._call(
            lambda: rows.entries(self._connection(), after, workload, instance, last, first)
        )

    async def extent(
        self, *, after: int = 0, workload: str | None = None, last: int | None = None
    ) -> tuple[int, int]:
        return await self._call(lambda: rows.extent(self._connection(), after, workload, last))

    async def versions(self, workload: str) -> tuple[tuple[float, Version], ...]:
        return await self._call(lambda: rows.versions(self._connection(), workload))

    async def close(self) -> None:
        """Waits for what was handed over before; ends the thread."""
        if self._thread is not None:
            closing = self._submit(None, self._close)
            self._thread = None
            await closing

    async def _call(self, function: Callable[[], T]) -> T:
        result: T = await self._submit(None, function)
        return result

    def _submit(
        self, changes: Changes | None, call: Callable[[], Any] | None
    ) -> asyncio.Future[Any]:
        if self._thread is None:
            raise StoreError(f"cannot use the database {self._path}: it is closed; open it first")
        loop = asyncio.get_running_loop()
        job = _Job(loop, loop.create_future(), changes, call)
        self._queue.put(job)
        return job.future

    # From here on: in the thread.

    def _run(self) -> None:
        waiting: list[_Job] = []
        closed = False
        while not closed:
            job = self._queue.get()
            while True:
                if job.changes is not None:
                    waiting.append(job)
                else:
                    self._commit(waiting)
                    waiting = []
                    self._answer(job)
                    closed = job.call == self._close
                try:
                    job = self._queue.get_nowait()
                except Empty:
                    break
            self._commit(waiting)
            waiting = []

    def _answer(self, job: _Job) -> None:
        assert job.call is not None
        try:
            job.settle(job.call())
        except sqlite3.Error as error:
            words = schema.in_words(error, self._path)
            job.settle(None, StoreError(f"cannot read the database {self._path}: {words}"))
        except Exception as error:
            job.settle(None, error)

    def _open(self) -> None:
        if self._db is None:
            self._db, self._rebuilt = schema.open_database(self._path, self._wall())
            self._opened = True

    def _connection(self) -> sqlite3.Connection:
        if self._opened:
            self._open()
        if self._db is None:
            raise StoreError(f"cannot use the database {self._path}: it could not be opened")
        return self._db

    def _close(self) -> None:
        self._opened = False
        if self._db is not None:
            self._db.close()
            self._db = None

    def _commit(self, jobs: list[_Job]) -> None:
        if not jobs:
            return
        ready: list[tuple[_Job, rows.Prepared]] = []
        for job in jobs:
            assert job.changes is not None
            try:
                ready.append((job, rows.prepare(job.changes, self._wall())))
            except Exception as error:
                job.settle(None, StoreError(f"cannot store what is no data: {error}"))
        try:
            results = self._write([prepared for _, prepared in ready])
        except Exception as error:
            for job, _ in ready:
                job.settle(None, StoreError(str(error)))
            return
        for (job, _), entries in zip(ready, results, strict=True):
            job.settle(entries)

    def _write(self, batch: list[rows.Prepared]) -> list[tuple[Entry, ...]]:
        """One transaction for all."""
        db = self._connection()
        try:
            db.execute("BEGIN IMMEDIATE")
            results = [rows.write(db, prepared) for prepared in batch]
            last = max((entries[-1].seq for entries in results if entries), default=None)
            if last is not None:
                rows.trim(db, last, self._keep)
            db.execute("COMMIT")
        except Exception as error:
            self._forsake(db)
            words = str(error)
            if isinstance(error, sqlite3.Error):
                words = schema.in_words(error, self._path)
            raise StoreError(f"cannot write the database {self._path}: {words}") from error
        return results

    def _forsake(self, db: sqlite3.Connection) -> None:
        try:
            schema.roll_back(db)
        except sqlite3.Error:
            # Still inside the transaction: the next one needs a new connection.
            db.close()
            self._db = None
