"""Who the peer is, by the kernel's word, and what it may do."""

from __future__ import annotations

import asyncio
import os
import pwd
import socket
import struct
from collections.abc import Iterable
from enum import IntEnum
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from nodeorch.api.routes import Route

SO_PEERGROUPS = 59
"""Linux 4.13: the supplementary groups of the peer when it connected (socket(7))."""

MAX_GROUPS = 65536
"""NGROUPS_MAX of Linux."""


class Role(IntEnum):
    """What a peer may do; each may also do what is below it."""

    NONE = 0
    VIEWER = 1
    OPERATOR = 2
    ADMIN = 3


class Peer(NamedTuple):
    uid: int
    gid: int
    pid: int
    groups: frozenset[int]
    role: Role


class Denied(NamedTuple):
    words: str


def authorize(peer: Peer, route: Route) -> Denied | None:
    """The only place that says no to a peer."""
    if peer.role >= route.role:
        return None
    need = route.role.name.lower()
    if peer is NOBODY:
        return Denied(f"{need} is needed, and a port does not tell who asks; use the unix socket")
    return Denied(
        f"uid {peer.uid} is not permitted, {need} is needed; "
        "be root or a member of the socket's group"
    )


NOBODY = Peer(uid=-1, gid=-1, pid=0, groups=frozenset(), role=Role.NONE)
"""Who asks on a port: the kernel does not tell."""


def identify(sock: socket.socket, socket_gid: int) -> Peer:
    """The peer at its connect(); raises OSError when the socket is gone."""
    if sock.family != socket.AF_UNIX:
        return NOBODY
    size = struct.calcsize("3i")
    pid, uid, gid = struct.unpack(
        "3i", sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size)
    )
    groups = frozenset(_groups(sock))
    return Peer(uid, gid, pid, groups, role_of(uid, {gid, *groups}, socket_gid))


def role_of(uid: int, groups: Iterable[int], socket_gid: int) -> Role:
    """Root, the daemon's own user and the members of the socket's group may do everything."""
    if uid in (0, os.geteuid()) or socket_gid in groups:
        return Role.ADMIN
    return Role.NONE


async def describe(peer: Peer) -> str:
    """For the journal: "uid 1000 (ann), pid 4242"."""
    name = "root" if peer.uid == 0 else await asyncio.to_thread(_user_name, peer.uid)
    return f"uid {peer.uid}{f' ({name})' if name else ''}, pid {peer.pid}"


@lru_cache(maxsize=64)
def _user_name(uid: int) -> str:
    """In a thread: the name service may ask the network."""
    try:
        return pwd.getpwuid(uid).pw_name
    except (KeyError, OSError):
        return ""


def _groups(sock: socket.socket) -> tuple[int, ...]:
    for count in (256, MAX_GROUPS):
        try:
            raw = sock.getsockopt(socket.SOL_SOCKET, SO_PEERGROUPS, 4 * count)
        except OSError:
            continue  # ERANGE: more groups than that
        return struct.unpack(f"{len(raw) // 4}I", raw)
    return ()
