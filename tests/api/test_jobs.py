"""POST run, GET runs, and jobs in status, why and wait."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from msgspec.structs import replace

from nodeorch.client.unix import ApiError, Client
from nodeorch.decide.absorb import absorb
from nodeorch.model.facts import Done, Tick
from nodeorch.model.world import Container, State
from tests.api.harness import WEB, Harness, spec

NIGHTLY = spec("job", 'kind = "job"\nargs = ["all"]', schedule="30 3 * * *")


def finish(harness: Harness, number: int, code: int = 0) -> None:
    """The run's process exits, and a look at its container tells."""

    def end() -> None:
        from nodeorch.model.actions import InspectContainer
        from nodeorch.model.world import Code, Why

        standin = harness.standin
        states = standin.world.workloads["job"].instances.values()
        [instance] = [i for i in states if i.record.slot == number]
        own = instance.record
        why = Why(code=Code.LOOK, words="a test")
        container = Container(
            id=own.container_id, name=own.name, state=State.EXITED, exit_code=code, sealed=True
        )
        look = InspectContainer(
            key=own.name, why=why, workload="job", container_id=own.container_id
        )
        standin.tell(Done(look, container=container))

    harness.do(end)


def run(client: Client, number: int) -> dict[str, Any]:
    view: dict[str, Any] = client.get("/v1/workloads/job/runs", {"number": number})[0]
    return view


def test_a_run_is_begun_with_its_args_and_found_again(harness: Harness, client: Client) -> None:
    harness.declare(NIGHTLY)
    view = client.post("/v1/workloads/job/run", {"args": ["one"]})
    assert view["run"] == 1
    assert [(p["verb"], p["words"]) for p in view["workloads"]] == [("run", "run 1 begins")]
    assert run(client, 1)["state"] == "pending" and run(client, 1)["args"] == ["one"]
    harness.obey()
    assert run(client, 1)["state"] == "running" and run(client, 1)["instance"] == "job.1.g1"
    with pytest.raises(ApiError, match=r"run 1 has not ended.*forbid") as refused:
        client.post("/v1/workloads/job/run")
    assert refused.value.status == 409
    finish(harness, 1, code=3)
    after = run(client, 1)
    assert (after["state"], after["exit_code"]) == ("failed", 3)
    assert after["cause"] == "operator" and "asked for by uid" in after["words"]


def test_a_dry_run_begins_nothing(harness: Harness, client: Client) -> None:
    harness.declare(NIGHTLY)
    view = client.post("/v1/workloads/job/run", {}, {"dry_run": True})
    assert view["dry_run"] and view["workloads"][0]["verb"] == "run" and view["run"] == 0
    assert client.get("/v1/workloads/job/runs") == []
    with pytest.raises(ApiError, match="run 7 is not remembered"):
        client.get("/v1/workloads/job/runs", {"number": 7})


def test_what_is_no_job_has_no_runs(harness: Harness, client: Client) -> None:
    harness.declare(WEB)
    with pytest.raises(ApiError, match="it is a service"):
        client.post("/v1/workloads/web/run")
    with pytest.raises(ApiError, match="cannot show the runs of web: it is a service, no job"):
        client.get("/v1/workloads/web/runs")
    with pytest.raises(ApiError, match="NUL"):
        client.post("/v1/workloads/web/run", {"args": ["a\0b"]})


def test_waiting_ends_with_the_run(harness: Harness, client: Client) -> None:
    harness.declare(NIGHTLY)
    client.post("/v1/workloads/job/run")
    harness.obey()
    early = client.get("/v1/workloads/job/runs", {"number": 1, "timeout": "0.05"})[0]
    assert early["state"] == "running" and early["ended_at"] is None
    found: list[Any] = []

    def wait() -> None:
        query = {"number": 1, "timeout": "30"}
        found.extend(harness.client.get("/v1/workloads/job/runs", query, timeout=40))

    waiting = threading.Thread(target=wait)
    waiting.start()
    finish(harness, 1)
    waiting.join(10)
    assert found[0]["state"] == "succeeded" and found[0]["ended_at"]


def test_status_has_the_next_and_the_last_run(harness: Harness, client: Client) -> None:
    harness.declare(NIGHTLY)
    view = client.get("/v1/status", {"name": "job"})[0]
    assert view["state"] == "scheduled" and view["ready"] == view["desired"] == 0
    assert view["job"]["next_at"] == "2023-11-15T03:30:00.000Z"
    assert view["job"]["next_words"] == "2023-11-15 03:30 UTC" and view["job"]["last"] is None
    client.post("/v1/workloads/job/run")
    harness.obey()
    view = client.get("/v1/status", {"name": "job"})[0]
    assert (view["state"], view["desired"], view["ready"]) == ("running", 1, 1)
    assert view["job"]["active"] == 1
    finish(harness, 1, code=1)
    view = client.get("/v1/status", {"name": "job"})[0]
    assert view["state"] == "failed"
    assert view["reason"] == ("run 1 failed: exited with code 1; next run at 2023-11-15 03:30 UTC")
    assert view["job"]["last"]["number"] == 1
    assert view["instances"][0]["state"] == "failed"


def test_a_due_time_comes(harness: Harness, client: Client) -> None:
    harness.declare(NIGHTLY)

    def later() -> None:
        standin = harness.standin
        standin.clock.time += 86400.0
        engine = replace(standin.world.engine, list_due=1e12)
        world = replace(standin.world, engine=engine)
        standin.put(absorb(world, Tick(), standin.clock.now()))

    harness.do(later)
    assert client.get("/v1/workloads/job/runs") == [], "too late by more than the window"
    view = client.get("/v1/status", {"name": "job"})[0]
    assert "was missed" in view["job"]["skipped"]
    now = client.get("/v1/workloads/job/why")["now"]
    assert any("next run at 2023-11-16 03:30 UTC" in words for words in now)
    events = client.get("/v1/workloads/job/why")["events"]
    assert any(e["code"] == "RunMissed" for e in events)
    plan = client.get("/v1/plan")
    assert all(p["verb"] == "none" for p in plan["workloads"]), "nothing waits"


def test_wait_for_a_job_ends_when_it_is_done(harness: Harness, client: Client) -> None:
    once = spec("job", 'kind = "job"')
    harness.declare(once)
    with pytest.raises(ApiError, match="not ready after"):
        client.get("/v1/workloads/job/wait", {"timeout": "0.05"})
    finish(harness, 1)
    assert client.get("/v1/workloads/job/wait", {"timeout": "5"})[0]["state"] == "completed"
