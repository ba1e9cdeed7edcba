"""``kill -9`` of the daemon at any moment: no orphan, no double, nothing touched for it."""

from __future__ import annotations

import socket
import time
from pathlib import Path

import pytest

from tests.lab.wait import wait_for
from tests.system.host import Host

ORIGINAL = """\
[workload]
name = "web"
image = "localhost/bb:1"
command = ["sleep", "1000000"]
networks = ["none"]
env = {{ V = "{v}" }}
[stop]
grace = "200ms"
"""


def started(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]


def containers(host: Host) -> list[str]:
    return sorted(host.lab.podman("ps", "-a", "--format", "{{.Names}}").split())


def test_stopping_and_killing_the_daemon_touches_no_container(host: Host) -> None:
    for name in ("a", "b"):
        host.sleeper(name)
    before = {n: host.running(n)["instances"][0] for n in ("a", "b")}
    ticks = {n: started(i["pid"]) for n, i in before.items()}
    for end in (host.stop, host.kill):
        end()
        host.start()
        for name, old in before.items():
            new = host.running(name)["instances"][0]
            assert (new["pid"], new["container_id"]) == (old["pid"], old["container_id"])
            assert started(new["pid"]) == ticks[name]
            assert new["restarts"] == 0
    assert "Adopted" in host.cli("--json", "events")


def test_what_died_while_the_daemon_was_away_is_started(host: Host) -> None:
    host.sleeper("web")
    old = host.running("web")["instances"][0]
    host.kill()
    host.lab.podman("kill", old["container_id"])
    host.start()
    view = host.until("web", lambda w: w["ready"] == 1 and w["instances"][0]["restarts"] == 1)
    assert view["instances"][0]["container_id"] == old["container_id"]
    assert view["instances"][0]["exit_code"] == 137


@pytest.mark.parametrize("delay", [0.0, 0.03, 0.06, 0.1, 0.15, 0.25])
def test_killed_in_the_middle_of_a_creation(host: Host, delay: float) -> None:
    host.sleeper("bystander")
    bystander = host.running("bystander")["instances"][0]
    host.sleeper("web", replicas=3)
    wait_for(lambda: host.one("web") or None, 10)
    time.sleep(delay)  # the moment is the point of this test, not a wait
    host.kill()
    host.start()
    host.until("web", lambda w: w["ready"] == 3)
    assert containers(host) == ["bystander.0.g1", "web.0.g1", "web.1.g1", "web.2.g1"]
    assert host.one("bystander")["instances"][0]["pid"] == bystander["pid"]


@pytest.mark.parametrize("delay", [0.0, 0.1, 0.3, 1.2, 1.5])
def test_killed_in_the_middle_of_a_replacement(host: Host, delay: float) -> None:
    host.declare("web", ORIGINAL.format(v=1))
    host.running("web")
    host.declare("web", ORIGINAL.format(v=2))
    host.until("web", lambda w: w["generation"] == 2, 10)
    time.sleep(delay)  # the moment is the point of this test, not a wait
    host.kill()
    host.start()
    host.until("web", lambda w: w["ready"] == 1 and w["state"] == "running")
    wait_for(lambda: containers(host) == ["web.0.g2"], 20)
    assert "V=2" in host.lab.podman("exec", "web.0.g2", "env").split()


def test_killed_in_the_middle_of_a_pull(host: Host) -> None:
    host.sleeper("web")
    before = host.running("web")["instances"][0]
    with socket.create_server(("127.0.0.1", 0)) as silent:  # a registry that never answers
        image = f"127.0.0.1:{silent.getsockname()[1]}/bb:2"
        path = host.specs / "web.toml"
        host.declare("web", path.read_text().replace("localhost/bb:1", image))
        silent.settimeout(30)
        asked, _ = silent.accept()
        with asked:
            host.kill()
            host.start()
            view = host.until("web", lambda w: w["generation"] == 2 and w["ready"] == 1)
            assert view["state"] == "updating"
            assert view["instances"][0]["pid"] == before["pid"]
    host.sleeper("web", "[logs]\nmax_size = '1MiB'\n")
    host.until("web", lambda w: w["generation"] == 3 and w["state"] == "running")
    wait_for(lambda: containers(host) == ["web.0.g3"], 20)


@pytest.mark.parametrize("delay", [0.0, 0.1, 0.3])
def test_killed_in_the_middle_of_a_removal(host: Host, delay: float) -> None:
    host.sleeper("web", replicas=2)
    host.sleeper("bystander")
    host.until("web", lambda w: w["ready"] == 2)
    host.running("bystander")
    host.cli("delete", "web")
    time.sleep(delay)  # the moment is the point of this test, not a wait
    host.kill()
    host.start()
    wait_for(lambda: containers(host) == ["bystander.0.g1"], 30)
    wait_for(lambda: [w["name"] for w in host.status()] == ["bystander"], 10)
