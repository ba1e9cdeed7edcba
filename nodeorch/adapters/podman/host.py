"""What this host allows: hard process limits, accounting of swap."""

from __future__ import annotations

import os
import resource
import socket
import struct

from nodeorch.adapters.podman.create import Host

SWAP_FILE = "/sys/fs/cgroup/memory/memory.memsw.limit_in_bytes"
CONNECT_TIMEOUT = 2.0
NUMBERS = {
    "core": resource.RLIMIT_CORE,
    "cpu": resource.RLIMIT_CPU,
    "data": resource.RLIMIT_DATA,
    "fsize": resource.RLIMIT_FSIZE,
    "memlock": resource.RLIMIT_MEMLOCK,
    "msgqueue": resource.RLIMIT_MSGQUEUE,
    "nice": resource.RLIMIT_NICE,
    "nofile": resource.RLIMIT_NOFILE,
    "nproc": resource.RLIMIT_NPROC,
    "rss": resource.RLIMIT_RSS,
    "rtprio": resource.RLIMIT_RTPRIO,
    "rttime": resource.RLIMIT_RTTIME,
    "sigpending": resource.RLIMIT_SIGPENDING,
    "stack": resource.RLIMIT_STACK,
}


def look(podman_socket: str, cgroup_version: str) -> Host:
    v2 = cgroup_version != "v1"
    return Host(cgroup_v2=v2, swap_known=v2 or os.path.exists(SWAP_FILE), hard=_hard(podman_socket))


def _hard(podman_socket: str) -> dict[str, int]:
    """The lowest of our own hard limits, the service's, and for nproc the kernel's pids.

    Podman's service lowers its own, and starts containers under what it has left.
    """
    service = _peer(podman_socket)
    known: dict[str, int] = {}
    for name, number in NUMBERS.items():
        values = [resource.getrlimit(number)[1]]
        if service > 1:  # 1: systemd holds the socket, and its limits are not the service's
            values.append(_hard_of(service, number))
        if finite := [value for value in values if value != resource.RLIM_INFINITY]:
            known[name] = min(finite)
    try:
        with open("/proc/sys/kernel/pid_max", encoding="ascii") as file:
            pids = int(file.read())
    except (OSError, ValueError):
        return known
    return known | {"nproc": min(known.get("nproc", pids), pids)}


def _hard_of(pid: int, number: int) -> int:
    try:
        return resource.prlimit(pid, number)[1]
    except OSError:
        return resource.RLIM_INFINITY


def _peer(podman_socket: str) -> int:
    """The pid that listens there; 0 when it cannot be told."""
    with socket.socket(socket.AF_UNIX) as peer:
        peer.settimeout(CONNECT_TIMEOUT)
        try:
            peer.connect(podman_socket)
            cred = peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
        except OSError:
            return 0
    pid: int = struct.unpack("3i", cred)[0]
    return pid
