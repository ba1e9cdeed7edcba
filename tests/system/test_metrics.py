"""A real Prometheus reads a real daemon, that restarts a real container."""

from __future__ import annotations

import os
import signal
from pathlib import Path

from tests.lab.wait import wait_for
from tests.metrics.prometheus import free_port, needs_prometheus, prometheus
from tests.system.host import Host


@needs_prometheus
def test_prometheus_sees_a_restart(host: Host, tmp_path: Path) -> None:
    address = f"127.0.0.1:{free_port()}"
    host.stop()
    host.configure(f'[metrics]\nlisten = "{address}"\n')
    host.start()
    host.sleeper("web", '[restart]\nbackoff = { initial = "20ms", max = "50ms" }\n')
    pid = host.running("web")["instances"][0]["pid"]
    with prometheus(tmp_path, address) as server:
        restarts = 'nodeorch_workload_restarts_total{workload="web"}'
        wait_for(lambda: server.value(restarts) == 0, 30.0)
        os.kill(pid, signal.SIGKILL)
        wait_for(lambda: server.value(restarts) == 1, 30.0)
        assert server.value('up{job="nodeorch"}') == 1
        assert server.value('nodeorch_workload_exits_total{workload="web"}') == 1
        wait_for(lambda: server.value("nodeorch_restart_down_seconds_count") == 1, 10.0)
        down = server.value("nodeorch_restart_down_seconds_sum")
        assert down is not None and 0 < down < 10
        starts = 'nodeorch_engine_calls_total{operation="start",result="ok"}'
        assert (server.value(starts) or 0) >= 2
        wait_for(lambda: server.value('nodeorch_workload_ready_replicas{workload="web"}') == 1)
        assert (server.value('scrape_samples_scraped{job="nodeorch"}') or 0) > 150
        types = server.get("targets/metadata", metric="nodeorch_loop_step_seconds")
        assert [t["type"] for t in types] == ["histogram"]
        groups = server.get("rules")["groups"]
        broken = [r for g in groups for r in g["rules"] if r.get("lastError")]
        assert groups and not broken


def test_health_tells_of_an_engine_that_is_gone(host: Host) -> None:
    wait_for(lambda: _refused(host, "/readyz") == "", 30.0)
    host.lab.freeze()
    try:
        wait_for(lambda: "engine: " in _refused(host, "/readyz"), 30.0)
        assert host.client.get("/healthz") == {"ok": True}, "no reason to restart the daemon"
    finally:
        host.lab.thaw()
    wait_for(lambda: _refused(host, "/readyz") == "", 30.0)


def _refused(host: Host, path: str) -> str:
    """Why; empty: it is not."""
    try:
        host.client.get(path)
    except Exception as error:
        return str(error)
    return ""
