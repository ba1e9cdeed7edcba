"""The socket and the connections: who may be there, and for how long."""

from __future__ import annotations

import asyncio
import os
import socket
import stat
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from nodeorch.api.server import serve
from nodeorch.client.unix import DaemonUnreachable
from tests.api.harness import WEB, Harness
from tests.api.standin import StandIn
from tests.lab.wait import wait_for


def test_the_socket_has_its_mode_and_goes_at_the_end(harness: Harness) -> None:
    found = harness.socket.lstat()
    assert stat.S_ISSOCK(found.st_mode)
    assert found.st_mode & 0o777 == 0o660
    assert os.listdir(harness.socket.parent) == [harness.socket.name]
    harness.close_server()
    assert not harness.socket.exists()
    with pytest.raises(DaemonUnreachable):
        harness.client.get("/v1/version")


def test_a_stale_socket_is_replaced(harness: Harness) -> None:
    harness.close_server()
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(harness.socket))
    assert harness.socket.exists()
    harness.open()
    assert harness.client.get("/v1/version")


def test_a_socket_that_answers_is_left_alone(harness: Harness) -> None:
    with pytest.raises(OSError, match="another process answers there"):
        harness.open()
    assert harness.client.get("/v1/version")


def test_what_is_not_a_socket_is_left_alone(harness: Harness, tmp_path: Path) -> None:
    harness.close_server()
    harness.socket.write_text("precious")
    with pytest.raises(OSError, match="not a socket"):
        harness.open()
    assert harness.socket.read_text() == "precious"


def test_a_name_that_another_has_taken_is_not_removed(harness: Harness) -> None:
    harness.socket.unlink()
    harness.socket.write_text("somebody else's")
    harness.close_server()
    assert harness.socket.read_text() == "somebody else's"


async def test_a_path_too_long_is_told(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="cannot listen on"):
        await serve(StandIn(tmp_path), tmp_path / ("x" * 120), None)


async def test_an_unknown_group_is_no_obstacle(tmp_path: Path) -> None:
    path = tmp_path / "s"
    server = await serve(StandIn(tmp_path), path, "no-such-group-here")
    assert path.stat().st_gid == os.getegid()
    await server.close()


@pytest.mark.skipif(os.geteuid() != 0, reason="gives a file to another group")
async def test_the_group_gets_the_socket(tmp_path: Path) -> None:
    path = tmp_path / "s"
    server = await serve(StandIn(tmp_path), path, "nogroup")
    assert path.stat().st_gid == 65534
    await server.close()


@pytest.fixture
def impatient(tmp_path: Path) -> Iterator[Harness]:
    made = Harness(tmp_path, header_timeout=0.3)
    yield made
    made.close()


def connect(harness: Harness, stack: ExitStack) -> socket.socket:
    raw = stack.enter_context(socket.socket(socket.AF_UNIX))
    raw.settimeout(10.0)
    raw.connect(str(harness.socket))
    return raw


@pytest.mark.parametrize("said", [b"", b"GET /v1/sta", b"GET /v1/status HTTP/1.1\r\nA: b\r\n"])
def test_who_sends_no_whole_header_is_cut_off(impatient: Harness, said: bytes) -> None:
    with ExitStack() as stack:
        raw = connect(impatient, stack)
        raw.sendall(said)
        assert raw.recv(100) == b""


def test_trickling_does_not_help(impatient: Harness) -> None:
    with ExitStack() as stack:
        raw = connect(impatient, stack)
        raw.settimeout(0.05)
        raw.sendall(b"GET /v1/status HTTP/1.1\r\n")
        end = time.monotonic() + 10.0
        with pytest.raises((ConnectionError, AssertionError)):
            while time.monotonic() < end:
                raw.sendall(b"A: b\r\n")
                try:
                    assert raw.recv(100) != b""
                except TimeoutError:
                    continue
        assert time.monotonic() < end


def test_a_connection_that_spoke_is_kept(impatient: Harness) -> None:
    client = impatient.client
    client.get("/v1/version")
    first = client._connection
    server = impatient.server
    assert server is not None
    with ExitStack() as stack:
        raw = connect(impatient, stack)
        assert raw.recv(1) == b""  # the timeout has passed
    client.get("/v1/version")
    assert client._connection is first
    client.close()


def test_status_answers_among_500_silent_connections(harness: Harness) -> None:
    harness.declare(WEB)
    with ExitStack() as stack:
        for n in range(500):
            raw = connect(harness, stack)
            if n % 2:
                raw.sendall(b"POST /v1/apply HTTP/1.1\r\nContent-Le")
        assert harness.client.get("/v1/status")[0]["name"] == "web"


def test_status_answers_among_500_unfinished_bodies(harness: Harness) -> None:
    with ExitStack() as stack:
        for _ in range(500):
            raw = connect(harness, stack)
            raw.sendall(b"POST /v1/apply HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n{")
        assert harness.client.get("/v1/status") == []


def test_above_the_most_the_oldest_silent_one_makes_room(tmp_path: Path) -> None:
    harness = Harness(tmp_path, most_connections=8)
    client = harness.client
    client.get("/v1/version")
    with ExitStack() as stack:
        first = connect(harness, stack)
        for _ in range(20):
            connect(harness, stack)
        assert first.recv(1) == b""
        server = harness.server
        assert server is not None
        wait_for(lambda: len(server._connections.connections) <= 8)
        assert client.get("/v1/version")  # it has spoken, so it stays
    client.close()
    harness.close()


def test_close_ends_streams_and_long_polls(harness: Harness) -> None:
    with ExitStack() as stack:
        streams = [connect(harness, stack) for _ in range(2)]
        streams[0].sendall(b"GET /v1/events?follow=1 HTTP/1.1\r\nHost: x\r\n\r\n")
        streams[1].sendall(b"GET /v1/workloads/a/wait?timeout=600 HTTP/1.1\r\nHost: x\r\n\r\n")
        wait_for(lambda: harness.standin._subscribers)
        harness.close_server()
        for raw in streams:
            while raw.recv(4096):
                pass


async def test_nothing_is_left_running(tmp_path: Path) -> None:
    server = await serve(StandIn(tmp_path), tmp_path / "s", None)
    reader, writer = await asyncio.open_unix_connection(str(tmp_path / "s"))
    writer.write(b"GET /v1/events?follow=1 HTTP/1.1\r\nHost: x\r\n\r\n")
    await reader.readline()
    await server.close()
    assert asyncio.all_tasks() == {asyncio.current_task()}
    writer.close()
