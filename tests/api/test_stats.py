"""GET stats: one answer with all that is used, and the last hour of one workload."""

from __future__ import annotations

import pytest

from nodeorch.client.unix import ApiError, Client
from nodeorch.model.view import Pressure
from nodeorch.ports import ProbeResult
from tests.api.harness import WEB, Harness, spec
from tests.api.standin import Sample


def test_everything_in_one_answer(harness: Harness, client: Client) -> None:
    harness.declare(WEB, spec("db", "replicas = 2"))
    standin = harness.standin
    sample = Sample(12_900_000, 1.256, Pressure(cpu=3.333, io=0.0))
    passed = ProbeResult(True, "200", 0.0021, standin.clock.wall() - 2, 3, 7)
    failed = ProbeResult(False, "refused", 0.5, standin.clock.wall() - 2, 3, 7)
    harness.do(lambda: standin.samples.update({"web.0.g1": sample}))
    probes = {("web.0.g1", "readiness"): passed, ("web.0.g1", "liveness"): failed}
    harness.do(lambda: standin.probes.update(probes))
    view = client.get("/v1/stats")
    assert (view["node"], view["at"]) == ("h1", "2023-11-14T22:30:00.000Z")
    assert view["host"] == {
        "cpus": 2,
        "memory_total": 4 << 30,
        "memory_available": 1 << 30,
        "pressure": {"cpu": 52.8, "memory": 0.0, "io": 3.21},
    }
    assert [(i["workload"], i["name"]) for i in view["instances"]] == [
        ("db", "db.0.g1"), ("db", "db.1.g1"), ("web", "web.0.g1"),
    ]  # fmt: skip
    web = view["instances"][-1]
    assert (web["memory_bytes"], web["cpu_percent"]) == (12_900_000, 1.26)
    assert web["pressure"] == {"cpu": 3.33, "memory": None, "io": 0.0}
    assert (web["probe"], web["probe_passed"]) == ("readiness", True)
    assert web["probe_latency_ms"] == 2.1
    assert view["instances"][0]["probe_latency_ms"] is None


def test_looking_makes_samples_come_sooner(harness: Harness, client: Client) -> None:
    client.get("/v1/stats")
    client.get("/v1/status")
    assert harness.standin.looks == 1


def test_the_last_hour_with_its_times(harness: Harness, client: Client) -> None:
    harness.declare(spec("web", "replicas = 2"))
    standin = harness.standin

    def past() -> None:
        standin.past.add("web.0.g0", Sample(7, at=600.0))
        standin.past.add("web.0.g1", Sample(5, 1.0, at=935.0))
        standin.past.add("web.0.g1", Sample(9, 2.5, Pressure(memory=1.0), at=995.0))

    harness.do(past)
    view = client.get("/v1/workloads/web/stats")
    assert (view["workload"], view["step_seconds"]) == ("web", 30.0)
    first, second, gone = view["instances"]
    assert (gone["name"], gone["state"], gone["points"][0]["memory_bytes"]) == (
        "web.0.g0", "gone", 7,
    )  # fmt: skip
    assert (second["name"], second["state"], second["points"]) == ("web.1.g1", "running", [])
    nothing = {"cpu": None, "memory": None, "io": None}
    assert first["points"] == [
        {"at": "2023-11-14T22:28:50.000Z", "cpu_percent": 1.0, "memory_bytes": 5,
         "pressure": nothing},
        {"at": "2023-11-14T22:29:20.000Z", "cpu_percent": None, "memory_bytes": None,
         "pressure": nothing},
        {"at": "2023-11-14T22:29:50.000Z", "cpu_percent": 2.5, "memory_bytes": 9,
         "pressure": nothing | {"memory": 1.0}},
    ]  # fmt: skip


def test_of_the_unknown(client: Client) -> None:
    with pytest.raises(ApiError) as raised:
        client.get("/v1/workloads/nosuch/stats")
    assert raised.value.status == 404
