"""The traceparent of a request: checked, carried into what it causes, and answered."""

from __future__ import annotations

import pytest

from nodeorch.api.trace import LONGEST, traceparent
from tests.api.harness import WEB, Harness
from tests.api.over_unix import session

TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
LATER = TRACE.replace("00-", "cc-", 1) + "-what-the-future-will-be-like"


@pytest.mark.parametrize("valid", [TRACE, TRACE[:-2] + "00", LATER, LATER[:55], f" {TRACE}\t"])
def test_valid_ones(valid: str) -> None:
    assert traceparent([valid]) == valid.strip()


@pytest.mark.parametrize(
    "bad",
    [
        "",
        "nonsense",
        TRACE.upper(),
        TRACE[:-1],
        TRACE + "-01",
        TRACE + "0",
        TRACE.replace("00-4", "ff-4"),
        f"00-{'0' * 32}-00f067aa0ba902b7-01",
        f"00-4bf92f3577b34da6a3ce929d0e0e4736-{'0' * 16}-01",
        TRACE.replace("-", "_"),
        TRACE + "\n",
        LATER + "\x1b[2J",
        LATER + "x" * LONGEST,
        LATER[:55] + "x",
    ],
)
def test_what_is_malformed_is_as_if_it_were_not_there(bad: str) -> None:
    assert traceparent([bad]) == ""


def test_none_and_two() -> None:
    assert traceparent([]) == ""
    assert traceparent([TRACE, TRACE]) == ""


@pytest.mark.parametrize("path", ["/v1/status", "/v1/nowhere", "/v1/events", "/v1/status?x=1"])
def test_it_is_echoed_on_every_kind_of_answer(harness: Harness, path: str) -> None:
    with session(str(harness.socket)) as peer:
        answer = peer.get(f"http://x{path}", headers={"traceparent": TRACE})
        assert answer.headers["traceparent"] == TRACE
        for headers in ({}, {"traceparent": TRACE.upper()}):
            assert "traceparent" not in peer.get(f"http://x{path}", headers=headers).headers


def test_it_is_in_the_change_and_in_the_journal(harness: Harness) -> None:
    harness.declare(WEB)
    with session(str(harness.socket)) as peer:
        url = "http://x/v1/workloads/web/restart"
        number = peer.post(url, headers={"traceparent": TRACE}).json()["change"]
        assert peer.get(f"http://x/v1/changes/{number}").json()["trace"] == TRACE
    said = [e for e in harness.standin.store.journal if e.details.get("trace") == TRACE]
    assert [e.why.words.partition(",")[0] for e in said] == ["restart"]
    assert said[0].details["change"] == number


def test_our_client_sends_the_one_of_its_environment(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    harness.declare(WEB)
    monkeypatch.setenv("TRACEPARENT", TRACE)
    number = harness.client.post("/v1/workloads/web/stop")["change"]
    assert harness.client.get(f"/v1/changes/{number}")["trace"] == TRACE
