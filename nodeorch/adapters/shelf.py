"""Config files of workloads on the disk: kept by their content, laid out to be mounted.

    WORKLOAD/DIGEST         what a generation needs, written before the generation is accepted
    WORKLOAD/DIGEST.MODE    the copy that containers see, made anew when it is not as it shall be

The container mounts a copy, so that nothing it can reach is what the next one is made from.
"""

from __future__ import annotations

import hashlib
import os
import stat
import threading
from collections.abc import Callable, Iterable
from pathlib import Path

LIMIT = 1 << 20
"""Bytes of a file."""

Read = Callable[[str | os.PathLike[str], int], bytes]


class FileShelf:
    """ports.Shelf below one folder, which only the daemon may enter.

    ``read`` is files.read_regular. Several threads may ask at once.
    """

    def __init__(self, root: Path, read: Read) -> None:
        self._root = root
        self._read = read
        self._lock = threading.Lock()

    def keep(self, workload: str, digest: str, content: bytes) -> None:
        folder = self._root / workload
        path = folder / digest
        with self._lock:
            if self._holds(path, digest, 0o600):
                return
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            _write(path, content, 0o600)
            _sync(folder)
            _sync(self._root)

    def lay(self, workload: str, digest: str, mode: int) -> str:
        folder = self._root / workload
        path, kept = folder / f"{digest}.{mode:04o}", folder / digest
        with self._lock:
            if not self._holds(path, digest, mode):
                if not self._holds(kept, digest, 0o600):
                    raise FileNotFoundError(f"what was kept in {kept} is lost or not the same")
                _write(path, self._read(kept, LIMIT), mode)
        return str(path)

    def workloads(self) -> list[str]:
        try:
            return os.listdir(self._root)
        except FileNotFoundError:
            return []

    def tidy(self, workload: str, kept: Iterable[str], laid: Iterable[str]) -> None:
        folder, kept, laid = self._root / workload, set(kept), set(laid)
        with self._lock:
            for name in os.listdir(folder):
                digest, dot, _ = name.partition(".")
                if digest not in (laid if dot else kept):
                    _clear(folder / name)
            if not kept:
                folder.rmdir()

    def _holds(self, path: Path, digest: str, mode: int) -> bool:
        """Whether it is a regular file of ours with that content and mode."""
        try:
            seen = path.lstat()
            if not stat.S_ISREG(seen.st_mode) or stat.S_IMODE(seen.st_mode) != mode:
                return False
            if seen.st_uid != os.geteuid() or seen.st_nlink != 1:
                return False
            return hashlib.sha256(self._read(path, LIMIT)).hexdigest() == digest
        except OSError:
            return False


def _clear(path: Path) -> None:
    """A file, or the empty folder that an engine makes of a mount whose source is not there."""
    if path.is_dir() and not path.is_symlink():
        path.rmdir()
    else:
        path.unlink(missing_ok=True)


def _write(path: Path, content: bytes, mode: int) -> None:
    """A new file beside its place, renamed over it: whoever has the old one mounted keeps it."""
    new = path.with_name(f"{path.name}.new")
    _clear(new)
    if path.is_dir():
        _clear(path)
    handle = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with open(handle, "wb") as file:
        file.write(content)
        file.flush()
        os.fchmod(handle, mode)
        os.fsync(handle)
    os.replace(new, path)


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
