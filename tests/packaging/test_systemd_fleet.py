"""A fleet under a real systemd: what the units of the daemon and of Serf are allowed is enough."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.lab import Lab, wait_for
from tests.packaging import test_systemd
from tests.packaging.machine import Machine

pytestmark = test_systemd.pytestmark
OTHER = "10.61.0.2"
KEYS = "/etc/nodeorch/cluster/keyring.json"


@pytest.fixture
def machine(lab: Lab) -> Iterator[Machine]:
    machine = Machine(lab, test_systemd.ROOT, "h1")
    try:
        machine.boot()
        machine.run("/src/packaging/install")
        yield machine
    finally:
        machine.remove()


def show(machine: Machine, unit: str, what: str) -> str:
    return machine.run("systemctl", "show", f"--property={what}", "--value", unit)


def test_a_fleet_from_init_to_leave(machine: Machine) -> None:
    assert show(machine, "serf.service", "LoadState") == "masked"
    assert show(machine, "nodeorch-serf.service", "ActiveState") == "inactive"
    address = machine.run("hostname", "-I").split()[0]
    out = machine.run("nodeorch", "cluster", "init", "--address", address, "--name", "h1")
    assert "nodeorch-serf.service and nodeorchd.service were started" in out

    def members() -> list[str]:
        shown = machine.run("nodeorch", "--json", "members", check=False)
        return [each["name"] for each in json.loads(shown or "[]") if each["state"] == "up"]

    wait_for(lambda: members() == ["h1"], 30.0, "a fleet of one")
    _the_gossip_has_another_key(machine)
    _another_host_is_let_in(machine, address)
    _a_killed_serf_comes_back_and_a_restarted_daemon_leaves_it(machine)
    examined = json.loads(machine.run("nodeorch", "doctor", "--json", check=False))
    found = {each["code"] for each in examined["findings"] if each["severity"] == "error"}
    found |= {each["code"] for each in examined["findings"] if "fleet" in each["code"]}
    assert (found, examined["unseen"]) == (set(), [])
    assert "Containers run on" in machine.run("nodeorch", "cluster", "leave", "--force")
    assert show(machine, "nodeorch-serf.service", "ActiveState") == "inactive"
    assert machine.run("nodeorch", "--json", "members") == "[]"


def _the_gossip_has_another_key(machine: Machine) -> None:
    before = json.loads(machine.run("cat", KEYS))
    wait_for(lambda: "removed" in machine.run("nodeorch", "cluster", "rotate", "key", check=False))
    after = json.loads(machine.run("cat", KEYS))
    assert len(after) == 1 and after != before


def _another_host_is_let_in(machine: Machine, address: str) -> None:
    """By a child of the daemon, inside of what its unit allows; a second folder is the host."""
    machine.run("ip", "address", "add", f"{OTHER}/32", "dev", "lo")
    machine.run("mkdir", "-p", "/srv/h2")
    machine.write("/srv/h2/nodeorch.toml", '[cluster]\nfiles = "/srv/h2/cluster"\n')
    token = machine.run("nodeorch", "cluster", "token")
    words = ("nodeorch", "cluster", "join", token, address, "--address", OTHER, "--name", "h2")
    config = ("--config", "/srv/h2/nodeorch.toml")
    assert "Joined the fleet fleet, with h1" in machine.run(*words, *config)
    renewed = machine.run("nodeorch", "cluster", "rotate", "certificate", *config)
    assert "The new certificate of h2" in renewed
    machine.run("rm", "-r", "/srv/h2")


def _a_killed_serf_comes_back_and_a_restarted_daemon_leaves_it(machine: Machine) -> None:
    def pid() -> str:
        return show(machine, "nodeorch-serf.service", "MainPID")

    killed = pid()
    machine.run("systemctl", "kill", "--signal=KILL", "nodeorch-serf")
    wait_for(lambda: pid() not in (killed, "0"), 20.0, "another Serf")
    now = pid()
    machine.run("systemctl", "restart", "nodeorchd")
    assert pid() == now
