"""Probes against real containers: who waits, who is restarted and why, and that none pile up."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.lab.wait import wait_for
from tests.system.host import Host
from tests.system.kit import as_json, clear, events, patiently, runs, until_event


@pytest.fixture
def host(shared: Host) -> Iterator[Host]:
    yield shared
    clear(shared)


def declare(host: Host, name: str, command: str, probes: str, top: str = "") -> None:
    host.declare(
        name,
        f"""\
[workload]
name = "{name}"
image = "localhost/bb:1"
command = ["sh", "-c", "{command}"]
{top}
[resources]
memory = "32MiB"
[stop]
grace = "100ms"
[restart]
backoff = {{ initial = "20ms", max = "50ms" }}
{probes}
""",
    )


def probe(kind: str, what: str, timeout: str = "5s", failures: int = 2) -> str:
    """Patient, so that a busy machine fails none."""
    return f"""\
[probes.{kind}]
{what}
interval = "150ms"
timeout = "{timeout}"
failures = {failures}
"""


SLEEP = "exec sleep 1000000"
WEB = "exec httpd -f -p 8080 -h /tmp"
PAGE = 'http = { port = 8080, path = "/page", body = "fine" }'


def inside(host: Host, name: str, command: str) -> None:
    container = host.instance(name)["container_id"]
    host.lab.podman("exec", container, "sh", "-c", command)


def seen(host: Host, name: str, kind: str) -> dict[str, Any]:
    """The last try; {} before the first."""
    found: dict[str, Any] = (host.instance(name).get("probes") or {}).get(kind, {})
    return found


def until_tried(host: Host, name: str, kind: str, more: int = 1) -> dict[str, Any]:
    """After so many more tries: the last of them."""
    before = seen(host, name, kind).get("runs", 0)
    try:
        wait_for(lambda: seen(host, name, kind).get("runs", 0) >= before + more, 20)
    except AssertionError:
        raise AssertionError(f"{kind} is not tried: {host.one(name)}\n{host.journal()}") from None
    return seen(host, name, kind)


def test_http_readiness_holds_back_what_comes_after(host: Host) -> None:
    declare(host, "web", WEB, probe("readiness", PAGE))
    declare(host, "app", SLEEP, "", 'after = ["web"]\nnetworks = ["none"]')
    until_tried(host, "web", "readiness", 3)
    web, app = host.one("web"), host.one("app")
    assert (web["state"], web["ready"]) == ("starting", 0)
    assert not seen(host, "web", "readiness")["passed"]
    assert "404" in seen(host, "web", "readiness")["words"]
    assert app["state"] == "pending" and "waits for web to be ready" in app["reason"]
    assert all(i["pid"] == 0 for i in app["instances"])

    inside(host, "web", "echo wrong > /tmp/page")
    wait_for(lambda: "fine" in seen(host, "web", "readiness")["words"], 10)
    assert not seen(host, "web", "readiness")["passed"]
    inside(host, "web", "echo all is fine > /tmp/page")
    host.running("web")
    host.running("app")
    ready = until_event(host, "Ready", "web")
    started = next(e for e in events(host, workload="app") if e["details"].get("verb") == "start")
    assert started["seq"] > ready["seq"]

    before = runs(host)
    inside(host, "web", "rm /tmp/page")  # not ready any more: told, and nothing restarted
    host.until("web", lambda w: w["ready"] == 0 and "readiness probe" in w["reason"])
    until_event(host, "NotReady", "web")
    inside(host, "web", "echo fine > /tmp/page")
    host.running("web")
    assert runs(host) == before


def test_tcp_and_exec_readiness(host: Host) -> None:
    declare(host, "tcp", SLEEP, probe("readiness", "tcp = { port = 8081 }"))
    declare(host, "cmd", SLEEP, probe("readiness", 'exec = ["ls", "/tmp/here"]'))
    assert "refused" in until_tried(host, "tcp", "readiness")["words"]
    assert "No such file" in until_tried(host, "cmd", "readiness")["words"]
    assert host.one("tcp")["ready"] == host.one("cmd")["ready"] == 0
    inside(host, "tcp", "httpd -p 8081")
    inside(host, "cmd", "touch /tmp/here")
    host.running("tcp")
    host.running("cmd")
    assert seen(host, "tcp", "readiness")["passed"] and seen(host, "cmd", "readiness")["passed"]
    assert "passes" in host.cli("status", "tcp")


@pytest.mark.parametrize(
    ("what", "break_it", "said"),
    [
        ('exec = ["sh", "-c", "cat /tmp/x && exit 3; :"]', "echo I am sick > /tmp/x", "I am sick"),
        (PAGE, "rm /tmp/page", "404"),
        ("tcp = { port = 8080 }", "killall httpd", "refused"),
    ],
    ids=["exec", "http", "tcp"],
)  # fmt: skip
def test_a_failed_liveness_restarts_and_why_says_its_words(
    host: Host, what: str, break_it: str, said: str
) -> None:
    command = "echo fine > /tmp/page; httpd -p 8080 -h /tmp; exec sleep 1000000"
    declare(host, "web", command, probe("liveness", what) + probe("readiness", PAGE))
    host.running("web")
    assert until_tried(host, "web", "liveness")["passed"]
    before = host.instance("web")
    inside(host, "web", break_it)
    after = host.until("web", lambda w: w["ready"] == 1 and w["instances"][0]["restarts"] == 1)
    (now,) = after["instances"]
    assert now["container_id"] == before["container_id"] and now["pid"] != before["pid"]
    assert "liveness probe failed" in now["reason"] and said in now["reason"]
    told = as_json(host, "why", "web")
    chain = [e["code"] for e in told["events"] if said in e["words"]]
    assert chain[0] == "ProbeFailed" and "Restart" in chain  # seen, decided, done
    assert said in host.cli("why", "web")


def _says_why(host: Host) -> None:
    held = as_json(host, "why", "slow")["now"]
    assert any("it was never ready" in words for words in held), held


def test_liveness_kills_nothing_that_was_never_ready(host: Host) -> None:
    """Until its time to become ready is over."""
    update = '[update]\ndeadline = "4s"\n'
    never = probe("liveness", 'exec = ["false"]') + probe("readiness", "tcp = { port = 1 }")
    declare(host, "slow", SLEEP, never + update)
    until_event(host, "ProbeFailed", "slow", "liveness")
    told = host.until("slow", lambda w: w["instances"] and w["instances"][0]["pid"] > 0)
    patiently(lambda: _says_why(host), 2.0)
    assert told["instances"][0]["restarts"] == 0
    host.until("slow", lambda w: w["instances"] and w["instances"][0]["restarts"] >= 1)
    ends = [e for e in events(host, "ProbeFailed", "slow") if "ran_seconds" in e["details"]]
    assert ends and all(e["details"]["ran_seconds"] >= 4 for e in ends)


def test_startup_holds_the_others_back(host: Host) -> None:
    probes = (
        probe("startup", 'exec = ["ls", "/tmp/started"]', failures=100)
        + probe("liveness", 'exec = ["ls", "/tmp/alive"]')
        + probe("readiness", 'exec = ["true"]')
    )
    declare(host, "slow", SLEEP, probes)
    until_tried(host, "slow", "startup", 3)
    view = host.instance("slow")
    assert set(view["probes"]) == {"startup"} and not view["ready"]
    assert "startup probe has not passed" in host.one("slow")["reason"]
    inside(host, "slow", "touch /tmp/alive /tmp/started")
    host.running("slow")
    assert until_tried(host, "slow", "liveness")["passed"]
    assert host.instance("slow")["restarts"] == 0
    inside(host, "slow", "rm /tmp/alive")
    again = host.until("slow", lambda w: w["instances"] and w["instances"][0]["restarts"] == 1)
    assert "liveness probe failed" in again["instances"][0]["reason"]
    until_tried(host, "slow", "startup")  # a new run begins anew
    assert set(host.instance("slow")["probes"]) == {"startup"}


def test_a_startup_that_never_passes_restarts(host: Host) -> None:
    declare(host, "slow", SLEEP, probe("startup", 'exec = ["sh", "-c", "echo still cold; false"]'))
    view = host.until("slow", lambda w: w["instances"] and w["instances"][0]["restarts"] >= 1)
    assert "startup probe failed" in until_event(host, "ProbeFailed", "slow", "still cold")["words"]
    assert view["ready"] == 0


def daemon_sockets(host: Host) -> int:
    count = 0
    for entry in Path(f"/proc/{host.pid}/fd").iterdir():
        try:
            count += os.readlink(entry).startswith("socket:")
        except OSError:
            continue
    return count


def processes(container_id: str) -> int:
    """In the container, as the kernel counts; v1 and v2."""
    for path in Path("/proc").glob("[0-9]*/cgroup"):
        try:
            lines = [x for x in path.read_text().splitlines() if f"libpod-{container_id}" in x]
        except OSError:
            continue
        for line in lines:
            _, controller, place = line.split(":", 2)
            procs = Path("/sys/fs/cgroup") / controller / place.lstrip("/") / "cgroup.procs"
            if procs.exists():
                return len(procs.read_text().split())
    return 0


def test_targets_that_hang_do_not_pile_up(host: Host) -> None:
    declare(host, "web", WEB, probe("liveness", PAGE, "100ms", failures=900))
    declare(host, "tcp", WEB, probe("readiness", "tcp = { port = 8080 }"))
    hung = probe("readiness", 'exec = ["sleep", "1000000"]', "100ms")
    declare(host, "cmd", SLEEP, hung, 'networks = ["none"]')
    until_tried(host, "web", "liveness")
    until_tried(host, "cmd", "readiness", 2)
    host.running("tcp")
    sockets = daemon_sockets(host)
    frozen = host.instance("web")
    os.kill(frozen["pid"], signal.SIGSTOP)  # it takes connections and answers none
    most = 0
    tried = seen(host, "web", "liveness")["runs"]

    def watch() -> bool:
        nonlocal most
        most = max(most, daemon_sockets(host))
        return bool(seen(host, "web", "liveness")["runs"] >= tried + 15)

    wait_for(watch, 30)
    assert "no answer within 100ms" in seen(host, "web", "liveness")["words"]
    assert most <= sockets + 8, (sockets, most)
    assert processes(host.instance("cmd")["container_id"]) <= 3
    other = until_tried(host, "tcp", "readiness", 5)  # and nobody else waits for them
    assert other["passed"] and host.one("tcp")["ready"] == 1
    assert host.instance("web")["pid"] == frozen["pid"]
    os.kill(frozen["pid"], signal.SIGCONT)
