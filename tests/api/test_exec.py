"""POST exec: frames both ways, and what ends a session."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from typing import Any

import pytest

from nodeorch.client.duplex import Duplex
from nodeorch.client.unix import ApiError, Client, DaemonUnreachable
from nodeorch.model import frames
from nodeorch.model.frames import Splitter, frame
from nodeorch.ports import EngineError
from tests.api.harness import WEB, Harness, spec
from tests.fakes.terminal import FakeTerminal
from tests.lab.wait import wait_for

PATH = "/v1/workloads/web/exec"


class Talk:
    """A session, and the frames that have come."""

    def __init__(self, client: Client, query: Any = None, **asked: Any) -> None:
        first = frame(frames.BEGIN, json.dumps(asked).encode())
        self.duplex = Duplex(client, PATH, query, first)
        self.heard: list[tuple[bytes, bytes]] = []
        self._splitter = Splitter()

    def send(self, kind: bytes, payload: bytes = b"") -> None:
        self.duplex.send(frame(kind, payload))

    def until(self, kind: bytes) -> bytes:
        def look() -> bool:
            self.duplex.flush()
            data = self.duplex.receive()
            assert data is not None, f"it ended: {self.heard}"
            self.heard += self._splitter.feed(data)
            return kind in [k for k, _ in self.heard]

        wait_for(look)
        return next(payload for k, payload in self.heard if k == kind)

    def said(self, kind: bytes) -> bytes:
        return b"".join(payload for k, payload in self.heard if k == kind)


@pytest.fixture
def client(harness: Harness) -> Iterator[Client]:
    harness.declare(WEB, spec("idle", "replicas = 0"))
    made = harness.client
    yield made
    made.close()


def terminal(harness: Harness) -> FakeTerminal:
    return harness.standin.engine.terminals[-1]


def journal(harness: Harness) -> list[str]:
    return [e.why.words for e in harness.standin.store.journal if e.why.code == "Exec"]


def test_output_and_code(harness: Harness, client: Client) -> None:
    talk = Talk(client, command=["echo", "a", "b"], env={"K": "v=1"}, user="u", workdir="/x")
    assert talk.until(frames.CODE) == b"0"
    assert talk.said(frames.OUT) == b"a b\n"
    assert json.loads(talk.said(frames.STARTED)) == {"instance": "web.0.g1", "running": 1}
    asked = terminal(harness).asked
    assert (asked.env, asked.user, asked.workdir, asked.tty) == (("K=v=1",), "u", "/x", False)
    wait_for(lambda: len(journal(harness)) == 2)
    begun, ended = journal(harness)
    assert begun.startswith("echo a b, run by uid ")
    assert ended.startswith("echo a b ended with exit code 0 after ")


def test_errors_are_apart(client: Client) -> None:
    talk = Talk(client, command=["nope"])
    assert talk.until(frames.CODE) == b"127"
    assert talk.said(frames.ERR) == b"nope: not found\n" and not talk.said(frames.OUT)


def test_input_is_taken_on_credit(client: Client) -> None:
    talk = Talk(client, command=["cat"], stdin=True)
    for _ in range(40):
        talk.send(frames.INPUT, b"x" * 6400)
        talk.until(frames.TAKEN)
    talk.send(frames.INPUT_ENDS)
    assert talk.until(frames.CODE) == b"0"
    assert sum(int(p) for k, p in talk.heard if k == frames.TAKEN) == 256_000
    assert len(talk.said(frames.OUT)) == 256_000


def test_who_sends_more_than_the_credit_is_cut_off(harness: Harness, client: Client) -> None:
    talk = Talk(client, command=["sleep", "100"], stdin=True)
    for _ in range(2 * frames.CREDIT // frames.LONGEST):
        talk.send(frames.INPUT, b"x" * frames.LONGEST)
    assert b"more input" in talk.until(frames.FAILED)
    wait_for(lambda: terminal(harness).closed)


def test_who_ends_the_input_twice_is_cut_off(harness: Harness, client: Client) -> None:
    """No credit counts the ends: a queue of them would have no bound."""
    talk = Talk(client, command=["sleep", "100"], stdin=True)
    talk.send(frames.INPUT_ENDS)
    talk.send(frames.INPUT_ENDS)
    assert b"after its end" in talk.until(frames.FAILED)
    wait_for(lambda: terminal(harness).closed)


def test_signals_and_sizes_pass_input_that_is_stuck(harness: Harness, client: Client) -> None:
    talk = Talk(client, command=["sleep", "100"], stdin=True, tty=True, rows=1, columns=2)
    for _ in range(frames.CREDIT // frames.LONGEST):
        talk.send(frames.INPUT, b"x" * frames.LONGEST)
    talk.duplex.send(frames.size(40, 132))
    talk.send(frames.SIGNAL, b"TERM")
    assert talk.until(frames.CODE) == b"143"
    assert terminal(harness).size == (40, 132) and terminal(harness).signals == ["TERM"]


def test_a_client_that_hangs_up_takes_the_command_along(harness: Harness, client: Client) -> None:
    talk = Talk(client, command=["sleep", "100"], stdin=True)
    talk.until(frames.STARTED)
    assert not terminal(harness).closed
    talk.duplex.close()
    wait_for(lambda: terminal(harness).closed)
    wait_for(lambda: len(journal(harness)) == 2)
    assert "was killed: its client has gone" in journal(harness)[1]


def test_a_server_that_closes_ends_its_sessions(harness: Harness, client: Client) -> None:
    talk = Talk(client, command=["sleep", "100"])
    talk.until(frames.STARTED)
    harness.close_server()
    assert terminal(harness).closed and len(journal(harness)) == 2
    with pytest.raises((DaemonUnreachable, AssertionError)):
        talk.until(frames.CODE)


@pytest.mark.parametrize(
    ("kind", "payload"),
    [(b"?", b""), (frames.SIGNAL, b"STOP"), (frames.SIZE, b"1"), (frames.INPUT, b"")],
)
def test_a_frame_that_means_nothing(client: Client, kind: bytes, payload: bytes) -> None:
    talk = Talk(client, command=["sleep", "100"])
    talk.send(kind, payload)
    assert talk.until(frames.FAILED)


@pytest.mark.parametrize(
    "asked",
    [{}, {"command": []}, {"command": [""]}, {"command": ["a\0b"]}, {"command": "sh"},
     {"command": ["a"], "env": {"A=B": "c"}}, {"command": ["a"], "rows": 1 << 16},
     {"command": ["a"], "more": 1}],
)  # fmt: skip
def test_a_bad_beginning(harness: Harness, client: Client, asked: dict[str, Any]) -> None:
    with pytest.raises(ApiError) as caught:
        Talk(client, **asked)
    assert caught.value.status == 400
    assert str(caught.value).startswith("cannot run a command in web: ")
    assert not harness.standin.engine.terminals and not journal(harness)


def test_a_body_that_is_no_frame(client: Client) -> None:
    for first in (b"\xff" * 9, frame(frames.INPUT, b"x"), b""):
        with pytest.raises(ApiError) as caught:
            client.upload(PATH, None, lambda send, first=first: send(first) if first else None)  # type: ignore[misc]
        assert caught.value.status == 400


def test_a_dry_run_tells_where(harness: Harness, client: Client) -> None:
    first = frame(frames.BEGIN, b'{"command": ["rm", "a b"]}')
    view = client.upload(PATH, {"dry_run": 1}, lambda send: send(first))
    assert view["workloads"][0]["words"] == "would run rm 'a b' in web.0.g1"
    assert not harness.standin.engine.terminals and not journal(harness)


def test_which_instance(client: Client) -> None:
    for name in ("web.0", "web.0.g1"):
        assert Talk(client, {"instance": name}, command=["true"]).until(frames.CODE) == b"0"
    with pytest.raises(ApiError, match=r'no instance "web\.0\.g2"; it has web\.0\.g1'):
        Talk(client, {"instance": "web.0.g2"}, command=["true"])


def test_nothing_runs(client: Client) -> None:
    first = frame(frames.BEGIN, b'{"command": ["true"]}')
    with pytest.raises(ApiError, match="no instance of it runs") as caught:
        client.upload("/v1/workloads/idle/exec", None, lambda send: send(first))
    assert caught.value.status == 409


def test_an_engine_that_says_no(harness: Harness, client: Client) -> None:
    harness.standin.engine.error = EngineError("refused", "Podman says: no")
    with pytest.raises(ApiError, match="Podman says: no"):
        Talk(client, command=["true"])
    assert "could not be run" in journal(harness)[1]


def test_the_journal_that_takes_no_writes_locks_nobody_out(
    harness: Harness, client: Client
) -> None:
    harness.standin.store.broken = "no space"
    assert Talk(client, command=["true"]).until(frames.CODE) == b"0"


def test_a_request_that_stops_in_the_middle(harness: Harness, client: Client) -> None:
    with socket.socket(socket.AF_UNIX) as raw:
        raw.connect(str(harness.socket))
        head = f"POST {PATH} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
        raw.sendall(head.encode() + b"3\r\nb\0\0\r\n")
    assert client.get("/v1/version")
    assert not harness.standin.engine.terminals
