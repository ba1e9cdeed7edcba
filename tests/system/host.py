"""One host: a real ``nodeorchd`` process with paths of its own, on the lab's real Podman."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

from nodeorch.client.unix import Client
from tests.lab import Lab
from tests.lab.wait import wait_for

START = 30.0
"""Seconds that a daemon may take to answer."""


class Host:
    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self._folder = tempfile.TemporaryDirectory(prefix="nodeorch-host-", dir="/var/tmp")
        self.dir = Path(self._folder.name)
        self.specs = self.dir / "workloads.d"
        self.state = self.dir / "state"
        self.socket = self.dir / "nodeorch.sock"
        self.config = self.dir / "nodeorch.toml"
        self.log = self.dir / "nodeorchd.log"
        self.program = ["-m", "nodeorch.daemon.main"]
        """What Python is to run as the daemon."""
        self.code = Path(__file__).parents[2]
        """Where it finds the package."""
        self.specs.mkdir()
        self.configure()
        self._daemon: subprocess.Popen[bytes] | None = None

    def configure(self, more: str = "") -> None:
        self.config.write_text(
            textwrap.dedent(f"""\
            [node]
            name = "h1"
            [paths]
            workloads = "{self.specs}"
            state = "{self.state}"
            socket = "{self.socket}"
            [podman]
            socket = "{self.lab.socket}"
            """)
            + more
        )

    # -- the daemon ----------------------------------------------------------------

    @property
    def pid(self) -> int:
        assert self._daemon is not None
        return self._daemon.pid

    @property
    def stopped(self) -> bool:
        return self._daemon is None

    def start(self) -> Host:
        with self.log.open("ab") as log:
            self._daemon = subprocess.Popen(
                [sys.executable, *self.program, "--config", str(self.config)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**os.environ, "PYTHONPATH": str(self.code)},
                cwd="/",
            )
        wait_for(self.answers, START, "the daemon answers")
        return self

    def answers(self) -> bool:
        if self._daemon is not None and self._daemon.poll() is not None:
            raise AssertionError(f"the daemon ended: {self.journal()}")
        try:
            self.client.get("/v1/version")
        except Exception:
            return False
        return True

    def stop(self, sig: signal.Signals = signal.SIGTERM) -> None:
        if self._daemon is not None:
            self._daemon.send_signal(signal.SIGCONT)
            self._daemon.send_signal(sig)
            self._daemon.wait(timeout=30)
            self._daemon = None

    def kill(self) -> None:
        self.stop(signal.SIGKILL)

    def close(self) -> None:
        self.stop()
        self._folder.cleanup()

    def journal(self) -> str:
        return self.log.read_text(errors="replace")[-4000:]

    # -- specs and what becomes of them ----------------------------------------------

    def declare(self, name: str, text: str) -> Path:
        """Put a spec file in place as a person's editor does; [workload] name is added."""
        path = self.specs / f"{name}.toml"
        temporary = self.specs / f".{name}.toml.tmp"
        temporary.write_text(textwrap.dedent(text))
        temporary.rename(path)
        return path

    def sleeper(self, name: str, more: str = "", replicas: int = 1) -> None:
        self.declare(
            name,
            f"""\
[workload]
name = "{name}"
image = "localhost/bb:1"
command = ["sleep", "1000000"]
replicas = {replicas}
networks = ["none"]
[resources]
memory = "32MiB"
[stop]
grace = "200ms"
"""
            + textwrap.dedent(more),
        )

    @property
    def client(self) -> Client:
        return Client(str(self.socket))

    def status(self, name: str | None = None) -> list[dict[str, Any]]:
        views: list[dict[str, Any]] = self.client.get("/v1/status")
        return [v for v in views if name in (None, v["name"])]

    def one(self, name: str) -> dict[str, Any]:
        """The workload; {} while there is none."""
        return next(iter(self.status(name)), {})

    def instance(self, name: str) -> dict[str, Any]:
        instances = self.one(name).get("instances") or [{}]
        found: dict[str, Any] = instances[0]
        return found

    def until(
        self, name: str, cond: Callable[[dict[str, Any]], bool], deadline: float = 30.0
    ) -> dict[str, Any]:
        """Wait until the workload's status satisfies ``cond``; the status."""
        seen: dict[str, Any] = {}

        def look() -> bool:
            seen.clear()
            seen.update(self.one(name))
            return bool(seen) and cond(seen)

        try:
            wait_for(look, deadline)
        except AssertionError:
            raise AssertionError(
                f"{name} is {json.dumps(seen, indent=1)}\n{self.journal()}"
            ) from None
        return seen

    def running(self, name: str, deadline: float = 30.0) -> dict[str, Any]:
        return self.until(name, lambda w: w["state"] == "running", deadline)

    def cli(self, *args: str, check: bool = True, timeout: float = 60.0) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "nodeorch.cli.main", "--socket", str(self.socket), *args],
            capture_output=True,
            text=True,
            timeout=timeout,
            env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        )
        if check and done.returncode != 0:
            raise AssertionError(f"nodeorch {' '.join(args)}: {done.returncode} {done.stderr}")
        return done.stdout + (done.stderr if not check else "")


def alive(pid: int) -> bool:
    return pid > 0 and Path(f"/proc/{pid}").exists()
