"""One try over the network: a socket driven by the loop's own callbacks.

No task, no future and no stream object per try: that is a third of the cost (bench/probes.py).
"""

from __future__ import annotations

import asyncio
import errno
import os
import socket
from collections.abc import Callable

from nodeorch.adapters.probes.http import authority
from nodeorch.adapters.probes.outcome import Outcome, errno_words, ours, printable, seconds
from nodeorch.adapters.probes.talk import Talk

_PIECES = 1000
"""Reads of one answer: one that drips byte by byte is cut off."""


class NetTry:
    """Connects, and with ``talk`` asks; calls ``done`` once, and ``closed`` when all is over.

    The outcome can be there before the end: the rest of an answer is still read then, so
    that the workload does not see its connection reset.
    """

    def __init__(
        self,
        address: str,
        port: int,
        talk: Talk | None,
        timeout: float,
        done: Callable[[Outcome], None],
        closed: Callable[[], None],
        whole: float | None = None,
    ) -> None:
        """``whole``: seconds of which ``timeout`` are left, for the words; default: all."""
        self._loop = asyncio.get_running_loop()
        self._address, self._port = address, port
        self._done, self._closed = done, closed
        self._within = timeout if whole is None else whole
        self._talk = talk
        self._told = False
        self._over = False
        self._pieces = 0
        self._socket: socket.socket | None = None
        self._what = talk.what if talk else f"tcp {authority(address, port)}"
        self._deadline = self._loop.call_later(timeout, self._expire)

    def start(self) -> None:
        """Calls back later, never from here."""
        try:
            family = socket.AF_INET6 if ":" in self._address else socket.AF_INET
            socket.inet_pton(family, self._address)  # a name would be looked up, and block
            self._socket = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
            code = self._socket.connect_ex((self._address, self._port))
        except OSError as error:
            code = error.errno or errno.EINVAL
        if code not in (0, errno.EINPROGRESS):
            self._loop.call_soon(self._fail, code)
            return
        assert self._socket is not None
        if not self._is_connected():
            self._loop.add_writer(self._socket.fileno(), self._connected)
        elif self._talk is not None:
            self._ask(self._talk.greeting)
        else:
            self._loop.call_soon(self._connected)

    def cancel(self) -> None:
        """No callbacks from here on."""
        self._told = self._over = True
        self._release()

    def _is_connected(self) -> bool:
        """On one host the handshake is mostly over at once: that saves waking up for it."""
        assert self._socket is not None
        try:
            self._socket.getpeername()
        except OSError:
            return False
        return True

    def _connected(self) -> None:
        if self._socket is None:  # cancelled meanwhile
            return
        code = self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if code:
            self._fail(code)
        elif self._talk is not None:
            self._loop.remove_writer(self._socket.fileno())
            self._ask(self._talk.greeting)
        else:
            self._tell(Outcome(True, "connected"))
            self._finish()

    def _ask(self, greeting: bytes) -> None:
        assert self._socket is not None
        if code := self._send(greeting):
            self._loop.call_soon(self._fail, code)
        else:
            self._loop.add_reader(self._socket.fileno(), self._readable)

    def _send(self, data: bytes) -> int:
        """What we say is short: a socket takes it whole. 0, or an errno."""
        assert self._socket is not None
        try:
            sent = self._socket.send(data)
        except (BrokenPipeError, ConnectionResetError):
            return 0  # it may have answered before it hung up: the next read tells
        except OSError as error:
            return error.errno or errno.EIO
        return 0 if sent == len(data) else errno.EMSGSIZE

    def _readable(self) -> None:
        assert self._socket is not None and self._talk is not None
        try:
            data = self._socket.recv(65536)
        except BlockingIOError:
            return
        except OSError as error:
            if error.errno == errno.ECONNRESET:
                # Some servers answer and slam the door: what was said before counts.
                data = b""
            else:
                return self._fail(error.errno or errno.EIO)
        self._pieces += 1
        if data:
            self._talk.feed(data)
        else:
            self._talk.end()
        if self._talk.outcome is not None:
            self._tell(self._talk.outcome)
        if self._talk.whole or not data:
            self._finish()
        elif (reply := self._talk.reply()) and (code := self._send(reply)):
            self._fail(code)
        elif self._pieces >= _PIECES:
            self._tell(Outcome(False, f"{self._what}: the answer drips in too small pieces"))
            self._finish()

    def _expire(self) -> None:
        words = f"no answer within {seconds(self._within)}"
        if self._talk is not None:
            self._talk.expire(words)
            assert self._talk.outcome is not None
            self._tell(self._talk.outcome)
        else:
            self._tell(Outcome(False, f"{self._what}: {words}", timed_out=True))
        self._finish()

    def _fail(self, code: int) -> None:
        if self._over:  # cancelled meanwhile
            return
        if ours(code):
            self._tell(Outcome(None, f"cannot probe: {os.strerror(code).lower()}"))
        else:
            timed_out = code == errno.ETIMEDOUT
            words = f"{printable(self._what)}: {errno_words(code)}"
            self._tell(Outcome(False, words, timed_out, code == errno.ECONNREFUSED))
        self._finish()

    def _tell(self, outcome: Outcome) -> None:
        if not self._told:
            self._told = True
            self._done(outcome)

    def _finish(self) -> None:
        if not self._over:
            self._over = True
            self._release()
            self._closed()

    def _release(self) -> None:
        self._deadline.cancel()
        if self._socket is not None:
            fd = self._socket.fileno()
            self._loop.remove_writer(fd)
            self._loop.remove_reader(fd)
            self._socket.close()
            self._socket = None
