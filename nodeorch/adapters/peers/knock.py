"""Attempts to connect that ask a host's kernel whether it lives.

Each is a socket and a callback; a task for each would cost more than the rest of the daemon.

Accepted or refused, both are its answer; that the network cannot find it is none.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import socket
import struct
from collections.abc import Callable

PATIENCE = 1.0
"""Seconds of one attempt: then the kernel would send its SYN again, and a new one asks as well."""
ACCEPTED, REFUSED = "accepts connections", "refuses connections"
ACKNOWLEDGED = "acknowledges what is sent"
_UNDER_WAY = (errno.EINPROGRESS, errno.EWOULDBLOCK)
_LAST_ACK = struct.Struct("I")
_LAST_ACK_AT = 56
"""Where struct tcp_info (linux/tcp.h) has tcpi_last_ack_recv, milliseconds since the last ACK."""

Answered = Callable[[str], None]


class Knocks:
    """All attempts under way. Use it inside the running loop only."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._under_way: dict[socket.socket, float] = {}

    def knock(self, address: str, port: int, now: float, answered: Answered) -> None:
        """Begin one; ``answered`` is called with how, once, or never."""
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        try:
            sock = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        except OSError:
            return  # out of descriptors: that says nothing about the host
        try:
            code = sock.connect_ex((address, port))
        except (OSError, OverflowError):
            sock.close()
            return
        if code in _UNDER_WAY:
            self._under_way[sock] = now
            self._loop.add_writer(sock, self._ended, sock, answered)
            return
        sock.close()
        _tell(code, answered)

    def expire(self, now: float) -> None:
        """Give up those that had their time."""
        for sock, began in list(self._under_way.items()):
            if now - began >= PATIENCE:
                self._drop(sock)

    def close(self) -> None:
        for sock in list(self._under_way):
            self._drop(sock)

    def _ended(self, sock: socket.socket, answered: Answered) -> None:
        code = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        self._drop(sock)
        _tell(code, answered)

    def _drop(self, sock: socket.socket) -> None:
        del self._under_way[sock]
        self._loop.remove_writer(sock)
        sock.close()


def _tell(code: int, answered: Answered) -> None:
    how = {0: ACCEPTED, errno.ECONNREFUSED: REFUSED, errno.ECONNRESET: REFUSED}.get(code)
    if how:
        answered(how)


def last_ack(sock: socket.socket | None) -> float | None:
    """Seconds since the other kernel last acknowledged something; None: the connection is gone."""
    with contextlib.suppress(OSError, struct.error, AttributeError):
        if sock is not None and sock.fileno() >= 0:
            info = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _LAST_ACK_AT + 4)
            return float(_LAST_ACK.unpack_from(info, _LAST_ACK_AT)[0]) / 1000.0
    return None
