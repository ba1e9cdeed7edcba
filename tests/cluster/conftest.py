"""Hosts as folders in one network namespace, where their addresses are."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FIRST, SECOND, THIRD = "10.77.0.1", "10.77.0.2", "10.77.0.3"
PORT = 7444


@pytest.fixture(scope="session")
def network() -> Iterator[str]:
    if os.geteuid() != 0 or shutil.which("ip") is None:
        pytest.skip("addresses of its own need root, and iproute2")
    name = f"nodeorch-cluster-{os.getpid()}"
    subprocess.run(["ip", "netns", "add", name], check=True)
    try:
        for words in (
            "link set lo up",
            *(f"addr add {a}/32 dev lo" for a in (FIRST, SECOND, THIRD)),
        ):
            subprocess.run(["ip", "-n", name, *words.split()], check=True)
        yield name
    finally:
        subprocess.run(["ip", "netns", "del", name], check=True)


class Host:
    """A folder with the configuration of a daemon that does not run."""

    def __init__(self, folder: Path, network: str, address: str) -> None:
        self.folder, self.network, self.address = folder, network, address
        self.config = folder / "nodeorch.toml"
        self.files = folder / "cluster"
        self.drop_in = folder / "nodeorch.d" / "50-cluster.toml"
        folder.mkdir()
        self.config.write_text(
            f'[paths]\nstate = "{folder}/state"\nsocket = "{folder}/none.sock"\n'
            f'[cluster]\nfiles = "{self.files}"\n'
        )

    def start(self, *words: str) -> subprocess.Popen[str]:
        """`nodeorch cluster …` of this host."""
        return self.process("-m", "nodeorch.cli.main", "cluster", *words, "--config", self.config)

    def process(self, *words: str | Path) -> subprocess.Popen[str]:
        return subprocess.Popen(
            ["ip", "netns", "exec", self.network, sys.executable, *map(str, words)],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *words: str) -> str:
        """What it printed. AssertionError unless it says that all is well."""
        code, out, err = done(self.start(*words))
        assert code == 0, out + err
        return out

    def refused(self, *words: str) -> str:
        code, out, err = done(self.start(*words))
        assert code == 1, out + err
        return err

    def init(self) -> None:
        self.run("init", "demo", "--address", self.address, "--name", self.folder.name)

    def token(self, *words: str) -> str:
        return self.run("token", *words).strip()

    def joining(self, token: str, *, at: str = FIRST, name: str = "") -> tuple[str, ...]:
        return ("join", token, at, "--address", self.address, "--name", name or self.folder.name)

    @contextlib.contextmanager
    def door(self, *taken: str, cluster: str = "demo") -> Iterator[None]:
        """Open for others."""
        door = Path(__file__).with_name("door.py")
        with self.process(
            door, self.files, cluster, self.folder.name, self.address, str(PORT), *taken
        ) as process:
            try:
                assert process.stdout and process.stderr
                assert process.stdout.readline() == "ready\n", process.stderr.read()
                yield
            finally:
                process.kill()

    def alone(self) -> bool:
        """Nothing of a fleet is left behind."""
        left = [path.name for path in self.folder.iterdir()]
        return set(left) <= {"nodeorch.toml", "nodeorch.d"} and not self.drop_in.exists()


def done(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    out, err = process.communicate(timeout=60)
    return process.returncode, out, err


@pytest.fixture
def h1(tmp_path: Path, network: str) -> Host:
    return Host(tmp_path / "h1", network, FIRST)


@pytest.fixture
def h2(tmp_path: Path, network: str) -> Host:
    return Host(tmp_path / "h2", network, SECOND)


@pytest.fixture
def h3(tmp_path: Path, network: str) -> Host:
    return Host(tmp_path / "h3", network, THIRD)
