"""The workloads directory, edited so that a crash leaves the old file or the new one.

A new file is written and synced beside its place under a hidden name, which the loader
ignores, then renamed over it. The old one stays under a hidden name until the daemon has
accepted the change, so that it can be put back. Blocking: run it in a thread.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping
from pathlib import Path

MODE = 0o644


class Edit:
    """One change of several files: ``write`` or ``remove``, then ``keep`` or ``undo``."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._replaced: list[str] = []

    def write(self, files: Mapping[str, bytes]) -> None:
        """All or nothing. Raises OSError, with the old files in place."""
        try:
            for name, data in files.items():
                self._prepare(name, data)
            for name in files:
                self._save_old(name)
                os.replace(self._new(name), self._directory / name)
                self._replaced.append(name)
            self._sync()
        except OSError:
            for name in files:
                self._new(name).unlink(missing_ok=True)
                if name not in self._replaced:
                    self._old(name).unlink(missing_ok=True)
            self.undo()
            raise

    def remove(self, name: str) -> bool:
        """Whether there was such a file. Raises OSError."""
        try:
            os.replace(self._directory / name, self._old(name))
        except FileNotFoundError:
            return False
        self._replaced.append(name)
        self._sync()
        return True

    def keep(self) -> None:
        for name in self._replaced:
            with contextlib.suppress(OSError):
                self._old(name).unlink(missing_ok=True)

    def undo(self) -> None:
        """Put the old files back; what cannot be put back is left as it is."""
        for name in self._replaced:
            with contextlib.suppress(OSError):
                try:
                    os.replace(self._old(name), self._directory / name)
                except FileNotFoundError:
                    (self._directory / name).unlink(missing_ok=True)
        self._replaced.clear()
        with contextlib.suppress(OSError):
            self._sync()

    def _prepare(self, name: str, data: bytes) -> None:
        path = self._new(name)
        path.unlink(missing_ok=True)
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, MODE)
        with open(fd, "wb") as file:
            os.fchmod(fd, MODE)
            file.write(data)
            file.flush()
            os.fsync(fd)

    def _save_old(self, name: str) -> None:
        """A second name for the old file: there is no moment without one in place."""
        self._old(name).unlink(missing_ok=True)
        with contextlib.suppress(FileNotFoundError):
            os.link(self._directory / name, self._old(name), follow_symlinks=False)

    def _sync(self) -> None:
        fd = os.open(self._directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)

    def _new(self, name: str) -> Path:
        return self._directory / f".{name}.nodeorch-new"

    def _old(self, name: str) -> Path:
        return self._directory / f".{name}.nodeorch-old"
