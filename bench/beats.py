"""A sign of life that needs no engine: a container writes a byte into a named pipe as it starts.

The first process of a measured container is ``sh -c 'echo > /beats/NAME; exec sleep …'``, on
a bind mount, whoever started it. Its byte wakes us: nothing is polled, and both sides are
measured by the same means.
"""

from __future__ import annotations

import os
import select
import time
from pathlib import Path

TARGET = "/beats"
PATIENCE = 60.0


class Beats:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        folder.chmod(0o755)
        self._pipes: dict[str, int] = {}

    def command(self, name: str, then: str = "exec sleep 1000000") -> list[str]:
        """What the container has to run."""
        if name not in self._pipes:
            path = self.folder / name
            os.mkfifo(path)
            path.chmod(0o666)
            # Open for both: a writer never waits for us, and the pipe never ends.
            self._pipes[name] = os.open(path, os.O_RDWR | os.O_NONBLOCK)
        return ["sh", "-c", f"echo > {TARGET}/{name}; {then}"]

    def drain(self, name: str) -> int:
        """Forget what was written so far; how many bytes that was."""
        try:
            return len(os.read(self._pipes[name], 65536))
        except BlockingIOError:
            return 0

    def wait(self, name: str) -> float:
        """The moment of the next beat, monotonic."""
        return self.wait_all([name])

    def wait_all(self, names: list[str], each: int = 1) -> float:
        """The moment when all have beaten ``each`` times."""
        missing = {self._pipes[name]: each for name in names}
        end = time.monotonic() + PATIENCE
        while missing:
            ready, _, _ = select.select(list(missing), [], [], max(0, end - time.monotonic()))
            now = time.monotonic()
            if not ready:
                raise AssertionError(f"{len(missing)} of {len(names)} did not start")
            for pipe in ready:
                missing[pipe] -= len(os.read(pipe, 65536))
                if missing[pipe] <= 0:
                    del missing[pipe]
        return now

    def close(self) -> None:
        for pipe in self._pipes.values():
            os.close(pipe)
