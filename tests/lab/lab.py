"""One private Podman with its API service, for a whole test session."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from tests.lab.images import busybox_tar
from tests.lab.wait import wait_for

IMAGE = "localhost/bb:1"
REGISTRY = "127.0.0.1:5000"
"""Where tests.lab.registry listens, in the tests' own network namespace."""
SERVICE_UP = 20.0
"""Seconds that the API service may take to answer."""

CONF = """
[containers]
default_ulimits = ["nofile=8192:8192","nproc=8192:8192"]
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "file"
exit_command_delay = 2
[network]
network_backend = "netavark"
default_subnet = "10.62.0.0/24"
default_subnet_pools = [{"base" = "10.62.64.0/18", "size" = 24}]
"""

REGISTRIES = f"""
[[registry]]
location = "{REGISTRY}"
insecure = true
"""


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str, timeout: float) -> None:
        super().__init__("d", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


class Lab:
    """A Podman in a directory of its own. A janitor process cleans up, even after kill -9.

    With ``socket`` given, another Podman is used, whose service is not ours to stop.
    """

    def __init__(self, socket: str | None = None) -> None:
        self.foreign = socket is not None
        self.dir = Path(tempfile.mkdtemp(prefix="nodeorch-test-", dir="/var/tmp"))
        self.socket = socket or str(self.dir / "podman.sock")
        self._service: subprocess.Popen[bytes] | None = None
        conf = self.dir / "containers.conf"
        conf.write_text(CONF)
        registries = self.dir / "registries.conf"
        registries.write_text(REGISTRIES)
        self.env = {
            **os.environ,
            "CONTAINERS_CONF": str(conf),
            "CONTAINERS_REGISTRIES_CONF": str(registries),
        }
        d = self.dir
        self.command = (
            ["podman", "--url", f"unix://{self.socket}"]
            if self.foreign
            else [
                *("podman", "--storage-driver=overlay", f"--root={d}/root"),
                *(f"--runroot={d}/runroot", f"--tmpdir={d}/tmp", f"--network-config-dir={d}/net"),
            ]
        )
        self._janitor = subprocess.Popen(
            [sys.executable, "-m", "tests.lab.janitor", str(d), json.dumps(self.command)],
            stdin=subprocess.PIPE,
            env=self.env,
            cwd=Path(__file__).parents[2],
            start_new_session=True,
        )

    def up(self) -> None:
        """Start the service and build the base image."""
        if not self.foreign:
            self.start_service()
        self.build_image(IMAGE, cmd=["sleep", "1000000"])

    def close(self) -> None:
        """Leave nothing behind: containers, networks, mounts, cgroups, files."""
        if not self.foreign:
            self.stop_service()
        assert self._janitor.stdin is not None
        self._janitor.stdin.close()
        if self._janitor.wait(timeout=120) != 0:
            raise AssertionError(f"the janitor could not clean {self.dir}")

    def podman(
        self, *args: str, check: bool = True, timeout: float = 60.0, stdin: bytes | None = None
    ) -> str:
        """Run the podman command on this Podman; its standard output, stripped."""
        done = subprocess.run(
            [*self.command, *args],
            env=self.env,
            cwd=self.dir,
            input=stdin if stdin is not None else b"",
            capture_output=True,
            timeout=timeout,
        )
        if check and done.returncode != 0:
            raise AssertionError(f"podman {' '.join(args)}: {done.stderr.decode()}")
        return done.stdout.decode().strip()

    def inspect(self, name: str) -> dict[str, object]:
        found: dict[str, object] = json.loads(self.podman("inspect", name))[0]
        return found

    def pid(self, name: str) -> int:
        """The host's pid of a container's first process; 0 when it does not run."""
        return int(self.podman("inspect", "--format", "{{.State.Pid}}", name))

    # -- the service ---------------------------------------------------------------

    @property
    def service_pid(self) -> int:
        if self._service is None:
            pytest.skip("the service of another Podman is not ours to stop")
        return self._service.pid

    def start_service(self) -> None:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.socket)
        with open(self.dir / "service.log", "ab") as log:
            self._service = subprocess.Popen(
                [*self.command, "system", "service", "--time=0", f"unix://{self.socket}"],
                env=self.env,
                cwd=self.dir,  # conmon 2.1.6 leaves its mark of an OOM kill there
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        wait_for(self.answers, SERVICE_UP, "the Podman service answers")

    def answers(self, timeout: float = 1.0) -> bool:
        connection = _UnixConnection(self.socket, timeout)
        try:
            connection.request("GET", "/_ping")
            return connection.getresponse().status == 200
        except OSError:
            return False
        finally:
            connection.close()

    def stop_service(self, sig: signal.Signals = signal.SIGTERM) -> None:
        """End the service; containers stay. A frozen one is thawed first."""
        if self.foreign:
            pytest.skip("the service of another Podman is not ours to stop")
        if self._service is None:
            return
        self.thaw()
        self._service.send_signal(sig)
        try:
            self._service.wait(timeout=20)
        except subprocess.TimeoutExpired:
            self._service.kill()
            self._service.wait(timeout=20)
        self._service = None

    def kill_service(self) -> None:
        self.stop_service(signal.SIGKILL)

    def restart_service(self) -> None:
        self.stop_service()
        self.start_service()

    def freeze(self) -> None:
        """SIGSTOP, until all its threads have stopped: the socket takes connections, nobody
        answers."""
        os.kill(self.service_pid, signal.SIGSTOP)
        tasks = Path(f"/proc/{self.service_pid}/task")
        wait_for(lambda: all(_stopped(task) for task in tasks.iterdir()))

    def thaw(self) -> None:
        os.kill(self.service_pid, signal.SIGCONT)

    # -- images and containers -----------------------------------------------------

    def build_image(
        self,
        tag: str,
        *,
        cmd: Sequence[str] | None = None,
        entrypoint: Sequence[str] | None = None,
        env: Mapping[str, str] | None = None,
        labels: Mapping[str, str] | None = None,
        files: Mapping[str, str] | None = None,
        changes: Sequence[str] = (),
        healthcheck: str | None = None,
    ) -> str:
        """Busybox with ``files`` and the given configuration; the image's id.

        ``changes`` are lines of a Dockerfile ("USER app", "VOLUME /data");
        ``healthcheck`` is what follows HEALTHCHECK.
        """
        lines = list(changes)
        if cmd is not None:
            lines.append(f"CMD {json.dumps(list(cmd))}")
        if entrypoint is not None:
            lines.append(f"ENTRYPOINT {json.dumps(list(entrypoint))}")
        lines += [f"ENV {key}={value}" for key, value in (env or {}).items()]
        lines += [f"LABEL {key}={value}" for key, value in (labels or {}).items()]
        options = [word for line in lines for word in ("--change", line)]
        self.podman("import", "-q", *options, "-", tag, stdin=busybox_tar(files))
        if healthcheck is not None:
            recipe = f"FROM {tag}\nHEALTHCHECK {healthcheck}\n".encode()
            self.podman(
                "build", "-q", "--format=docker", "--pull-never", "-t", tag, "-f-", stdin=recipe
            )
        return self.podman("image", "inspect", "--format", "{{.Id}}", tag)

    def remove_all(self) -> None:
        """Remove all containers of this Podman, whoever made them, at once."""
        self.podman("rm", "-f", "-a", "-t0", "-v")


def _stopped(task: Path) -> bool:
    try:
        return (task / "stat").read_text().rpartition(")")[2].split()[0] == "T"
    except OSError:  # it has ended
        return True
