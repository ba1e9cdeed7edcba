"""grpc probes, over TLS too, by the real daemon: what is said is seen, and what it caused."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lab import Lab
from tests.lab.certificates import NAME, Certificates
from tests.lab.grpcd import NOT_SERVING, SERVING, GrpcServer
from tests.system.host import Host
from tests.system.kit import as_json, one_host, until_event


@pytest.fixture
def host(lab_session: Lab) -> Iterator[Host]:
    with one_host(lab_session) as host:
        yield host


def spec(ready: int, tls: str, alive: int) -> str:
    return f"""\
[workload]
name = "ledger"
image = "localhost/bb:1"
command = ["sleep", "1000000"]
init = true
networks = ["host"]
[resources]
memory = "32MiB"
[probes.readiness]
grpc = {{ port = {ready}, {tls} }}
interval = "150ms"
timeout = "5s"
[probes.liveness]
grpc = {{ port = {alive}, service = "live" }}
interval = "150ms"
timeout = "5s"
failures = 2
"""


def test_grpc_gates_readiness_and_restarts(host: Host, tmp_path: Path) -> None:
    """The server is this test, on the host's network, which the workload shares."""
    certificates = Certificates(tmp_path)
    ready, alive = GrpcServer(certificates.pair()), GrpcServer()
    ready.say(NOT_SERVING)
    alive.say(SERVING, "live")
    tls = f'tls = true, ca = "{certificates.ca}", server_name = "{NAME}"'
    host.declare("ledger", spec(ready.port, tls, alive.port))
    view = host.until("ledger", lambda w: "not serving" in w["reason"])
    assert (view["state"], view["ready"]) == ("starting", 0)
    ready.say(SERVING)
    host.running("ledger")
    probes = host.instance("ledger")["probes"]
    assert probes["readiness"]["words"] == "serving" and probes["readiness"]["since"]
    before = host.instance("ledger")["pid"]

    ready.say(NOT_SERVING)
    until_event(host, "NotReady", "ledger")
    assert host.instance("ledger")["pid"] == before
    ready.say(SERVING)
    alive.say(NOT_SERVING, "live")
    host.until("ledger", lambda w: w["instances"][0]["restarts"] >= 1)
    alive.say(SERVING, "live")
    told = as_json(host, "why", "ledger")["events"]
    chain = [e for e in told if "liveness probe failed" in e["words"]]
    assert chain[0]["code"] == "ProbeFailed" and len(chain) > 1
    assert chain[0]["details"]["latency_ms"] > 0
    assert f"grpc 127.0.0.1:{alive.port} live: not serving" in host.cli("why", "ledger")
    for server in (ready, alive):
        server.stop()
