"""POST restart, stop, start, scale, rollback, confirm, shutdown; GET wait."""

from __future__ import annotations

import os
import threading
from typing import Any

import pytest

from nodeorch.client.unix import ApiError, Client
from nodeorch.model.facts import SpecsSeen
from nodeorch.model.world import Code
from tests.api.harness import WEB, Harness, spec
from tests.lab.wait import wait_for


def record(harness: Harness, name: str = "web") -> Any:
    return harness.standin.world.workloads[name].record


def test_restart_is_done_and_recorded_with_its_peer(harness: Harness, client: Client) -> None:
    harness.declare(WEB)
    view = client.post("/v1/workloads/web/restart")
    assert [p["verb"] for p in view["workloads"]] == ["restart"]
    assert record(harness).operator_seq == 1
    [entry] = [e for e in harness.standin.store.journal if e.why.code is Code.OPERATOR][:1]
    assert entry.why.words.endswith(f"pid {os.getpid()}")
    assert f"uid {os.getuid()}" in entry.why.words
    assert view["seq"] >= entry.seq


def test_stop_and_start(harness: Harness, client: Client) -> None:
    harness.declare(WEB)
    [plan] = client.post("/v1/workloads/web/stop")["workloads"]
    assert plan["changes"] == [
        {"field": "operator.state", "before": "running", "after": "stopped", "effect": "live"}
    ]
    assert record(harness).stopped
    harness.obey()
    client.post("/v1/workloads/web/start")
    assert not record(harness).stopped


def test_scale(harness: Harness, client: Client) -> None:
    harness.declare(WEB)
    [plan] = client.post("/v1/workloads/web/scale", {"replicas": 3})["workloads"]
    assert plan["changes"] == [
        {"field": "operator.scale", "before": "1", "after": "3", "effect": "live"}
    ]
    assert record(harness).scale == 3
    with pytest.raises(ApiError) as raised:
        client.post("/v1/workloads/web/scale", {"replicas": -1})
    assert raised.value.status == 409


def test_rollback_goes_to_the_one_before_or_the_one_named(harness: Harness, client: Client) -> None:
    for tag in ("1", "2", "3"):
        harness.declare(WEB.replace("web:1", f"web:{tag}"))
        harness.standin.clock.time += 60.0
        harness.do(lambda: harness.standin.put(harness.standin.world))
    harness.obey()
    wanted = record(harness).previous or 2
    client.post("/v1/workloads/web/rollback")
    assert record(harness).target.generation == getattr(wanted, "generation", wanted)
    client.post("/v1/workloads/web/rollback", {"generation": 1})
    assert record(harness).target.generation == 1
    with pytest.raises(ApiError) as raised:
        client.post("/v1/workloads/web/rollback", {"generation": 9})
    assert raised.value.status == 404


def test_rollback_of_the_first_generation_is_refused(harness: Harness, client: Client) -> None:
    harness.declare(WEB)
    with pytest.raises(ApiError) as raised:
        client.post("/v1/workloads/web/rollback")
    assert (raised.value.status, raised.value.code) == (409, "Refused")


@pytest.mark.parametrize("dry_run", [True, False])
def test_confirm(harness: Harness, client: Client, dry_run: bool) -> None:
    with pytest.raises(ApiError) as raised:
        client.post("/v1/confirm", None, {"dry_run": dry_run})
    assert raised.value.status == 409
    harness.declare(WEB)
    harness.do(lambda: harness.standin.tell(SpecsSeen({})))
    assert harness.standin.world.brake is not None
    view = client.post("/v1/confirm", None, {"dry_run": dry_run})
    assert [(p["workload"], p["verb"]) for p in view["workloads"]] == [("web", "delete")]
    assert record(harness).deleting is not dry_run


@pytest.mark.parametrize(
    ("verb", "body"),
    [("restart", {}), ("stop", {}), ("start", {}), ("scale", {"replicas": 2}), ("rollback", {})],
)
def test_every_verb_has_a_dry_run(
    harness: Harness, client: Client, verb: str, body: dict[str, int]
) -> None:
    harness.declare(WEB)
    harness.declare(WEB.replace("64MiB", "96MiB"))
    before, journal = harness.standin.world, len(harness.standin.store.journal)
    view = client.post(f"/v1/workloads/web/{verb}", body, {"dry_run": True})
    assert view["dry_run"] is True
    assert harness.standin.world is before
    assert len(harness.standin.store.journal) == journal


@pytest.mark.parametrize("verb", ["restart", "stop", "start", "scale", "rollback"])
def test_of_the_unknown(client: Client, verb: str) -> None:
    with pytest.raises(ApiError) as raised:
        client.post(f"/v1/workloads/nosuch/{verb}", {"replicas": 1} if verb == "scale" else {})
    assert raised.value.status == 404


def test_what_cannot_be_saved_is_told(harness: Harness, client: Client) -> None:
    harness.declare(WEB)
    harness.standin.store.broken = "disk full"
    with pytest.raises(ApiError) as raised:
        client.post("/v1/workloads/web/stop")
    assert raised.value.status == 503


def test_shutdown_answers_when_all_has_stopped(harness: Harness, client: Client) -> None:
    harness.declare(WEB, spec("db"))
    with pytest.raises(ApiError) as raised:
        client.post("/v1/shutdown", None, {"timeout": 0})
    assert raised.value.code == "Timeout"
    assert "web.0.g1" in str(raised.value) and "db.0.g1" in str(raised.value)
    harness.obey()
    client.post("/v1/shutdown", None, {"timeout": 5})
    assert harness.standin.world.shutdown


def test_shutdown_as_a_dry_run(harness: Harness, client: Client) -> None:
    harness.declare(WEB)
    view = client.post("/v1/shutdown", None, {"dry_run": True})
    assert [(p["workload"], p["verb"]) for p in view["workloads"]] == [("web", "stop")]
    assert not harness.standin.world.shutdown


def wait(harness: Harness, name: str, goal: str, timeout: float = 5.0) -> Any:
    return harness.client.get(f"/v1/workloads/{name}/wait", {"for": goal, "timeout": timeout})


def test_wait_answers_when_it_becomes_so(harness: Harness) -> None:
    harness.do(lambda: harness.standin.declare(WEB))
    answers: list[Any] = []
    waiter = threading.Thread(target=lambda: answers.append(wait(harness, "web", "ready")))
    waiter.start()
    harness.obey()
    waiter.join(10.0)
    [[view]] = answers
    assert (view["name"], view["ready"]) == ("web", 1)


def test_wait_for_what_is_not_declared_yet(harness: Harness) -> None:
    answers: list[Any] = []
    waiter = threading.Thread(target=lambda: answers.append(wait(harness, "web", "ready")))
    waiter.start()
    harness.declare(WEB)
    waiter.join(10.0)
    assert answers[0][0]["ready"] == 1


def test_wait_tells_why_not(harness: Harness) -> None:
    with pytest.raises(ApiError) as raised:
        wait(harness, "web", "ready", 0)
    assert (raised.value.status, raised.value.code) == (408, "Timeout")
    assert "no such workload" in str(raised.value)
    harness.do(lambda: harness.standin.declare(WEB))
    with pytest.raises(ApiError, match="web is not ready after 0 s: starting"):
        wait(harness, "web", "ready", 0)


def test_wait_for_ready_outlasts_a_restart_to_come(harness: Harness, client: Client) -> None:
    harness.declare(WEB)
    client.post("/v1/workloads/web/restart")
    with pytest.raises(ApiError):
        wait(harness, "web", "ready", 0)
    harness.obey()
    assert wait(harness, "web", "ready", 0)[0]["instances"][0]["restarts"] == 1


def test_wait_for_stopped_and_gone(harness: Harness, client: Client) -> None:
    harness.declare(WEB)
    for goal in ("stopped", "gone"):
        with pytest.raises(ApiError) as raised:
            wait(harness, "web", goal, 0)
        assert raised.value.status == 408
    client.post("/v1/workloads/web/stop")
    harness.obey()
    assert wait(harness, "web", "stopped")[0]["state"] == "stopped"
    client.delete("/v1/workloads/web")
    harness.obey()
    assert wait(harness, "web", "gone") == []
    with pytest.raises(ApiError) as raised:
        wait(harness, "web", "stopped")
    assert raised.value.status == 404


@pytest.mark.parametrize("query", [{"for": "happy"}, {"timeout": "-1"}, {"timeout": "nan"},
                                   {"timeout": "1e9"}, {"timeout": "x"}])  # fmt: skip
def test_wait_checks_its_parameters(client: Client, query: dict[str, str]) -> None:
    with pytest.raises(ApiError) as raised:
        client.get("/v1/workloads/web/wait", query)
    assert raised.value.status == 400


def test_a_peer_that_hangs_up_is_waited_for_no_more(harness: Harness) -> None:
    client = harness.client
    waiter = threading.Thread(target=_swallow, args=(client,))
    waiter.start()
    server = harness.server
    assert server is not None
    wait_for(lambda: client._connection is not None and client._connection.sock is not None)
    wait_for(lambda: any(c._current_request for c in server._connections.connections))
    client._connection.sock.shutdown(2)  # type: ignore[union-attr]
    waiter.join(10.0)
    wait_for(lambda: not server._connections.connections, what="the handler has ended")


def _swallow(client: Client) -> None:
    with pytest.raises(Exception, match="cannot reach"):
        client.get("/v1/workloads/web/wait", {"timeout": 600}, timeout=30.0)
