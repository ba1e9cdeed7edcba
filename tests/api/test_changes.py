"""GET changes, and the number that each mutation answers with."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from nodeorch.client.unix import ApiError, Client
from tests.api.harness import WEB, Harness, spec
from tests.api.test_streams import Reader
from tests.lab.wait import wait_for


def states(client: Client, **query: Any) -> list[tuple[int, str, str]]:
    views = client.get("/v1/changes", query)
    return [(view["id"], view["verb"], view["state"]) for view in views]


def test_every_mutation_answers_with_a_number_of_its_own(harness: Harness, client: Client) -> None:
    assert client.post("/v1/apply", {"files": {"web.toml": WEB}})["change"] == 1
    harness.obey()
    for verb in ("restart", "stop", "start"):
        client.post(f"/v1/workloads/web/{verb}")
        harness.obey()
    client.post("/v1/workloads/web/scale", {"replicas": 2})
    assert client.delete("/v1/workloads/web")["change"] == 6
    harness.obey()
    assert states(client) == [
        (1, "apply", "done"),
        (2, "restart", "done"),
        (3, "stop", "done"),
        (4, "start", "done"),
        (5, "scale", "superseded"),
        (6, "delete", "done"),
    ]


def test_a_dry_run_is_no_change(harness: Harness, client: Client) -> None:
    harness.declare(WEB)
    assert client.post("/v1/workloads/web/stop", query={"dry_run": 1})["change"] is None
    body = {"files": {"new.toml": spec("new")}}
    assert client.post("/v1/apply", body, {"dry_run": 1})["change"] is None
    assert states(client) == []


def test_what_is_refused_at_once_is_no_change(harness: Harness, client: Client) -> None:
    harness.declare(WEB)
    for path, body in (("rollback", {}), ("scale", {"replicas": -1})):
        with pytest.raises(ApiError):
            client.post(f"/v1/workloads/web/{path}", body)
    assert states(client) == []


def test_one_that_goes_on_says_what_it_waits_for(harness: Harness, client: Client) -> None:
    harness.declare(WEB)
    number = client.post("/v1/workloads/web/restart")["change"]
    view = client.get(f"/v1/changes/{number}")
    assert view["state"] == "doing" and view["workloads"] == ["web"]
    assert view["waits"] == ["web is running, 1/1 ready"]
    assert view["by"].startswith("uid ") and view["at"].startswith("2023-11-14T22:")
    assert (view["reason"], view["ended_at"]) == ("", None)
    harness.standin.clock.time += 5.0
    harness.obey()
    view = client.get(f"/v1/changes/{number}")
    assert (view["state"], view["waits"]) == ("done", [])
    assert view["reason"] == "web is ready, generation 1"
    assert view["ended_at"] == "2023-11-14T22:30:05.000Z"


def test_those_of_one_workload_and_the_last(harness: Harness, client: Client) -> None:
    harness.declare(WEB, spec("db"))
    for name in ("web", "db", "web"):
        client.post(f"/v1/workloads/{name}/restart")
    assert [n for n, _, _ in states(client, workload="web")] == [1, 3]
    assert [n for n, _, _ in states(client, last=1)] == [3]
    assert states(client, last=0) == []
    with pytest.raises(ApiError):
        states(client, workload="../x")


@pytest.mark.parametrize(
    ("number", "status"), [("9", 404), ("0", 400), ("x", 400), ("9" * 30, 400), ("%C2%B2", 400)]
)
def test_unknown_ones(client: Client, number: str, status: int) -> None:
    for tail in ("", "/wait", "/follow"):
        with pytest.raises(ApiError) as raised:
            client.get(f"/v1/changes/{number}{tail}")
        assert raised.value.status == status


def test_waiting_for_its_end(harness: Harness, client: Client) -> None:
    harness.declare(WEB)
    number = client.post("/v1/workloads/web/restart")["change"]
    with pytest.raises(ApiError) as raised:
        client.get(f"/v1/changes/{number}/wait", {"timeout": 0.05})
    assert (raised.value.status, raised.value.code) == (408, "Timeout")
    assert "web is running" in str(raised.value)
    found: list[Any] = []
    other = harness.client
    thread = threading.Thread(
        target=lambda: found.append(other.get(f"/v1/changes/{number}/wait", {"timeout": 10}))
    )
    thread.start()
    wait_for(lambda: harness.standin.waiting)
    harness.obey()
    thread.join(10.0)
    assert found[0]["state"] == "done"


def test_following_one_to_its_end(harness: Harness, client: Client) -> None:
    harness.declare(WEB)
    number = client.post("/v1/workloads/web/scale", {"replicas": 2})["change"]
    reader = Reader(harness.client, f"/v1/changes/{number}/follow", {})
    [first] = reader.until(1)
    assert (first["state"], first["waits"]) == (
        "doing",
        ["web is starting, 1/2 ready: is being created"],
    )
    harness.obey()
    wait_for(lambda: reader.ended)
    assert reader.lines[-1]["state"] == "done"
    again = list(harness.client.stream(f"/v1/changes/{number}/follow"))
    assert again == reader.lines[-1:]
