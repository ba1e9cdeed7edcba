"""Reading files that somebody else put there, without being held up or fed to death by them."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Sequence

from nodeorch.spec.mounts import GUARDED, allowed_mount, refused_mount

_KINDS = {
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFDIR: "a folder",
}
ELSEWHERE = "share a folder of its own, such as /srv/NAME"


class Unreadable(OSError):
    """``str()`` is a sentence: "cannot read X: why; what to do"; ``why`` is its middle."""

    def __init__(self, path: str, why: str, fix: str) -> None:
        super().__init__(f"cannot read {path}: {why}; {fix}")
        self.path = path
        self.why = why
        self.fix = fix


def read_regular(
    path: str | os.PathLike[str], limit: int, refused: Callable[[str], str | None] | None = None
) -> bytes:
    """The bytes of a regular file (a symlink to one is followed), at most ``limit`` of them.

    Never blocks on a pipe, and never opens a device or a socket. ``refused`` is asked where the
    file that was opened lies, and answers as refused_place(). Raises Unreadable.
    """
    name = os.fspath(path)
    try:
        # Asked before the opening too: to open a device can already be an act.
        _regular(name, os.stat(name), limit)
        handle = os.open(name, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
        with open(handle, "rb", buffering=0) as file:
            _regular(name, os.fstat(handle), limit)
            if refused and (why := refused(os.readlink(f"/proc/self/fd/{handle}"))):
                raise Unreadable(name, f"it {why}", ELSEWHERE)
            content = _read(file.fileno(), limit + 1)
    except Unreadable:
        raise
    except (OSError, ValueError) as error:
        raise _explained(name, error) from error
    if len(content) > limit:
        raise _too_large(name, len(content), limit)
    return content


def refused_place(path: str, allowed: Sequence[str], guarded: Sequence[str]) -> str | None:
    """Why a path of the host is not for workloads, in words that follow "it"; None: it is.

    A spec's path was judged as text when it was read; here it is judged as what it leads to
    now: somebody may have put a symlink there, a workload among them.
    """
    real = os.path.realpath(path)
    leads = "" if real == path else f"leads to {real}, which "
    kept = [*guarded, *map(os.path.realpath, (*GUARDED, *guarded))]
    why = refused_mount(real, kept)
    if why is not None:
        return leads + why
    if not allowed_mount(real, [*allowed, *map(os.path.realpath, allowed)]):
        return f"{leads}is outside the folders that workloads may mount from"
    return None


def read_source(path: str, limit: int, allowed: Sequence[str], guarded: Sequence[str]) -> bytes:
    """A file of the host that a workload is given. Raises OSError.

    Its place is judged before the opening and after it: who may write to the folder can put a
    symlink there in between.
    """

    def refused(place: str) -> str | None:
        return refused_place(place, allowed, guarded)

    if why := refused(path):
        raise Unreadable(path, f"it {why}", ELSEWHERE)
    return read_regular(path, limit, refused)


def read_env(path: str, limit: int, allowed: Sequence[str], guarded: Sequence[str]) -> str:
    """An env file of a workload. Raises OSError, ValueError."""
    return read_source(path, limit, allowed, guarded).decode()


def _read(handle: int, limit: int) -> bytes:
    parts: list[bytes] = []
    while limit > 0 and (part := os.read(handle, min(limit, 1 << 20))):
        parts.append(part)
        limit -= len(part)
    return b"".join(parts)


def _regular(name: str, seen: os.stat_result, limit: int) -> None:
    if not stat.S_ISREG(seen.st_mode):
        kind = _KINDS.get(stat.S_IFMT(seen.st_mode), "not a regular file")
        raise Unreadable(name, f"it is {kind}", "put a regular file there")
    if seen.st_size > limit:
        raise _too_large(name, seen.st_size, limit)


def _too_large(name: str, size: int, limit: int) -> Unreadable:
    return Unreadable(name, f"it is larger than {limit} bytes ({size})", "is this the right file?")


def _explained(name: str, error: OSError | ValueError) -> Unreadable:
    if isinstance(error, ValueError):
        return Unreadable(repr(name), "the name has a NUL character", "remove it")
    why = (error.strerror or str(error)).lower()
    if isinstance(error, FileNotFoundError):
        broken = os.path.islink(name)
        why = "it is a symlink to nothing" if broken else "there is no such file"
        return Unreadable(name, why, "repair the symlink" if broken else "check the name")
    if isinstance(error, PermissionError):
        return Unreadable(name, "permission denied", "check its owner and mode")
    if "symbolic links" in why:
        return Unreadable(name, "its symlinks run in a circle", "repair the symlink")
    return Unreadable(name, why, "check the file and its disk")
