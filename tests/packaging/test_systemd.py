"""nodeorch, installed, under a real systemd with a real Podman.

Needs a root file system that packaging/systemd-root makes; its path in
NODEORCH_TEST_SYSTEMD_ROOT. packaging/check sees to both.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.lab import Lab, wait_for
from tests.packaging.machine import Machine

ROOT = Path(os.environ.get("NODEORCH_TEST_SYSTEMD_ROOT", "/nonexistent"))

pytestmark = pytest.mark.skipif(
    not (ROOT / ".made-from").exists(),
    reason="no root with systemd: run packaging/systemd-root DIR, set NODEORCH_TEST_SYSTEMD_ROOT",
)


def workload(name: str, *, after: str = "", parting: str = "") -> str:
    """Appends to /srv/shared/order when told to stop, after the ``parting`` command."""
    script = (
        f"trap '{parting} echo {name} >> /shared/order; exit 0' TERM; "
        "while :; do sleep 1000 & wait $!; done"
    )
    return f"""
[workload]
name = "{name}"
image = "localhost/bb:1"
command = ["sh", "-c", "{script}"]
after = [{f'"{after}"' if after else ""}]

[resources]
memory = "32MiB"

[[volumes]]
source = "/srv/shared"
target = "/shared"

[update]
settle = "100ms"
"""


def running(shown: dict[str, dict[str, Any]]) -> bool:
    return len(shown) == 2 and all(each["ready"] == 1 for each in shown.values())


@pytest.fixture
def machine(lab: Lab) -> Iterator[Machine]:
    """nodeorch is installed, and the workload web runs, which needs db."""
    machine = Machine(lab, ROOT)
    try:
        machine.boot()
        machine.run("/src/packaging/install")
        machine.make_image("localhost/bb:1")
        # db ends at once, web takes its time: only an order of stopping puts web first.
        machine.write("/etc/nodeorch/workloads.d/db.toml", workload("db"))
        machine.write(
            "/etc/nodeorch/workloads.d/web.toml", workload("web", after="db", parting="sleep 2;")
        )
        machine.until(running, "both workloads run")
        yield machine
    finally:
        machine.remove()


def main_pid(machine: Machine) -> str:
    return machine.run("systemctl", "show", "--property=MainPID", "--value", "nodeorchd")


def test_the_daemon_comes_and_goes_and_the_host_shuts_down(machine: Machine) -> None:
    """One machine for the whole life, because booting is what takes the time."""
    before = machine.first_processes()
    stat = ("stat", "-c", "%U:%G %a", "/run/nodeorch/nodeorch.sock")
    assert machine.run(*stat) == "root:root 660"
    machine.write(
        "/etc/nodeorch/nodeorch.toml",
        '[api]\ngroup = "nodeorch-viewer"\n[metrics]\nlisten = "127.0.0.1:9464"\n',
    )
    for command in (
        ["systemctl", "restart", "nodeorchd"],
        ["systemctl", "reload", "nodeorchd"],
        ["systemctl", "kill", "--kill-whom=main", "--signal=KILL", "nodeorchd"],
        ["/src/packaging/install"],  # an upgrade
    ):
        pid = main_pid(machine)
        machine.run(*command)
        if command[1:2] != ["reload"]:
            wait_for(lambda old=pid: main_pid(machine) not in (old, "0"), 20.0, "a new daemon")
        machine.until(running, f"both run after {command}")
        assert machine.first_processes() == before, command
    assert machine.run(*stat) == "root:nodeorch-viewer 660"
    scrape = "from urllib.request import *; print(urlopen('http://127.0.0.1:9464/metrics').read())"
    assert "nodeorch_engine_answering 1" in machine.run("python3", "-c", scrape)
    examined = json.loads(machine.run("nodeorch", "doctor", "--json", check=False))
    grave = [each for each in examined["findings"] if each["severity"] == "error"]
    assert (grave, examined["ok"], examined["unseen"]) == ([], True, [])
    stop = "systemctl stop nodeorch-shutdown || echo no"
    assert machine.run("sh", "-c", stop) == "no"
    assert not (machine.shared / "order").exists()
    machine.shut_down()
    assert (machine.shared / "order").read_text().split() == ["web", "db"]
    machine.power_on()
    machine.until(running, "both run after the next boot")
