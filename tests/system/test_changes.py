"""A change, and streams, over the death of the daemon."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

import pytest

from tests.lab import Lab
from tests.system.host import Host
from tests.system.kit import ROOT, as_json, one_host, run

TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"

STUBBORN = """\
[workload]
name = "web"
image = "localhost/bb:1"
command = ["sh", "-c", "trap '' TERM; while :; do sleep 1; done"]
networks = ["none"]
[resources]
memory = "32MiB"
[stop]
grace = "2s"
"""
"""To stop it takes its time."""


def test_a_change_and_its_followers_outlive_the_daemon(
    lab_session: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    with one_host(lab_session) as host:
        host.declare("web", STUBBORN)
        before = host.running("web")["instances"][0]
        events = follow(host, "events", "-f")
        numbers = [line(events)["seq"]]
        monkeypatch.setenv("TRACEPARENT", TRACE)
        number = host.client.post("/v1/workloads/web/restart")["change"]
        monkeypatch.delenv("TRACEPARENT")
        change = follow(host, "changes", str(number), "-f")
        assert line(change)["state"] == "doing"
        host.kill()
        host.start()
        seen = as_json(host, "changes", str(number))
        assert (seen["state"], seen["trace"], seen["verb"]) == ("doing", TRACE, "restart")
        assert seen["waits"][0].startswith("web is ")
        while line(change)["state"] == "doing":
            pass
        _, erred = change.communicate(timeout=30)
        after = host.one("web")["instances"][0]
        assert after["pid"] != before["pid"] and after["container_id"] == before["container_id"]
        assert change.returncode == 0 and "nodeorchd answers again" in erred, erred
        last = json.loads(host.cli("--json", "events", "--last", "1"))["seq"]
        while numbers[-1] < last:
            numbers.append(line(events)["seq"])
        events.kill()
        events.communicate()
        assert numbers == list(range(numbers[0], last + 1)), "no loss, no repetition"
        assert f"traceparent {TRACE}" in host.log.read_text()
        assert run(host, "changes").stdout.count("restart") == 1


def follow(host: Host, *verb: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "nodeorch.cli.main", "--socket", str(host.socket), "--json", *verb],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )


def line(reader: subprocess.Popen[str]) -> dict[str, Any]:
    assert reader.stdout is not None
    found: dict[str, Any] = json.loads(reader.stdout.readline())
    return found
