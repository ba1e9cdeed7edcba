"""What one uid may hold, and how long a slow peer may take."""

from __future__ import annotations

import asyncio
import json
import os
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from nodeorch.api.auth import NOBODY
from nodeorch.api.crowd import BODIES, STREAMS, Turns, share
from nodeorch.client.unix import ApiError, Client
from tests.api.harness import WEB, Harness
from tests.api.test_server import connect
from tests.lab.wait import wait_for

FOLLOW = b"GET /v1/events?follow=1&last=0 HTTP/1.1\r\nHost: x\r\n\r\n"
APPLY = b"POST /v1/apply HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n{"
VERSION = b"GET /v1/version HTTP/1.1\r\nHost: x\r\n\r\n"

root = pytest.mark.skipif(os.geteuid() != 0, reason="becomes another user")


def answer(raw: socket.socket) -> int:
    """The status that came."""
    return int(raw.recv(12)[9:])


def in_group(harness: Harness, act: Callable[[], object], uid: int = 65534) -> object:
    """What ``act`` gives in a process of another user, who may use the socket."""
    for folder in (harness.socket.parent, *harness.socket.parents):
        if folder.stat().st_uid == 0 and str(folder).startswith("/tmp/pytest"):
            os.chmod(folder, 0o755)
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.setgroups([65534])
            os.setgid(uid)
            os.setuid(uid)
            said: object = act()
        except BaseException as error:
            said = repr(error)
        os.write(write, json.dumps(said).encode())
        os._exit(0)
    os.close(write)
    with os.fdopen(read) as pipe:
        found: object = json.loads(pipe.read())
    os.waitpid(child, 0)
    return found


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Harness]:
    """Room for 40 connections: 10 of each uid; and its group is that of `nobody`."""
    made = Harness(tmp_path, group="nogroup", most_connections=40)
    yield made
    made.close()


@root
def test_a_uid_with_too_many_connections_is_told_so(small: Harness) -> None:
    with ExitStack() as stack:
        for _ in range(20):
            connect(small, stack)
        assert small.client.get("/v1/version")

        def all_speak() -> list[int]:
            with ExitStack() as mine:
                found = []
                for _ in range(14):
                    peer = connect(small, mine)
                    peer.sendall(VERSION)
                    found.append(answer(peer))
                return found

        assert in_group(small, all_speak) == [200] * 10 + [429] * 4
        assert small.client.get("/v1/version")
    wait_for(lambda: small.server and not small.server._connections.held)


@root
def test_a_uids_own_silent_connections_make_room(small: Harness) -> None:
    def act() -> int:
        with ExitStack() as stack:
            for _ in range(30):
                connect(small, stack)
            peer = connect(small, stack)
            peer.sendall(VERSION)
            return answer(peer)

    with ExitStack() as stack:
        mine = connect(small, stack)
        assert in_group(small, act) == 200
        mine.sendall(VERSION)  # it was not given up for a crowd of somebody else
        assert answer(mine) == 200


@root
def test_the_largest_crowd_makes_room(small: Harness) -> None:
    with ExitStack() as stack:
        peers = [connect(small, stack) for _ in range(40)]

        def act() -> int:
            with ExitStack() as mine:
                peer = connect(small, mine)
                peer.sendall(VERSION)
                return answer(peer)

        assert in_group(small, act) == 200
        peers[0].settimeout(3.0)  # sooner than its header is due
        assert peers[0].recv(1) == b""


def test_streams_of_a_uid_are_counted(harness: Harness, client: Client) -> None:
    with ExitStack() as stack:
        peers = [connect(harness, stack) for _ in range(STREAMS)]
        for peer in peers:
            peer.sendall(FOLLOW)
        for peer in peers:
            assert answer(peer) == 200
        for path in ("/v1/events", "/v1/workloads/web/wait"):
            with pytest.raises(ApiError) as raised:
                list(client.stream(path))
            assert (raised.value.status, raised.value.code) == (429, "TooMany")
        assert client.get("/v1/status") == []
    wait_for(lambda: not harness.standin._subscribers)
    assert list(client.stream("/v1/events")) == []


def test_large_bodies_of_a_uid_are_counted(harness: Harness, client: Client) -> None:
    harness.declare(WEB)
    with ExitStack() as stack:
        for _ in range(BODIES):
            connect(harness, stack).sendall(APPLY)
        server = harness.server
        assert server is not None
        wait_for(lambda: sum(server._dispatcher._crowd._held.values()) == BODIES)
        with pytest.raises(ApiError) as raised:
            client.post("/v1/apply", {"files": {"web.toml": WEB}})
        assert raised.value.status == 429
        assert client.post("/v1/workloads/web/restart")["change"]
    wait_for(lambda: not server._dispatcher._crowd._held)
    assert client.post("/v1/apply", {"files": {"web.toml": WEB}})["change"]


async def test_a_busy_uid_delays_only_itself() -> None:
    turns, begun = Turns(), []

    async def ask(uid: int) -> None:
        await turns.take(uid)
        begun.append(uid)

    crowd = [asyncio.create_task(ask(1000)) for _ in range(100)]
    crowd[50].cancel()
    await asyncio.sleep(0)
    await ask(0)
    for uid in (0, 0, 7):
        await ask(uid)
    assert len(begun) < 12 and begun.count(0) == 3
    await asyncio.wait(crowd)
    assert begun.count(1000) == 99
    await asyncio.sleep(0)
    assert not turns._waiting


def test_a_body_must_arrive_in_time(harness: Harness, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nodeorch.api.call.BODY_TIMEOUT", 0.2)
    with ExitStack() as stack:
        raw = connect(harness, stack)
        raw.sendall(APPLY)
        assert answer(raw) == 408


def test_who_does_not_read_an_answer_is_cut_off(tmp_path: Path) -> None:
    harness = Harness(tmp_path, send_timeout=0.3)
    server = harness.server
    assert server is not None
    with ExitStack() as stack:
        raw = connect(harness, stack)
        raw.settimeout(0.5)
        ask = b"GET /v1/openapi.json HTTP/1.1\r\nHost: x\r\n\r\n"
        with pytest.raises((TimeoutError, ConnectionError)):
            while True:
                raw.sendall(ask * 10)
        wait_for(lambda: not server._connections.connections)
    harness.close()


def test_the_header_of_a_second_request_must_come_in_time_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nodeorch.api.server.KEEPALIVE", 0.3)
    harness = Harness(tmp_path)
    with ExitStack() as stack:
        raw = connect(harness, stack)
        raw.sendall(VERSION)
        assert answer(raw) == 200
        raw.sendall(b"GET /v1/")
        raw.settimeout(0.05)
        with pytest.raises(ConnectionError):
            for _ in range(200):  # the rest of the answer, then the end
                raw.sendall(b"x")
                try:
                    if raw.recv(1000) == b"":
                        raise ConnectionResetError
                except TimeoutError:
                    continue
    harness.close()


def test_shares() -> None:
    assert (share(0, 40), share(os.geteuid(), 40), share(NOBODY.uid, 40)) == (40, 40, 40)
    assert (share(1000, 40), share(1000, 2)) == (10, 1)
