"""GET version, node, status, plan, why, history."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from nodeorch import __version__
from nodeorch.client.unix import ApiError, Client
from nodeorch.model.world import Brake, Code, Engine
from nodeorch.ports import StoreError
from tests.api.harness import WEB, Harness, spec


def test_version(client: Client) -> None:
    assert client.get("/v1/version") == {"version": __version__, "api": "v1"}


def test_status_is_the_pinned_list(harness: Harness, client: Client) -> None:
    harness.declare(WEB)
    [view] = client.get("/v1/status")
    assert view["name"] == "web"
    assert {"generation", "desired", "ready", "state", "reason", "instances"} <= view.keys()
    [instance] = view["instances"]
    pinned = (
        "name container_id pid state ready restarts started_at exit_code image_digest "
        "memory_bytes memory_limit_bytes cpu_percent address"
    )
    assert set(pinned.split()) <= instance.keys()
    assert (view["ready"], view["desired"], instance["ready"]) == (1, 1, True)


def test_status_of_one(harness: Harness, client: Client) -> None:
    harness.declare(WEB, spec("db"))
    assert [v["name"] for v in client.get("/v1/status", {"name": "db"})] == ["db"]
    with pytest.raises(ApiError) as raised:
        client.get("/v1/status", {"name": "nosuch"})
    assert raised.value.status == 404
    assert "no workload nosuch" in str(raised.value)


def test_node_tells_its_troubles(harness: Harness, client: Client) -> None:
    harness.declare(WEB)

    def trouble() -> None:
        world = harness.standin.world
        brake = Brake(names=("web",), words="cannot delete web")
        engine = Engine(answering=False, words="connection refused")
        harness.standin.put(replace(world, brake=brake, engine=engine, rejected={"db": "broken"}))

    harness.do(trouble)
    node = client.get("/v1/node")
    assert node["name"] == "h1"
    assert node["memory_requested"] == 64 << 20
    assert (node["engine_answering"], node["engine"]) == (False, "connection refused")
    assert (node["brake"], node["brake_words"]) == (["web"], "cannot delete web")
    assert node["rejected"] == {"db": "broken"}


def test_plan_is_empty_when_all_is_as_declared(harness: Harness, client: Client) -> None:
    harness.declare(WEB)
    view = client.get("/v1/plan")
    assert view["actions"] == []
    assert [p["verb"] for p in view["workloads"]] == ["none"]


def test_plan_shows_what_comes_and_what_is_held(harness: Harness, client: Client) -> None:
    harness.do(lambda: harness.standin.declare(WEB))
    view = client.get("/v1/plan")
    assert [(a["verb"], a["workload"]) for a in view["actions"]] == [("pull the image of", "web")]

    def brake() -> None:
        words = "cannot delete web"
        harness.standin.put(replace(harness.standin.world, brake=Brake(("web",), words)))

    harness.do(brake)
    [plan] = client.get("/v1/plan")["workloads"]
    assert plan == {
        "workload": "web",
        "verb": "hold",
        "words": "cannot delete web",
        "changes": [],
        "placement": [],
    }


def test_why_tells_the_journal_oldest_first(harness: Harness, client: Client) -> None:
    harness.declare(WEB)
    view = client.get("/v1/workloads/web/why")
    assert view["workload"]["name"] == "web"
    seqs = [event["seq"] for event in view["events"]]
    assert seqs == sorted(seqs)
    assert view["events"][0]["code"] == Code.SPEC_ACCEPTED
    assert view["events"][0]["at"].endswith("Z")


def test_why_of_what_is_gone(harness: Harness, client: Client) -> None:
    harness.declare(WEB)
    client.delete("/v1/workloads/web")
    harness.obey()
    view = client.get("/v1/workloads/web/why")
    assert view["workload"] is None
    assert view["events"]


def test_a_database_that_does_not_answer_is_told(harness: Harness, client: Client) -> None:
    def broken() -> None:
        raise StoreError("disk I/O error")

    harness.declare(WEB)
    harness.standin.store.before_reading = broken
    with pytest.raises(ApiError, match="disk I/O error") as raised:
        client.get("/v1/workloads/web/why")
    assert raised.value.status == 503


def test_why_of_the_unknown(client: Client) -> None:
    with pytest.raises(ApiError) as raised:
        client.get("/v1/workloads/nosuch/why")
    assert raised.value.status == 404


def test_history_tells_what_changed(harness: Harness, client: Client) -> None:
    harness.declare(WEB)
    harness.declare(WEB.replace("64MiB", "128MiB"))
    newest, first = client.get("/v1/workloads/web/history")
    assert (newest["generation"], first["generation"]) == (2, 1)
    assert newest["current"] and newest["declared"] and not first["current"]
    assert "resources.memory" in newest["words"]
    assert first["words"] == "image localhost/web:1"
