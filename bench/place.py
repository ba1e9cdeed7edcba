"""Where all is measured: a private Podman in namespaces of its own, and the installed daemon."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.beats import TARGET, Beats
from tests.lab import Lab, namespaces
from tests.lab.wait import wait_for
from tests.system.host import START, Host

IMAGE = "localhost/bench:1"
MANY = 100
PORT = 8080

SAFE = ("--cap-drop=all", "--read-only", "--security-opt=no-new-privileges", "--pids-limit=256")
"""What our specs have by default, as options of `podman run`."""


class InstalledHost(Host):
    """The commands of a virtual environment in place of the checkout's modules."""

    def __init__(self, lab: Lab, venv: Path) -> None:
        super().__init__(lab)
        self.venv = venv
        self.env = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}
        self.configure('[volumes]\nallowed = ["/var/tmp"]\n')

    def start(self) -> Host:
        with self.log.open("ab") as log:
            self._daemon = subprocess.Popen(
                [str(self.venv / "bin/nodeorchd"), "--config", str(self.config)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=self.env,
                cwd="/",
            )
        wait_for(self.answers, START, "the daemon answers")
        return self


class Place:
    def __init__(self, venv: Path) -> None:
        namespaces.enter()
        self.lab = Lab()
        self.lab.up()
        self.lab.build_image(IMAGE, files={"www/index.html": "ok\n"})
        self.host = InstalledHost(self.lab, venv)
        self.beats = Beats(self.host.dir / "beats")
        self.host.start()

    def close(self) -> None:
        self.beats.close()
        self.host.close()
        self.lab.close()

    # -- workloads of ours ---------------------------------------------------------------

    def spec(self, name: str, command: list[str], network: str = "bridge", more: str = "") -> str:
        networks = "" if network == "bridge" else f'networks = ["{network}"]\n'
        return (
            f'[workload]\nname = "{name}"\nimage = "{IMAGE}"\n'
            f"command = {json.dumps(command)}\n{networks}"
            f'[[volumes]]\nsource = "{self.beats.folder}"\ntarget = "{TARGET}"\n'
            f'[stop]\ngrace = "200ms"\n{more}'
        )

    def declare(self, specs: dict[str, str]) -> float:
        """Put all files in place at once; the moment before the first."""
        for name, text in specs.items():
            (self.host.specs / f".{name}.tmp").write_text(text)
        begun = time.monotonic()
        for name in specs:
            (self.host.specs / f".{name}.tmp").rename(self.host.specs / f"{name}.toml")
        return begun

    def withdraw(self, names: list[str]) -> None:
        """Delete workloads of ours, and wait until they are gone."""
        for name in names:
            self.host.client.delete(f"/v1/workloads/{name}")
        gone = set(names)
        wait_for(lambda: not gone & {view["name"] for view in self.host.status()}, 120, "gone")

    @contextmanager
    def hundred(self) -> Iterator[None]:
        """While a hundred web servers run, each on the bridge, with an HTTP probe every 10 s."""
        more = (
            f'[resources]\nmemory = "16MiB"\n'
            f'[probes.readiness]\nhttp = {{ port = {PORT} }}\ninterval = "10s"\n'
        )
        command = ["httpd", "-f", "-p", str(PORT), "-h", "/www"]
        specs = {f"w{n}": self.spec(f"w{n}", command, more=more) for n in range(MANY)}
        self.declare(specs)
        wait_for(
            lambda: sum(view["ready"] for view in self.host.status()) >= MANY, 180, "100 are ready"
        )
        try:
            yield
        finally:
            self.withdraw(list(specs))

    # -- containers of the bare engine ------------------------------------------------------

    def run_command(self, name: str, command: list[str], network: str, *more: str) -> list[str]:
        """The `podman run` that comes closest to our spec."""
        mount = f"--volume={self.beats.folder}:{TARGET}"
        options = (*SAFE, "--memory=256m", mount, f"--network={network}", *more)
        return [*self.lab.command, "run", "-d", f"--name={name}", *options, IMAGE, *command]

    def popen(self, command: list[str]) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            command,
            env=self.lab.env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )

    def remove(self, names: list[str]) -> None:
        self.lab.podman("rm", "-f", "-t0", *names)
