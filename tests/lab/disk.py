"""A small real file system in a file: it can be full, read-only, or frozen."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class Disk:
    """ext4 on a loop device, mounted at ``mount``."""

    def __init__(self, file: Path, mount: Path, mib: int = 8) -> None:
        self._file = file
        self.mount = mount
        mount.mkdir(parents=True, exist_ok=True)
        with file.open("wb") as image:
            image.truncate(mib << 20)
        _run("mkfs.ext4", "-q", "-F", "-m0", str(file))
        _run("mount", "-o", "loop", str(file), str(mount))

    def fill(self) -> Path:
        """Until no byte fits; the file to delete for an end of it."""
        filler = self.mount / "filler"
        with filler.open("wb", buffering=0) as file:
            for size in (1 << 16, 4096, 1):
                try:
                    while True:
                        file.write(bytes(size))
                except OSError:
                    pass
        return filler

    def abort(self) -> None:
        """As after an error of the device: read-only, whoever has files open."""
        _run("mount", "-o", "remount,abort", str(self.mount))

    def mend(self) -> None:
        """Unmount, check, mount anew; nobody may have a file open."""
        _run("umount", str(self.mount))
        subprocess.run(["e2fsck", "-f", "-y", str(self._file)], capture_output=True)
        _run("mount", "-o", "loop", str(self._file), str(self.mount))

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Writes wait, as on a device that does not answer."""
        _run("fsfreeze", "-f", str(self.mount))
        try:
            yield
        finally:
            _run("fsfreeze", "-u", str(self.mount))

    def close(self) -> None:
        _run("umount", "-l", str(self.mount))


def _run(*words: str) -> None:
    done = subprocess.run(words, capture_output=True, text=True)
    if done.returncode != 0:
        raise AssertionError(f"{' '.join(words)}: {done.stderr}")
