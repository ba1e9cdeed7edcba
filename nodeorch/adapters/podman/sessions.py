"""What Podman knows of a command begun with exec, and the end of it.

Podman leaves a command running whose client has gone, and has no word to end it. So do we: a
signal to all processes of its session.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time

import msgspec

from nodeorch.adapters.podman import replies
from nodeorch.adapters.podman.client import Client
from nodeorch.ports import EngineError

SLACK = 2.0
"""Seconds that the engine may take to begin a command, and to tell its result."""
KILL = 3.0
"""Seconds in which a killed command must be gone."""
FIRST_PAUSE, LAST_PAUSE = 0.02, 0.5
"""Seconds between two kills of one command. Where it takes the container's own ``kill``, each is a
command more."""


async def state(client: Client, session: str) -> replies.ExecState:
    """What Podman says of a command that was begun with exec."""
    reply = await client.call("GET", f"exec/{session}/json", timeout=SLACK)
    return msgspec.json.decode(reply.body, type=replies.ExecState)


async def end(client: Client, session: str) -> replies.ExecState:
    """Podman may need a moment to note the end of a command whose output has ended."""
    latest = time.monotonic() + SLACK
    while True:
        seen = await state(client, session)
        if not seen.running or time.monotonic() > latest:
            return seen
        await asyncio.sleep(0.01)


async def kill(client: Client, session: str, container_id: str) -> bool:
    """All processes of it. False: it runs on, or the engine does not tell."""
    pause, leader = FIRST_PAUSE, 0
    try:
        async with asyncio.timeout(KILL):
            while (seen := await state(client, session)).running:
                if seen.pid > 0:
                    leader = seen.pid
                    await signal_all(client, container_id, leader, "KILL")
                await asyncio.sleep(pause)
                pause = min(pause * 2, LAST_PAUSE)
            if leader:  # what one of them began while we went from one to the next
                await asyncio.to_thread(_signal_session, leader, container_id, signal.SIGKILL)
    except (TimeoutError, EngineError):
        return False
    return True


async def signal_all(client: Client, container_id: str, leader: int, name: str) -> None:
    """To the session that process ``leader`` leads; ``name`` without SIG."""
    number = signal.Signals[f"SIG{name}"]
    if not await asyncio.to_thread(_signal_session, leader, container_id, number):
        await _signal_from_inside(client, container_id, leader, name)


def _signal_session(leader: int, container_id: str, number: signal.Signals) -> bool:
    """To all processes of the session that ``leader`` leads. False: one is not ours to signal.

    Podman makes each command the leader of a session; a shell's children are in it too."""
    allowed = True
    for pid in [int(name) for name in os.listdir("/proc") if name.isdigit()]:
        if _session(pid) != leader:
            continue
        try:
            handle = os.pidfd_open(pid)
        except OSError:
            continue
        try:  # looked at anew, now that the pid cannot become another process's
            if _session(pid) == leader and _is_inside(pid, container_id):
                signal.pidfd_send_signal(handle, number)
        except PermissionError:
            allowed = False
        except OSError:
            pass
        finally:
            os.close(handle)
    return allowed


def _session(pid: int) -> int:
    """The leader of its session; 0: it is gone. proc(5): the sixth field of stat."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            return int(file.read().rpartition(b")")[2].split()[3])
    except (OSError, IndexError):
        return 0


def _is_inside(pid: int, container_id: str) -> bool:
    with open(f"/proc/{pid}/cgroup", encoding="ascii", errors="replace") as file:
        return container_id in file.read()


async def _signal_from_inside(client: Client, container_id: str, pid: int, name: str) -> None:
    """The daemon runs without root's powers and cannot signal the processes of other users. The
    container's own ``kill`` can, where the image has one."""
    inner = _inner_pid(pid)
    if not inner:
        return
    with contextlib.suppress(EngineError):
        body = {"Cmd": ["kill", f"-{name}", "--", f"-{inner}"], "User": _user(pid)}
        path = f"containers/{container_id}/exec"
        reply = await client.call("POST", path, body=body, timeout=SLACK)
        session = msgspec.json.decode(reply.body, type=replies.Created).id
        await client.call("POST", f"exec/{session}/start", body={"Detach": True}, timeout=SLACK)


def _inner_pid(pid: int) -> int:
    """As the container itself sees it; 0: it is gone."""
    fields = _status(pid).get("NSpid", "").split()
    return int(fields[-1]) if len(fields) > 1 else 0


def _user(pid: int) -> str:
    """uid:gid. In a user namespace they are the host's; there root's own would be needed."""
    status = _status(pid)
    uid, gid = status.get("Uid", "0").split(), status.get("Gid", "0").split()
    return f"{uid[0]}:{gid[0]}"


def _status(pid: int) -> dict[str, str]:
    try:
        with open(f"/proc/{pid}/status", encoding="utf-8", errors="replace") as file:
            return {key: value for key, _, value in (line.partition(":") for line in file)}
    except OSError:
        return {}
