"""What instances use and say, of real containers: top, stats, logs of several."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from tests.cli.terminal import Terminal
from tests.lab import Lab
from tests.lab.wait import wait_for
from tests.system.host import Host
from tests.system.kit import as_json, one_host, run

WORKER = """\
[workload]
name = "{name}"
image = "localhost/bb:1"
command = ["sh", "-c", "{command}"]
networks = ["none"]
[resources]
memory = "32MiB"
cpu = 0.2
[stop]
grace = "100ms"
"""


COMMANDS = {
    "idle": "while :; do echo tick; sleep 0.5; done",
    "busy": "echo one; echo two; while :; do :; done",
}
SAID = {"idle": "tick\n", "busy": "two\n"}


@pytest.fixture(scope="module")
def host(lab_session: Lab) -> Iterator[Host]:
    """One that speaks now and then; then one that works."""
    with one_host(lab_session) as host:
        for name, command in COMMANDS.items():
            host.declare(name, WORKER.format(name=name, command=command))
            host.running(name)
            wait_for(lambda name=name: SAID[name] in host.cli("logs", name), 10, f"{name} speaks")
        yield host


def by_name(view: dict[str, Any]) -> dict[str, Any]:
    return {i["workload"]: i for i in view["instances"]}


def test_top_shows_who_works(host: Host) -> None:
    def seen() -> dict[str, Any] | None:
        found = by_name(as_json(host, "top", "--once"))
        return found if all(i["cpu_percent"] is not None for i in found.values()) else None

    found = wait_for(seen, 20, "two samples of each")
    assert found is not None
    assert found["busy"]["cpu_percent"] > 5 > found["idle"]["cpu_percent"]
    for each in found.values():
        assert 0 < each["memory_bytes"] < each["memory_limit_bytes"] == 32 << 20
        assert (each["state"], each["restarts"]) == ("running", 0)
    view = as_json(host, "top", "--once")
    assert view["host"]["memory_total"] == os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    assert (view["host"]["pressure"]["cpu"] is None) != os.path.exists("/proc/pressure/cpu")
    lines = host.cli("top", "--once", "--sort", "cpu").splitlines()
    assert [line.split(".")[0] for line in lines[3:]] == ["busy", "idle"]


def test_top_on_a_terminal(host: Host) -> None:
    screen = Terminal("top", socket=host.socket)
    try:
        assert "idle.0.g1" in screen.read("scroll")
        screen.type("q")
        assert screen.ends()[0] == 0
        assert screen.settings() == screen.before
    finally:
        screen.close()


def test_stats_has_points_with_their_times(host: Host) -> None:
    view = as_json(host, "stats", "busy")
    [instance] = view["instances"]
    assert instance["state"] == "running"
    last = instance["points"][-1]
    ago = datetime.now(UTC) - datetime.fromisoformat(last["at"])
    assert 0 <= ago.total_seconds() < 2 * view["step_seconds"] + 5
    assert 0 < last["memory_bytes"] < 32 << 20
    assert "memory limit 32.0MiB" in host.cli("stats", "busy")


def test_logs_of_both_are_in_the_order_of_time(host: Host) -> None:
    def lines() -> list[dict[str, Any]]:
        said = run(host, "logs", "busy", "idle", "--json").stdout
        return [json.loads(line) for line in said.splitlines()]

    wait_for(lambda: lines()[-1]["text"] == "tick", 10, "idle has spoken again")
    both = lines()
    times = [datetime.fromisoformat(line["at"]) for line in both]
    assert times == sorted(times)
    texts = [line["text"] for line in both]
    assert texts.index("one") < texts.index("two")  # Podman 4 tells whole seconds of the rest
    assert texts[-1] == "tick"

    said = host.cli("logs", "idle", "busy", "--grep", "^(one|nothing)$")
    assert said == "busy.0.g1 | one\n"
    since = both[texts.index("two")]["at"]
    after = host.cli("logs", "idle", "busy", "--since", since, "--grep", "two|tick")
    assert after.count("busy.0.g1 | two") == 1
    assert after.count("tick") >= len(texts) - texts.index("two") - 1
    assert host.cli("logs", "busy", "idle", "--since", "2124-05-01T10:00:00Z") == ""
