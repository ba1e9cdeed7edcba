"""The lab itself: a private Podman whose containers and ports the tests can reach."""

from __future__ import annotations

import os
import urllib.request
from pathlib import Path

from tests.lab import Lab, wait_for


def _get(url: str) -> str:
    try:
        with urllib.request.urlopen(url, timeout=1) as answer:
            return str(answer.read().decode())
    except OSError:
        return ""


def test_published_port_and_container_address_are_reachable(lab: Lab) -> None:
    script = "echo hello >/tmp/index.html; exec httpd -f -p 8080 -h /tmp"
    args = ["-p", "127.0.0.1:18080:8080", "localhost/bb:1", "sh", "-c", script]
    container = lab.podman("run", "-d", *args)
    wait_for(lambda: _get("http://127.0.0.1:18080/") == "hello\n", what="published port")
    address = lab.podman("inspect", "--format", "{{.NetworkSettings.IPAddress}}", container)
    assert _get(f"http://{address}:8080/") == "hello\n"


def test_kernel_limits_are_real(lab: Lab) -> None:
    container = lab.podman("run", "-d", "--memory=64m", "localhost/bb:1")
    pid = lab.pid(container)
    lines = Path(f"/proc/{pid}/cgroup").read_text().splitlines()
    assert any(container in line for line in lines)


def test_frozen_service_does_not_answer_and_comes_back(lab: Lab) -> None:
    lab.freeze()
    assert not lab.answers(timeout=0.2)
    lab.thaw()
    wait_for(lab.answers)
    pid = lab.service_pid
    lab.kill_service()
    assert not os.path.exists(f"/proc/{pid}")
    lab.start_service()
    assert lab.answers()


def test_image_configuration(lab: Lab) -> None:
    lab.build_image(
        "localhost/x:1",
        cmd=["a"],
        entrypoint=["/bin/echo"],
        env={"A": "b"},
        labels={"l": "1"},
        files={"/srv/x": "text"},
        healthcheck="CMD true",
    )
    assert lab.podman("run", "--rm", "localhost/x:1") == "a"
    assert lab.podman("run", "--rm", "--entrypoint=", "localhost/x:1", "cat", "/srv/x") == "text"
