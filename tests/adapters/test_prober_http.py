"""Judging an HTTP answer, however it arrives."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nodeorch.adapters.probes.http import BODY_LIMIT, HEAD_LIMIT, Answer, request
from nodeorch.adapters.probes.outcome import Outcome
from nodeorch.model.workload import Http

URL = "GET http://10.88.0.5:8080/"


def ok(body: str = "", *headers: str, status: str = "200 OK") -> bytes:
    return "\r\n".join([f"HTTP/1.1 {status}", *headers, "", body]).encode()


def judge(http: Http, data: bytes, *, eof: bool = True, piece: int = 0) -> Outcome | None:
    answer = Answer(http, "10.88.0.5", b"")
    step = piece or len(data) or 1
    for at in range(0, len(data), step):
        if answer.whole:
            break
        answer.feed(data[at : at + step])
    if eof and not answer.whole:
        answer.end()
    return answer.outcome


PLAIN = Http(8080)
HELLO = Http(8080, body="hello")
CHUNKED = "Transfer-Encoding: chunked"
ANSWERS: list[tuple[Http, bytes, str]] = [
    (PLAIN, ok(), "+status 200"),
    (PLAIN, ok(status="399 X"), "+status 399"),
    (PLAIN, ok(status="302 Found"), "+status 302"),
    (PLAIN, ok("no room", status="503 No"), f'-{URL}: status 503, body "no room"'),
    (PLAIN, ok(status="400 Bad"), f"-{URL}: status 400"),
    (PLAIN, b"HTTP/1.0 404 Not Found\n\n", f"-{URL}: status 404"),
    (PLAIN, b"HTTP/1.0 500 No\n\nsorry", f'-{URL}: status 500, body "sorry"'),
    (HELLO, b"HTTP/1.0 200 OK\n\nhello", "+status 200, body matches"),
    (
        HELLO,
        b"HTTP/1.0 200 OK\r\nX: hello",
        f'-{URL}: status 200, body "" does not contain "hello"',
    ),
    (Http(8080, status=(204, 503)), ok(status="503 No"), "+status 503"),
    (Http(8080, status=(204,)), ok("x"), f'-{URL}: status 200, body "x"'),
    (PLAIN, ok(status="100 Continue") + ok(), "+status 200"),
    (PLAIN, ok(status="103 Early") + ok(status="500 X"), f"-{URL}: status 500"),
    (PLAIN, b"", f"-{URL}: closed without an answer"),
    (PLAIN, b"SSH-2.0-x\r\n", f'-{URL}: answered "SSH-2.0-x", which is no HTTP'),
    (PLAIN, b"HTTP/1.1 abc\r\n\r\n", f'-{URL}: answered "HTTP/1.1 abc", which is no HTTP'),
    (PLAIN, b"HTTP/1.1 000 x\r\n\r\n", f'-{URL}: answered "HTTP/1.1 000 x", which is no HTTP'),
    (PLAIN, b"\x16\x03\x01", f'-{URL}: answered "\\x16\\x03\\x01", which is no HTTP'),
    (
        PLAIN,
        ok("\x1b[2J\u202egood", status="500 x"),
        f'-{URL}: status 500, body "\\x1b[2J\\u202egood"',
    ),
    (HELLO, ok("well, hello there"), "+status 200, body matches"),
    (HELLO, ok("hell"), f'-{URL}: status 200, body "hell" does not contain "hello"'),
    (HELLO, ok("hello", status="500 X"), f'-{URL}: status 500, body "hello"'),
    (HELLO, ok("hello", "Content-Length: 5"), "+status 200, body matches"),
    (
        HELLO,
        ok("hello", "content-LENGTH: 4"),
        f'-{URL}: status 200, body "hell" does not contain "hello"',
    ),
    (HELLO, ok("3\r\nhel\r\n2;x=y\r\nlo\r\n0\r\n\r\n", CHUNKED), "+status 200, body matches"),
    (
        HELLO,
        ok("3\r\nhel\r\n0\r\n\r\n", CHUNKED),
        f'-{URL}: status 200, body "hel" does not contain "hello"',
    ),
    (
        HELLO,
        ok("zz\r\nhello", CHUNKED),
        f'-{URL}: status 200, body "" does not contain "hello"',
    ),
    (Http(8080, body="grüß"), ok("viele grüße"), "+status 200, body matches"),
]


@pytest.mark.parametrize("piece", [0, 1, 7])
@pytest.mark.parametrize("case", range(len(ANSWERS)))
def test_answers(case: int, piece: int) -> None:
    http, data, expected = ANSWERS[case]
    outcome = judge(http, data, piece=piece)
    assert outcome is not None
    assert ("+" if outcome.passed else "-") + outcome.words == expected


def test_an_answer_that_tells_its_length_needs_no_end() -> None:
    for data in (ok("hello", "Content-Length: 5"), ok("5\r\nhello\r\n0\r\n\r\n", CHUNKED)):
        answer = Answer(PLAIN, "10.88.0.5", b"")
        answer.feed(data)
        assert answer.whole and answer.outcome == Outcome(True, "status 200")
    answer.feed(b"")


def test_a_pass_is_known_from_the_first_line() -> None:
    assert judge(PLAIN, b"HTTP/1.1 200 OK\r\n", eof=False) == Outcome(True, "status 200")


def test_what_is_there_when_time_is_up_must_do() -> None:
    answer = Answer(HELLO, "10.88.0.5", b"")
    answer.feed(ok("hell"))
    answer.expire("no answer within 1s")
    assert answer.outcome is not None
    assert answer.outcome.words.endswith('body "hell" does not contain "hello"')
    answer = Answer(HELLO, "10.88.0.5", b"")
    answer.feed(b"HTTP/1.")
    answer.expire("no answer within 1s")
    assert answer.outcome == Outcome(False, f"{URL}: no answer within 1s", timed_out=True)


def test_endless_answers_are_cut_off() -> None:
    answer = Answer(HELLO, "10.88.0.5", b"")
    answer.feed(ok())
    fed = 0
    while not answer.whole:
        answer.feed(b"x" * 1000)
        fed += 1000
    assert fed <= BODY_LIMIT + 1000
    assert answer.outcome is not None and answer.outcome.passed is False
    answer = Answer(PLAIN, "10.88.0.5", b"")
    answer.feed(b"HTTP/1.1 500 X\r\n")
    fed = 0
    while not answer.whole:
        answer.feed(b"X-Pad: " + b"y" * 1000 + b"\r\n")
        fed += 1000
    assert fed <= HEAD_LIMIT + 2000
    assert answer.outcome is not None and "headers are longer" in answer.outcome.words


@given(st.binary(max_size=300), st.integers(1, 50), st.sampled_from([PLAIN, HELLO]))
def test_any_bytes_are_judged_alike_in_any_pieces(data: bytes, piece: int, http: Http) -> None:
    for start in (b"", ok()[:-2], ok("", CHUNKED), ok("", "Content-Length: 20", status="500 X")):
        whole, parts = judge(http, start + data), judge(http, start + data, piece=piece)
        assert whole is not None and parts is not None
        assert whole.passed == parts.passed
        assert whole.words.isprintable()


def test_the_request() -> None:
    http = Http(8080, path="/health?x=1", headers={"host": "web.example", "X-A": "b\r\nEvil: 1"})
    assert request(http, "10.88.0.5").decode().split("\r\n") == [
        "GET /health?x=1 HTTP/1.1",
        "User-Agent: nodeorch",
        "Accept: */*",
        "Connection: close",
        "host: web.example",
        "X-A: b Evil: 1",
        "",
        "",
    ]
    assert b"Host: [fd00::1]:80\r\n" in request(Http(80), "fd00::1")
