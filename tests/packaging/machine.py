"""A whole Debian with systemd as its first process, in a container of the tests' Podman."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.lab import Lab, wait_for
from tests.lab.images import busybox_tar

REPO = Path(__file__).parents[2]
SHUTDOWN_SIGNAL = "37"
"""SIGRTMIN+3: systemd(1) halts the machine as `systemctl halt` does."""
CONF = """
[containers]
default_ulimits = ["nofile=4096:4096", "nproc=4096:4096"]
[engine]
runtime = "runc"
cgroup_manager = "systemd"
[network]
network_backend = "netavark"
default_subnet = "10.62.250.0/24"
"""


class Machine:
    """``shared`` is the machine's /srv/shared, and outlives it."""

    def __init__(self, lab: Lab, root: Path, name: str = "machine") -> None:
        self._lab = lab
        self._root = root
        self.name = name
        # Overlay cannot stand on overlay: the inner Podman's storage is a plain folder.
        self._folder = Path(tempfile.mkdtemp(prefix="machine-", dir=lab.dir))
        self.shared = self._folder / "shared"

    def boot(self) -> None:
        storage = self._folder / "storage"
        conf = self._folder / "containers.conf"
        for folder in (storage, self.shared):
            folder.mkdir(exist_ok=True)
        self.shared.chmod(0o777)
        conf.write_text(CONF)
        self._lab.podman(
            *("run", "--detach", f"--name={self.name}", f"--hostname={self.name}"),
            *("--systemd=always", "--privileged", "--cgroupns=private"),
            *(f"--stop-signal={SHUTDOWN_SIGNAL}", "--tmpfs=/dev/shm"),
            f"--volume={storage}:/var/lib/containers",
            f"--volume={self.shared}:/srv/shared",
            f"--volume={conf}:/etc/containers/containers.conf:ro",
            f"--volume={REPO}:/src:ro",
            # Through an overlay: each machine starts as it was made.
            *("--rootfs", f"{self._root}:O", "/sbin/init"),
        )
        wait_for(self._is_up, 60.0, "systemd is up")

    def _is_up(self) -> bool:
        words = self.run("systemctl", "is-system-running", check=False)
        return words in ("running", "degraded")

    def run(self, *command: str, check: bool = True, stdin: str | bytes = b"") -> str:
        data = stdin.encode() if isinstance(stdin, str) else stdin
        return self._lab.podman(
            *("exec", "--interactive", self.name), *command, check=check, stdin=data, timeout=180.0
        )

    def write(self, path: str, text: str) -> None:
        """At once, as an editor does: no half-written file is ever seen."""
        self.run("sh", "-c", f"cat > {path}.new~ && mv {path}.new~ {path}", stdin=text)

    def make_image(self, tag: str) -> None:
        self.run("podman", "import", "--quiet", "-", tag, stdin=busybox_tar())

    def status(self) -> dict[str, dict[str, Any]]:
        shown = self.run("nodeorch", "--json", "status", check=False)
        try:
            return {each["name"]: each for each in json.loads(shown)}
        except ValueError:
            return {}

    def until(self, cond: Callable[[dict[str, dict[str, Any]]], object], what: str) -> None:
        try:
            wait_for(lambda: cond(self.status()), 60.0, what)
        except AssertionError as error:
            journal = self.run("journalctl", "--no-pager", "-n", "60", "-u", "nodeorch*")
            raise AssertionError(f"{error}\n{self.status()}\n{journal}") from None

    def first_processes(self) -> dict[str, tuple[str, int, str]]:
        """workload → (container, pid, the kernel's start time), of its only instance."""
        found = {}
        for name, shown in self.status().items():
            container, pid = (shown["instances"][0][key] for key in ("container_id", "pid"))
            started = self.run("cut", "--delimiter= ", "--fields=22", f"/proc/{pid}/stat")
            found[name] = (container, pid, started)
        return found

    def shut_down(self) -> None:
        """As a host is: systemd stops its units in order. Returns when it is off."""
        self._lab.podman("stop", "--time=60", self.name, timeout=90.0)

    def power_on(self) -> None:
        """With the disks as they were when it was shut down."""
        self._lab.podman("start", self.name)
        wait_for(self._is_up, 60.0, "systemd is up again")

    def remove(self) -> None:
        self._lab.podman("rm", "--force", "--time=0", self.name, check=False)
