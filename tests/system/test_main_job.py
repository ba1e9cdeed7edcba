"""The main job: declared, running, killed, running again; seen through the real CLI."""

from __future__ import annotations

import json
import os
import signal

from tests.lab.wait import wait_for
from tests.system.host import Host


def test_one_file_one_container_kill_restart_status(host: Host) -> None:
    host.sleeper("web")
    view = host.running("web")
    (before,) = view["instances"]
    assert before["pid"] > 0 and before["memory_limit_bytes"] == 32 << 20
    os.kill(before["pid"], signal.SIGKILL)
    view = host.until("web", lambda w: w["instances"][0]["restarts"] == 1 and w["ready"] == 1)
    (after,) = view["instances"]
    assert after["container_id"] == before["container_id"]
    assert after["pid"] not in (0, before["pid"])
    assert after["exit_code"] == 137
    listed = json.loads(host.cli("--json", "status"))
    assert [w["name"] for w in listed] == ["web"]
    assert "KILL" in host.cli("why", "web")
    os.unlink(host.specs / "web.toml")
    wait_for(lambda: host.client.get("/v1/node")["brake"] == ["web"], 10)
    host.cli("confirm")
    wait_for(lambda: host.status() == [] and host.lab.podman("ps", "-aq") == "", 20)
