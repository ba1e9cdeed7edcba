"""A terminal, or pipes, attached to a command that runs elsewhere."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import select
import signal
import termios
import tty
from collections.abc import Iterator
from typing import Any

from nodeorch.cli.render import clean
from nodeorch.client.duplex import Duplex
from nodeorch.client.unix import ClientError, DaemonUnreachable
from nodeorch.model import frames
from nodeorch.model.frames import Splitter, frame

PIECE = 32 * 1024
STDIN, STDOUT, STDERR = 0, 1, 2
ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)


class Interrupted(Exception):
    """A signal that ends us; the command is ended by the daemon when our connection is."""

    def __init__(self, number: int) -> None:
        self.code = 128 + number


def window() -> tuple[int, int]:
    """(rows, columns) of our terminal; zeros when there is none to ask."""
    for number in (STDOUT, STDIN, STDERR):
        with contextlib.suppress(OSError):
            found = os.get_terminal_size(number)
            return found.lines, found.columns
    return 0, 0


class Attached:
    """Between our streams and the session, until the command ends."""

    def __init__(self, session: Duplex, *, stdin: bool, tty: bool, say: bool) -> None:
        """``say`` which instance it is, also if there were no others to choose from."""
        self._session = session
        self._splitter = Splitter()
        self._stdin = stdin
        self._tty = tty
        self._credit = frames.CREDIT
        self._signals: list[int] = []
        self._asked = False
        """The command was told to end."""
        self._say = say

    def run(self) -> int:
        """The command's exit code. Raises Interrupted, ClientError, BrokenPipeError."""
        with self._listening() as wake, _raw(self._tty):
            if not self._stdin:
                self._session.send(frame(frames.INPUT_ENDS))
            while True:
                # Read before it is waited for: the first bytes came with the answer's header.
                code = self._hear()
                if code is not None:
                    return code
                self._wait(wake)

    def _wait(self, wake: int) -> None:
        reads: list[Any] = [self._session, wake]
        if self._stdin and self._credit > 0 and not self._session.pending:
            reads.append(STDIN)
        writes = [self._session] if self._session.pending else []
        ready, writable, _ = select.select(reads, writes, [])
        if wake in ready:
            os.read(wake, 4096)
            self._obey()
        if writable:
            self._session.flush()
        if STDIN in ready:
            self._type()

    def _type(self) -> None:
        try:
            data = os.read(STDIN, min(PIECE, self._credit))
        except OSError:  # the terminal is gone, or stdin never was open
            data = b""
        if data:
            self._credit -= len(data)
            self._session.send(frame(frames.INPUT, data))
        else:
            self._stdin = False
            self._session.send(frame(frames.INPUT_ENDS))

    def _hear(self) -> int | None:
        """Write what came; the exit code when it did."""
        data = self._session.receive()
        if data is None:
            raise DaemonUnreachable("cannot tell how it ended: the daemon ended the session")
        for kind, payload in self._splitter.feed(data):
            if kind == frames.STARTED:
                self._began(json.loads(payload))
            elif kind == frames.OUT:
                _write(STDOUT, payload)
            elif kind == frames.ERR:
                _write(STDERR, payload)
            elif kind == frames.TAKEN:
                self._credit += int(payload)
            elif kind == frames.CODE:
                return int(payload)
            elif kind == frames.FAILED:
                raise ClientError(f"cannot go on: {payload.decode(errors='replace')}")
        return None

    def _began(self, told: Any) -> None:
        several = told["running"] > 1
        if self._say or several:
            among = f", one of {told['running']}" if several else ""
            end = "\r\n" if self._tty else "\n"
            _write(STDERR, f"nodeorch: in {clean(told['instance'])}{among}{end}".encode())

    def _obey(self) -> None:
        """What signals came meanwhile."""
        while self._signals:
            number = self._signals.pop(0)
            if number == signal.SIGWINCH:
                self._session.send(frames.size(*window()))
            elif self._tty:
                raise Interrupted(number)
            else:
                name = signal.Signals(number).name.removeprefix("SIG")
                self._session.send(frame(frames.SIGNAL, name.encode()))

    def _caught(self, number: int, _: object) -> None:
        """With a terminal of its own the command has its ^C from there: what reaches us is meant
        for us. Without one it is passed on. The second does not wait for the first's effect."""
        if number != signal.SIGWINCH:
            if self._asked:
                raise Interrupted(number)
            self._asked = True
        self._signals.append(number)

    @contextlib.contextmanager
    def _listening(self) -> Iterator[int]:
        """Signals are ours; each also wakes the loop, through the descriptor."""
        read, write = os.pipe()
        for number in (read, write):
            fcntl.fcntl(number, fcntl.F_SETFL, os.O_NONBLOCK)
        numbers = (*ENDING, signal.SIGWINCH) if self._tty else ENDING
        before = {number: signal.signal(number, self._caught) for number in numbers}
        waker = signal.set_wakeup_fd(write, warn_on_full_buffer=False)
        try:
            yield read
        finally:
            signal.set_wakeup_fd(waker)
            for number, handler in before.items():
                signal.signal(number, handler)
            os.close(read)
            os.close(write)


@contextlib.contextmanager
def _raw(wanted: bool) -> Iterator[None]:
    """Every key goes to the command, and the terminal is as it was afterwards."""
    if not wanted:
        yield
        return
    before = termios.tcgetattr(STDIN)
    try:
        tty.setraw(STDIN)
        yield
    finally:
        termios.tcsetattr(STDIN, termios.TCSADRAIN, before)


def _write(number: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        try:
            view = view[os.write(number, view) :]
        except BlockingIOError:  # others have made our terminal or pipe so
            select.select([], [number], [])
        except BrokenPipeError:
            raise
        except OSError as error:
            raise ClientError(f"cannot write what it says: {error.strerror}") from error
