"""Whether a kernel answers: attempts to connect, and acknowledgements on a connection."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Iterator

import pytest

from nodeorch.adapters.peers.knock import ACCEPTED, PATIENCE, REFUSED, Knocks, last_ack
from tests.lab.wait import async_wait_for


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.socket() as sock:
        sock.bind(("127.0.0.9", 0))
        sock.listen(0)
        yield sock


async def test_accepted_and_refused_are_both_an_answer(listener: socket.socket) -> None:
    knocks = Knocks()
    said: list[str] = []
    address, port = listener.getsockname()
    knocks.knock(address, port, 0.0, said.append)
    await async_wait_for(lambda: said == [ACCEPTED])
    listener.close()
    knocks.knock(address, port, 0.0, said.append)
    await async_wait_for(lambda: said == [ACCEPTED, REFUSED])
    assert not knocks._under_way


async def test_no_answer_is_given_up_and_the_network_s_word_is_none(
    listener: socket.socket,
) -> None:
    knocks = Knocks()
    said: list[str] = []
    full = [socket.socket() for _ in range(3)]  # of a backlog of one: SYNs get no answer
    for sock in full:
        sock.setblocking(False)
        sock.connect_ex(listener.getsockname())
    await asyncio.sleep(0.05)
    address, port = listener.getsockname()
    knocks.knock(address, port, 10.0, said.append)
    knocks.knock("255.255.255.255", 1, 10.0, said.append)
    knocks.knock("no address", 1, 10.0, said.append)
    knocks.knock("127.0.0.9", 70_000, 10.0, said.append)
    knocks.expire(10.0 + PATIENCE - 0.1)
    assert len(knocks._under_way) == 1
    knocks.expire(10.0 + PATIENCE)
    assert not knocks._under_way
    assert said == []
    for sock in full:
        sock.close()


def test_acknowledgements_are_dated_without_the_other_process(listener: socket.socket) -> None:
    with socket.create_connection(listener.getsockname()) as sock:
        time.sleep(0.3)
        age = last_ack(sock)
        assert age is not None
        assert age >= 0.25
        sock.send(b"x")  # nobody accepts, nobody reads
        time.sleep(0.05)
        age = last_ack(sock)
        assert age is not None
        assert age < 0.2
    assert last_ack(sock) is None
    assert last_ack(None) is None
