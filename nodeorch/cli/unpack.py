"""Unpack a tar that a stranger made: nothing of it lands outside of its folder.

tarfile's own filter would do, but Python 3.11.2 (Debian 12) does not have it; and this one looks
at the file system through descriptors, so that a link which is there already is not followed
either. What is not safe is left out and told: an absolute name or one with "..", a way through a
link, a link that leads out of the copy, a device, a pipe.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import tarfile
from collections.abc import Iterator
from typing import IO, Any

PIECE = 64 * 1024
FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


class Unsafe(Exception):
    """Why a member is left out."""


class Unpacker:
    def __init__(self, folder: str, name: str) -> None:
        """What the tar has at its top becomes ``name`` in ``folder``. Raises OSError."""
        self._folder = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        self._name = name
        self.count = 0
        self.left_out: list[str] = []

    def run(self, stream: Any) -> None:
        """Raises tarfile.TarError when it is no tar, and OSError when the disk is full."""
        try:
            with tarfile.open(fileobj=stream, mode="r|") as tar:
                for member in tar:
                    tar.members = []  # type: ignore[attr-defined]  # it keeps them all
                    self._one(tar, member)
        finally:
            os.close(self._folder)

    def _one(self, tar: tarfile.TarFile, member: tarfile.TarInfo) -> None:
        try:
            parts = self._parts(member.name)
            with self._parent(parts) as parent:
                self._put(tar, member, parts, parent)
            self.count += 1
        except Unsafe as error:
            self.left_out.append(f"{member.name}: {error}")
        except (FileExistsError, IsADirectoryError, NotADirectoryError) as error:
            self.left_out.append(f"{member.name}: {(error.strerror or '').lower()}")

    def _parts(self, name: str) -> list[str]:
        parts = [part for part in name.split("/") if part not in ("", ".")]
        if name.startswith("/") or ".." in parts or "\0" in name:
            raise Unsafe("its name leads out of the copy")
        return [self._name, *parts[1:]]

    @contextlib.contextmanager
    def _parent(self, parts: list[str]) -> Iterator[int]:
        """The folder it goes into, made if need be; no step of the way is a link."""
        at = os.dup(self._folder)
        try:
            for part in parts[:-1]:
                with contextlib.suppress(FileExistsError):
                    os.mkdir(part, 0o755, dir_fd=at)
                try:
                    below = os.open(part, FOLDER, dir_fd=at)
                except OSError as error:
                    raise Unsafe("the way to it is a link, or no folder") from error
                os.close(at)
                at = below
            yield at
        finally:
            os.close(at)

    def _put(
        self, tar: tarfile.TarFile, member: tarfile.TarInfo, parts: list[str], parent: int
    ) -> None:
        name = parts[-1]
        if member.isdir():
            with contextlib.suppress(FileExistsError):
                os.mkdir(name, member.mode & 0o755 | 0o700, dir_fd=parent)
            os.close(os.open(name, FOLDER, dir_fd=parent))
        elif member.issym():
            _check(member.linkname, depth=len(parts) - 2)
            _clear(name, parent)
            os.symlink(member.linkname, name, dir_fd=parent)
        elif member.islnk():
            self._link(self._parts(member.linkname), parts, parent)
        elif member.isreg():
            self._has_room(member.size)
            data = tar.extractfile(member)
            assert data is not None
            _write(data, member, name, parent)
        else:
            raise Unsafe("it is a device or a pipe")

    def _has_room(self, size: int) -> None:
        """Before the first byte of it: what cannot fit shall not fill the disk for others."""
        disk = os.fstatvfs(self._folder)
        if size > disk.f_bavail * disk.f_frsize:
            words = f"{os.strerror(errno.ENOSPC)} (a file of it has {size >> 20} MiB)"
            raise OSError(errno.ENOSPC, words)

    def _link(self, source: list[str], parts: list[str], parent: int) -> None:
        """A second name; of a symlink only where it leads out of the copy no more than there."""
        with self._parent(source) as folder:
            try:
                seen = os.stat(source[-1], dir_fd=folder, follow_symlinks=False)
            except FileNotFoundError:
                raise Unsafe("what it is another name of is not there") from None
            if stat.S_ISLNK(seen.st_mode):
                _check(os.readlink(source[-1], dir_fd=folder), depth=len(parts) - 2)
            if source != parts:
                _clear(parts[-1], parent)
                os.link(
                    source[-1], parts[-1],
                    src_dir_fd=folder, dst_dir_fd=parent, follow_symlinks=False,
                )  # fmt: skip


def _check(target: str, depth: int) -> None:
    """A link leads to what is below the top of the copy, ``depth`` folders above it. Every ".."
    comes first: after a name it might be one of another link's folder."""
    steps = [step for step in target.split("/") if step not in ("", ".")]
    up = 0
    while up < len(steps) and steps[up] == "..":
        up += 1
    if target.startswith("/") or up > depth or ".." in steps[up:]:
        raise Unsafe(f"it is a link that leads out of the copy, to {target}")


def _clear(name: str, parent: int) -> None:
    """What is there already is replaced, not written into: it may be a link, or have others."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(name, dir_fd=parent)


def _write(data: IO[bytes], member: tarfile.TarInfo, name: str, parent: int) -> None:
    _clear(name, parent)
    file = os.open(name, NEW, member.mode & 0o755 | 0o600, dir_fd=parent)
    with open(file, "wb", buffering=0) as out:
        while piece := data.read(PIECE):
            view = memoryview(piece)
            while view:
                view = view[out.write(view) :]
        os.utime(file, (member.mtime, member.mtime))
