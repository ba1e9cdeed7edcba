"""The Podman service killed, restarted, frozen, moved: what runs keeps running."""

from __future__ import annotations

import os
import signal
import time

from tests.lab.wait import wait_for
from tests.system.host import Host, alive


def answering(host: Host) -> bool:
    return bool(host.client.get("/v1/node")["engine_answering"])


def test_a_killed_service_harms_nothing_and_is_taken_up_again(host: Host) -> None:
    host.sleeper("web")
    host.sleeper("other")
    before = host.running("web")["instances"][0]
    other = host.running("other")["instances"][0]
    host.lab.kill_service()
    wait_for(lambda: not answering(host), 20, "the daemon says that the engine is down")
    assert alive(before["pid"])
    os.kill(before["pid"], signal.SIGKILL)  # dies while nobody can start it
    host.sleeper("late")
    host.lab.start_service()
    view = host.until("web", lambda w: w["ready"] == 1 and w["instances"][0]["restarts"] == 1)
    assert view["instances"][0]["container_id"] == before["container_id"]
    assert view["instances"][0]["failures"] == 1, "the engine's absence is not counted"
    host.running("late")
    assert host.running("other")["instances"][0]["pid"] == other["pid"]
    assert answering(host)
    assert "EngineDown" in host.cli("--json", "events")


def test_a_frozen_service_is_a_condition_of_the_node_and_no_death(host: Host) -> None:
    host.sleeper("web")
    host.sleeper("other")
    pid = host.running("web")["instances"][0]["pid"]
    other = host.running("other")["instances"][0]["pid"]
    host.lab.freeze()
    try:
        os.kill(pid, signal.SIGKILL)
        host.sleeper("late")
        wait_for(lambda: not answering(host), 60, "the daemon says that the engine is silent")
        begun = time.monotonic()
        assert host.cli("status", timeout=10)
        assert time.monotonic() - begun < 8, "the API does not wait for the engine"
        assert host.one("other")["instances"][0]["pid"] == other
    finally:
        host.lab.thaw()
    host.until("web", lambda w: w["ready"] == 1, 60)
    host.running("late", 60)
    names = host.lab.podman("ps", "-a", "--format", "{{.Names}}").split()
    assert sorted(names) == ["late.0.g1", "other.0.g1", "web.0.g1"], "no double, no orphan"
    assert host.one("other")["instances"][0]["pid"] == other


def test_a_replaced_socket_is_found_again(host: Host) -> None:
    host.sleeper("web")
    pid = host.running("web")["instances"][0]["pid"]
    host.lab.restart_service()  # unlinks the socket and binds a new one
    host.sleeper("late")
    host.running("late")
    assert host.running("web")["instances"][0]["pid"] == pid
