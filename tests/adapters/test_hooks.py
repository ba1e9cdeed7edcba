"""Hooks with real sockets: the knocking, the request, and what is told of a failure."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Sequence

import pytest

from nodeorch.adapters.probes import HookCaller
from nodeorch.files import read_regular
from nodeorch.model.facts import HookEnd
from nodeorch.model.workload import Http, Method, PostStart
from nodeorch.ports import EngineError
from tests.adapters.probing import Server
from tests.lab.wait import async_wait_for


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    server = await Server().start()
    yield server
    server.stop()


async def _no_exec(container_id: str, command: Sequence[str], timeout: float) -> tuple[int, str]:
    raise EngineError("refused", "no runtime")


async def ask(http: Http, timeout: float = 5.0) -> HookEnd:
    return await HookCaller(_no_exec, read_regular).run(
        PostStart(http=http, timeout=timeout), "c1", "127.0.0.1"
    )


async def test_a_post_is_sent_once_with_its_headers(server: Server) -> None:
    http = Http(server.port, path="/warm", method=Method.POST, headers={"X-Token": "a b"})
    end = await ask(http)
    assert end.passed and end.words.startswith("POST /warm: status 200, after ")
    (request,) = server.requests
    lines = request.decode().split("\r\n")
    assert lines[0] == "POST /warm HTTP/1.1"
    assert {"X-Token: a b", "Content-Length: 0"} <= set(lines)


async def test_a_bad_answer_fails_with_its_words_and_is_not_asked_again(server: Server) -> None:
    server.reply = b"HTTP/1.1 503 No\r\nContent-Length: 9\r\n\r\nnot today"
    end = await ask(Http(server.port))
    assert not end.passed
    url = f"GET http://127.0.0.1:{server.port}/"
    assert end.words.startswith(f'{url}: status 503, body "not today", after ')
    assert len(server.requests) == 1


async def test_it_knocks_until_somebody_listens() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    asking = asyncio.ensure_future(ask(Http(port)))
    await asyncio.sleep(0.1)
    assert not asking.done()
    late = await Server().start(port)
    try:
        assert (await asking).passed
        assert len(late.requests) == 1
    finally:
        late.stop()


async def test_nobody_ever_listens() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        end = await ask(Http(taken.getsockname()[1]), timeout=0.2)
    assert not end.passed and "connection refused" in end.words


async def test_a_silent_server_is_left_at_the_timeout(server: Server) -> None:
    server.reply = None
    end = await ask(Http(server.port), timeout=0.1)
    assert not end.passed and "no answer within 100ms" in end.words


async def test_a_cancelled_hook_leaves_no_connection(server: Server) -> None:
    server.reply = None
    asking = asyncio.ensure_future(ask(Http(server.port)))
    await async_wait_for(lambda: server.requests)
    asking.cancel()
    await async_wait_for(lambda: server.open == 0)


async def test_what_the_engine_cannot_run_has_not_failed() -> None:
    with pytest.raises(EngineError, match="no runtime"):
        await HookCaller(_no_exec, read_regular).run(PostStart(exec=("true",)), "c1", "")


async def test_without_an_address_there_is_nothing_to_ask() -> None:
    end = await HookCaller(_no_exec, read_regular).run(PostStart(http=Http(80)), "c1", "")
    assert end == HookEnd(False, "the container has no address; use an exec hook")
