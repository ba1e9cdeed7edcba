"""A full screen on a terminal, in ANSI alone: curses would cost a terminfo database for less.

Whatever ends it (a key, ^C, an error, SIGTERM, ^Z for a while), the terminal is as it was.
"""

from __future__ import annotations

import os
import select
import signal
import sys
import termios
import tty
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from types import FrameType

ENTER = "\x1b[?1049h\x1b[?25l\x1b[?7l"
"""The other screen, no cursor, no wrapping at the right edge."""
LEAVE = "\x1b[?7h\x1b[?25h\x1b[?1049l"

ARROWS = {b"\x1b[A": "k", b"\x1b[B": "j", b"\x1bOA": "k", b"\x1bOB": "j"}
"""Sequences of keys → the letter that means the same."""


class Screen:
    """Use :func:`opened`."""

    def __init__(self) -> None:
        self._in, self._out = sys.stdin.fileno(), sys.stdout.fileno()
        self._before = termios.tcgetattr(self._in)
        self._ending = 0
        """The exit code, once a signal has asked for the end."""
        self._wakes, self._waker = os.pipe()
        for end in (self._wakes, self._waker):
            os.set_blocking(end, False)

    def size(self) -> tuple[int, int]:
        """(columns, lines)."""
        with suppress(OSError):
            found = os.get_terminal_size(self._out)
            if found.columns and found.lines:
                return found.columns, found.lines
        return 80, 24

    def show(self, lines: Sequence[str]) -> None:
        """In one write, over what is there: nothing flickers."""
        body = "\r\n".join(f"{line}\x1b[K" for line in lines)
        self._write(f"\x1b[H{body}\x1b[J")

    def key(self, timeout: float) -> str:
        """The next key; "" after so many seconds, or when the size has changed.

        Raises SystemExit when a signal has asked for the end, and what that raised was lost: an
        exception out of a destructor is ignored.
        """
        if self._ending:
            sys.exit(self._ending)
        ready, _, _ = select.select([self._in, self._wakes], [], [], max(timeout, 0.0))
        if self._wakes in ready:
            os.read(self._wakes, 512)
        if self._in not in ready:
            return ""
        typed = b"q"  # if the terminal has gone
        with suppress(OSError):
            typed = os.read(self._in, 64) or typed
        return ARROWS.get(typed[:3], typed[:1].decode("latin-1"))

    def enter(self) -> None:
        tty.setcbreak(self._in, termios.TCSADRAIN)
        self._write(ENTER)

    def leave(self) -> None:
        try:
            self._write(LEAVE)
        finally:
            termios.tcsetattr(self._in, termios.TCSADRAIN, self._before)

    def end(self, number: int, at: FrameType | None) -> None:
        self._ending = 128 + number
        sys.exit(self._ending)

    def close(self) -> None:
        os.close(self._wakes)
        os.close(self._waker)

    @property
    def waker(self) -> int:
        return self._waker

    def _write(self, text: str) -> None:
        data = text.encode(errors="backslashreplace")
        while data:
            data = data[os.write(self._out, data) :]


@contextmanager
def opened() -> Iterator[Screen]:
    """The terminal, until the end of the block. Input and output must be one."""
    screen = Screen()

    def suspend(number: int, at: FrameType | None) -> None:
        """^Z: the shell gets its terminal; the screen is back when the job is."""
        screen.leave()
        signal.signal(signal.SIGTSTP, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGTSTP)
        signal.signal(signal.SIGTSTP, suspend)
        screen.enter()

    handlers = {
        signal.SIGINT: screen.end,
        signal.SIGTERM: screen.end,
        signal.SIGHUP: screen.end,
        signal.SIGTSTP: suspend,
        signal.SIGWINCH: lambda number, at: None,  # it wakes key()
    }
    old_waker = signal.set_wakeup_fd(screen.waker, warn_on_full_buffer=False)
    before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    try:
        screen.enter()
        yield screen
    finally:
        for number in before:
            signal.signal(number, signal.SIG_IGN)  # an impatient second ^C leaves no half
        signal.set_wakeup_fd(old_waker)
        try:
            screen.leave()
        finally:
            screen.close()
            for number, handler in before.items():
                signal.signal(number, handler)
