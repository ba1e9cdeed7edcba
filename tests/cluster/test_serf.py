"""Real agents of Serf, with the files that the commands wrote."""

from __future__ import annotations

import contextlib
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.conftest import ROOT, Host
from tests.lab.wait import wait_for

ROTATE = Path(__file__).with_name("rotate.py")


@pytest.fixture(autouse=True)
def installed() -> None:
    if shutil.which("serf") is None:
        pytest.skip("Serf is not installed")


class Agent:
    def __init__(self, host: Host, rpc: int) -> None:
        self.host, self.rpc = host, f"127.0.0.1:{rpc}"
        text = host.config.read_text()
        host.config.write_text(text + f'serf = "{self.rpc}"\n')

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        command = ["serf", "agent", "-config-file", str(self.host.files / "serf.json")]
        with open(self.host.folder / "serf.log", "ab") as log:
            process = subprocess.Popen(self.inside(command), stdout=log, stderr=log)
        try:
            yield
        finally:
            process.kill()
            process.wait()

    def inside(self, command: list[str]) -> list[str]:
        return ["nsenter", f"--net=/run/netns/{self.host.network}", *command]

    def alive(self) -> list[str]:
        key = (self.host.files / "rpc.key").read_text()
        command = ["serf", "members", f"-rpc-addr={self.rpc}", f"-rpc-auth={key}", "-format=json"]
        done = subprocess.run(self.inside(command), capture_output=True, text=True)
        members = json.loads(done.stdout)["members"] if done.returncode == 0 else []
        return sorted(each["name"] for each in members if each["status"] == "alive")

    def ring(self) -> list[str]:
        found: list[str] = json.loads((self.host.files / "keyring.json").read_text())
        return found

    def rotate(self, *hosts: str) -> subprocess.CompletedProcess[str]:
        words = [sys.executable, ROTATE, self.host.files, self.rpc, *hosts]
        return subprocess.run(
            self.inside(list(map(str, words))),
            cwd=ROOT,
            env={"PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
        )


def test_hosts_find_each_other_and_change_the_key_of_the_gossip(h1: Host, h2: Host) -> None:
    one, two = Agent(h1, 7373), Agent(h2, 7374)
    h1.init()
    with h1.door():
        h2.run(*h2.joining(h1.token()))
    [old] = one.ring()
    assert two.ring() == [old]
    with one.running():
        with two.running():
            wait_for(lambda: one.alive() == two.alive() == ["h1", "h2"], 15.0)
            done = one.rotate("h1", "h2", "h3")
            assert done.returncode == 1 and "2 of 3 hosts have it" in done.stderr
            assert one.ring()[0] == two.ring()[0] == old
            done = one.rotate("h1", "h2")
            assert done.returncode == 0, done.stderr
            assert done.stdout.splitlines()[-1] == "1 former key removed"
            assert one.ring() == two.ring() != [old]
            assert len(one.ring()) == 1
            assert (h2.files / "keyring.json").stat().st_mode & 0o777 == 0o600
        with two.running():  # it comes back with the new one
            wait_for(lambda: two.alive() == ["h1", "h2"], 15.0)


def test_who_has_no_key_is_not_let_in(h1: Host, h2: Host) -> None:
    one, two = Agent(h1, 7373), Agent(h2, 7374)
    h1.init()
    h2.init()
    config = json.loads((h2.files / "serf.json").read_text())
    config["retry_join"] = ["10.77.0.1"]
    (h2.files / "serf.json").write_text(json.dumps(config))
    log = h2.folder / "serf.log"
    with one.running(), two.running():
        wait_for(lambda: log.exists() and b"ailed to join" in log.read_bytes(), 15.0)
        assert (one.alive(), two.alive()) == (["h1"], ["h2"])
