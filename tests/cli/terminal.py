"""A program on a terminal of its own, as a person at a keyboard has it."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
PATIENCE = 20.0


class Terminal:
    def __init__(self, *arguments: str, socket: Path, shell: bool = False) -> None:
        """``nodeorch ARGUMENTS``; or a shell with job control, in which $NODEORCH is to be run."""
        self.master, self._slave = pty.openpty()
        self.resize(80, 24)
        self.before = self.settings()
        self.output = b""
        nodeorch = [sys.executable, "-m", "nodeorch.cli.main", *arguments]
        self.process = subprocess.Popen(
            ["bash", "--norc", "--noprofile", "-i"] if shell else nodeorch,
            stdin=self._slave,
            stdout=self._slave,
            stderr=self._slave,
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
            env={
                **os.environ,
                "PYTHONPATH": str(ROOT),
                "NODEORCH_SOCKET": str(socket),
                "NODEORCH": " ".join(nodeorch),
                "TERM": "xterm",
                "PS1": "",
            },
        )

    def settings(self) -> list[Any]:
        return termios.tcgetattr(self._slave)

    def resize(self, columns: int, lines: int) -> None:
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))

    def type(self, keys: str) -> None:
        os.write(self.master, keys.encode())

    def read(self, until: str) -> str:
        """What came after the last call, up to and including ``until``."""
        end = time.monotonic() + PATIENCE
        wanted = until.encode()
        while wanted not in self.output:
            assert self._more(end), f"no {until!r} in {self.output[-2000:]!r}"
        at = self.output.index(wanted) + len(wanted)
        said, self.output = self.output[:at], self.output[at:]
        return said.decode()

    def ends(self) -> tuple[int, str]:
        """Its exit code, and what it said at last."""
        end = time.monotonic() + PATIENCE
        while self.process.poll() is None:
            self._more(min(end, time.monotonic() + 0.05))
            assert time.monotonic() < end, f"it does not end: {self.output[-2000:]!r}"
        while self._more(time.monotonic() + 0.05):
            pass
        return self.process.returncode, self.output.decode()

    def _more(self, end: float) -> bool:
        ready, _, _ = select.select([self.master], [], [], max(0.0, end - time.monotonic()))
        if ready:
            self.output += os.read(self.master, 65536)
        return bool(ready)

    def close(self) -> None:
        if self.process.poll() is None:
            os.kill(self.process.pid, signal.SIGKILL)
        self.process.wait()
        os.close(self.master)
        os.close(self._slave)
