"""A crowd of bad peers, in a process of its own: `crowd.py SOCKET UID GID COUNT`.

Prints a line when all have connected and those that ask without reading cannot ask more, and
keeps at it until its stdin ends. One that is cut off comes back.
"""

from __future__ import annotations

import contextlib
import os
import select
import socket
import sys
from collections.abc import Callable

PAUSE = 0.1
"""Seconds between two bytes of those that trickle."""

STATUS = b"GET /v1/status HTTP/1.1\r\nHost: x\r\n\r\n"
HEADER = b"GET /v1/status HTTP/1.1\r\nHost: x\r\nX-Slow: "
BODY = b"POST /v1/apply HTTP/1.1\r\nHost: x\r\nContent-Length: 60000\r\n\r\n{"
FOLLOW = b"GET /v1/events?follow=1&after=1 HTTP/1.1\r\nHost: x\r\n\r\n"
WAIT = b"GET /v1/workloads/nobody/wait?timeout=600 HTTP/1.1\r\nHost: x\r\n\r\n"

Send = Callable[[socket.socket], None]


def first(words: bytes, *, half_open: bool = False) -> Send:
    def send(peer: socket.socket) -> None:
        peer.sendall(words)
        if half_open:
            peer.shutdown(socket.SHUT_WR)

    return send


def trickle(words: bytes) -> Send:
    def send(peer: socket.socket) -> None:
        with contextlib.suppress(BlockingIOError):
            peer.send(words)

    return send


STUFFED: set[int] = set()
"""Connections that take no more requests: their answers fill every buffer."""


def stuff(peer: socket.socket) -> None:
    if peer.fileno() not in STUFFED:
        try:
            for _ in range(20):
                peer.send(STATUS * 20)
        except BlockingIOError:
            STUFFED.add(peer.fileno())


def nothing(peer: socket.socket) -> None:
    pass


KINDS: tuple[tuple[Send, Send], ...] = (
    (nothing, nothing),  # silent
    (first(b"GET /v1/sta"), nothing),
    (first(HEADER), trickle(b"x")),  # a header that trickles
    (first(BODY), trickle(b" ")),  # a body that trickles
    (first(BODY), nothing),
    (first(STATUS, half_open=True), nothing),  # asks and hangs up half
    (first(HEADER, half_open=True), nothing),
    (first(FOLLOW), nothing),  # follows and never reads
    (first(WAIT), nothing),
    (first(STATUS), stuff),  # asks on and on and never reads
)


def connect(path: str) -> socket.socket:
    peer = socket.socket(socket.AF_UNIX)
    peer.settimeout(10.0)
    peer.connect(path)
    return peer


def main(path: str, uid: int, gid: int, count: int) -> None:
    os.setgroups([])
    os.setgid(gid)
    os.setuid(uid)
    peers: list[socket.socket | None] = [None] * count
    told = False
    while True:
        for number, (begin, go_on) in enumerate(KINDS[n % len(KINDS)] for n in range(count)):
            peer = peers[number]
            try:
                if peer is None:
                    peer = peers[number] = connect(path)
                    begin(peer)
                    peer.setblocking(False)
                else:
                    go_on(peer)
            except OSError:
                if peer is not None:
                    STUFFED.discard(peer.fileno())
                    peer.close()
                peers[number] = None
        if not told and len(STUFFED) >= count // len(KINDS):
            print("all have connected", flush=True)
            told = True
        if select.select([sys.stdin], [], [], PAUSE)[0]:
            return


if __name__ == "__main__":
    main(sys.argv[1], *map(int, sys.argv[2:]))
