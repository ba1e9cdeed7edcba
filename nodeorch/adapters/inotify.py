"""Tells when something in a directory changed; what changed is for the reader to find out."""

from __future__ import annotations

import asyncio
import ctypes
import logging
import os
import struct
from collections.abc import Callable
from pathlib import Path

log = logging.getLogger(__name__)

DEBOUNCE = 0.1
"""Seconds of quiet before the callback: an editor's save is several events."""
PATIENCE = 1.0
"""Seconds after which it is called even without a quiet moment."""
POLL = 2.0
"""Seconds between two looks at whether the directory is (still, again) the one we watch."""

# <sys/inotify.h>
_CREATED = 0x00000100
_WRITTEN = 0x00000008
_MOVED_FROM, _MOVED_TO, _MOVED_SELF = 0x00000040, 0x00000080, 0x00000800
_DELETED, _DELETED_SELF = 0x00000200, 0x00000400
_ATTRIBUTES = 0x00000004
_UNMOUNTED, _IGNORED = 0x00002000, 0x00008000
_ONLY_DIRECTORIES = 0x01000000
_WANTED = (
    _WRITTEN
    | _CREATED
    | _MOVED_FROM
    | _MOVED_TO
    | _MOVED_SELF
    | _DELETED
    | _DELETED_SELF
    | _ATTRIBUTES  # a file made readable
    | _ONLY_DIRECTORIES
)
_ENDS = _DELETED_SELF | _MOVED_SELF | _UNMOUNTED | _IGNORED
_EVENT = struct.Struct("iIII")

Identity = tuple[int, int]


class DirectoryWatch:
    """Calls ``changed`` some 100 ms after the last of a burst of changes in ``path``.

    The directory may be absent, vanish, be replaced or be mounted over: that is looked at
    every 2 s, and is a change. Where inotify is not to be had (limits of the host), names,
    sizes and times are compared every 2 s instead. Use it inside the running loop only.
    """

    def __init__(self, path: Path, changed: Callable[[], None]) -> None:
        self._path = path
        self._changed = changed
        self._loop = asyncio.get_running_loop()
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._fd = -1
        self._watched: Identity | None = None
        """The directory that inotify watches; None: there is nothing to watch, or no inotify."""
        self._seen: object = None
        self._quiet: asyncio.TimerHandle | None = None
        self._latest = 0.0
        self._warned = ""
        self._watch()
        self._seen = self._look()
        self._poll = self._loop.call_later(POLL, self._check)

    def close(self) -> None:
        self._poll.cancel()
        if self._quiet is not None:
            self._quiet.cancel()
        self._unwatch()

    def _watch(self) -> None:
        """Watch what is at the path now, if inotify lets us."""
        identity = self._identity()
        if identity is None:
            return
        fd = self._libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        if fd < 0:
            return self._warn("inotify_init1")
        if self._libc.inotify_add_watch(fd, os.fsencode(self._path), _WANTED) < 0:
            self._warn("inotify_add_watch")
            os.close(fd)
            return
        self._fd, self._watched, self._warned = fd, identity, ""
        self._loop.add_reader(fd, self._readable)

    def _unwatch(self) -> None:
        if self._fd >= 0:
            self._loop.remove_reader(self._fd)
            os.close(self._fd)
        self._fd, self._watched = -1, None

    def _warn(self, call: str) -> None:
        words = os.strerror(ctypes.get_errno())
        if words != self._warned:
            log.warning("%s: %s: %s; looking every %g s instead", self._path, call, words, POLL)
            self._warned = words

    def _readable(self) -> None:
        try:
            data = os.read(self._fd, 65536)
        except BlockingIOError:
            return
        at, masks = 0, 0
        while at < len(data):
            _, mask, _, length = _EVENT.unpack_from(data, at)
            masks |= mask
            at += _EVENT.size + length
        if masks & _ENDS:
            self._unwatch()
            self._watch()
            self._seen = self._look()
        self._call_soon()

    def _check(self) -> None:
        """Every 2 s: is it still there, is it still the same, and without inotify: its content."""
        self._poll = self._loop.call_later(POLL, self._check)
        if self._watched is None or self._identity() != self._watched:
            self._unwatch()
            self._watch()
            seen = self._look()
            if seen != self._seen:
                self._seen = seen
                self._call_soon()

    def _identity(self) -> Identity | None:
        try:
            found = os.stat(self._path)
        except OSError:
            return None
        return found.st_dev, found.st_ino

    def _look(self) -> object:
        """What tells a changed directory from an unchanged one, without reading its files."""
        try:
            with os.scandir(self._path) as entries:
                files = tuple(sorted(_fingerprint(entry) for entry in entries))
        except OSError as error:
            return error.errno
        return self._identity(), files

    def _call_soon(self) -> None:
        now = self._loop.time()
        if self._quiet is None:
            self._latest = now + PATIENCE
        else:
            self._quiet.cancel()
        self._quiet = self._loop.call_at(min(now + DEBOUNCE, self._latest), self._call)

    def _call(self) -> None:
        self._quiet = None
        self._changed()


def _fingerprint(entry: os.DirEntry[str]) -> tuple[str, int, int, int]:
    try:
        found = entry.stat()  # of what a link points to
    except OSError:
        return entry.name, 0, 0, 0
    return entry.name, found.st_ino, found.st_size, found.st_mtime_ns
