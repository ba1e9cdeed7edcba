"""Contents of config files that workloads of other hosts need, should they come to run here.

They lie as the shelf's do (WORKLOAD/DIGEST), in a folder of their own: what is tidied there is not
tidied here. A content is what its digest says, or it is not there.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from hashlib import sha256
from os import PathLike
from pathlib import Path
from typing import Protocol

from nodeorch.model.fleet import Declared
from nodeorch.model.quantities import NAME_PATTERN

LIMIT = 1 << 20
"""Bytes of a file; the shelf's."""
DIGEST = re.compile(r"[0-9a-f]{64}")
NAME = re.compile(NAME_PATTERN)

Read = Callable[[str | PathLike[str], int], bytes]


class Shelf(Protocol):
    """What it needs of ports.Shelf: durable files of mode 0600 below ``root``."""

    def keep(self, workload: str, digest: str, content: bytes) -> None: ...

    def workloads(self) -> list[str]: ...

    def tidy(self, workload: str, kept: Iterable[str], laid: Iterable[str]) -> None: ...


class FileMirror:
    """fleetports.Mirror below ``root``, which ``shelf`` writes. Several threads may ask at once.

    ``own`` is the folder of the own workloads' shelf: peers read from it too, nothing is written.
    ``read`` is files.read_regular.
    """

    def __init__(self, root: Path, shelf: Shelf, own: Path, read: Read) -> None:
        self._root = root
        self._shelf = shelf
        self._own = own
        self._read = read

    def missing(self, declared: Declared) -> list[str]:
        name = declared.workload.name
        digests = dict.fromkeys(file.digest for file in declared.workload.files if file.digest)
        return [digest for digest in digests if self._find((self._root,), name, digest) is None]

    def keep(self, workload: str, digest: str, content: bytes) -> None:
        """Durably, before it returns. Raises ValueError where it is not what the digest says."""
        _check(workload, digest)
        if len(content) > LIMIT:
            raise ValueError(f"cannot keep a file of {workload}: it is larger than {LIMIT} bytes")
        if sha256(content).hexdigest() != digest:
            raise ValueError(f"cannot keep a file of {workload}: it is not what was declared")
        self._root.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._shelf.keep(workload, digest, content)

    def read(self, workload: str, digest: str) -> bytes:
        content = self._find((self._root, self._own), workload, digest)
        if content is None:
            raise FileNotFoundError(f"cannot read a file of {workload}: {digest} is not here")
        return content

    def tidy(self, kept: Mapping[str, Iterable[str]]) -> None:
        """Remove all but these digests of these workloads."""
        for workload in self._shelf.workloads():
            self._shelf.tidy(workload, kept.get(workload, ()), ())

    def _find(self, folders: Iterable[Path], workload: str, digest: str) -> bytes | None:
        """The content, if it is in one of them and still what it was."""
        try:
            _check(workload, digest)
        except ValueError:
            return None
        for folder in folders:
            try:
                content = self._read(folder / workload / digest, LIMIT)
            except OSError:
                continue
            if sha256(content).hexdigest() == digest:
                return content
        return None


def _check(workload: str, digest: str) -> None:
    """Both become parts of a path."""
    if not NAME.fullmatch(workload) or not DIGEST.fullmatch(digest):
        raise ValueError(f"cannot keep a file of {workload!r}: no such name or digest can be")
