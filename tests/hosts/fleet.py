"""Several real hosts: packaging/lab for Python, and what tests ask of the hosts."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import tempfile
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from nodeorch.client.unix import Client, ClientError
from tests.lab.wait import wait_for

ROOT = Path(__file__).parents[2]
LAB = ROOT / "packaging" / "lab"
VENV = os.environ.get("NODEORCH_LAB_VENV", "/var/lib/nodeorch-check/lab-venv")
"""Shared by all labs of all tests; packaging/check makes it, for tests have no network."""
UP = 60.0
"""Seconds for all hosts to see each other again after whatever a test did."""
View = dict[str, Any]


class First(NamedTuple):
    """A container's first process; another one means that it was restarted."""

    container: str
    pid: int
    """As this machine numbers it."""
    start: str
    """The kernel's start time."""


class Fleet:
    """``count`` hosts h1, h2, … in a lab of their own, from ``up`` to ``close``."""

    def __init__(self, count: int) -> None:
        self.hosts = [f"h{n}" for n in range(1, count + 1)]
        self.dir = Path(tempfile.mkdtemp(prefix="nodeorch-hosts-", dir="/var/tmp"))
        self.env = {**os.environ, "NODEORCH_LAB_DIR": str(self.dir), "NODEORCH_LAB_VENV": VENV}
        # Its standard input ends when this process does, however that ends.
        self.janitor = subprocess.Popen(
            ["sh", "-c", 'cat; exec "$0" down', LAB],
            stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, env=self.env, start_new_session=True,
        )  # fmt: skip

    def up(self) -> Fleet:
        self.lab("up", str(len(self.hosts)), timeout=300.0)
        return self

    def close(self) -> None:
        assert self.janitor.stdin is not None
        self.janitor.stdin.close()
        self.janitor.wait(timeout=120)
        shutil.rmtree(self.dir, ignore_errors=True)

    def lab(self, *words: str, timeout: float = 60.0) -> str:
        """``packaging/lab WORDS``: what it prints. AssertionError when it fails."""
        done = self._run(words, "", timeout)
        assert done.returncode == 0, f"lab {' '.join(words)}: {done.returncode} {done.stderr}"
        return done.stdout

    def _run(
        self, words: tuple[str, ...], stdin: str, timeout: float
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [LAB, *words],
            env=self.env,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=timeout,
        )

    # -- faults ------------------------------------------------------------------------

    def kill(self, host: str) -> None:
        """Power off."""
        self.lab("kill", host)

    def start(self, host: str) -> None:
        """Power on, or go on after ``freeze``."""
        self.lab("start", host)

    def freeze(self, host: str) -> None:
        self.lab("freeze", host)

    def cut(self, *hosts: str) -> None:
        """These from all others."""
        self.lab("cut", ",".join(hosts))

    def one_way(self, a: str, b: str) -> None:
        """``a`` hears ``b``, ``b`` does not hear ``a``."""
        self.lab("cut", "--one-way", a, b)

    def loss(self, percent: int, host: str | None = None) -> None:
        self.lab("loss", str(percent), *([host] if host else []))

    def flap(self, host: str, times: int = 5, seconds: float = 1.0) -> None:
        """Returns when it is over."""
        self.lab("flap", host, str(times), str(seconds), timeout=60 + 2 * times * seconds)

    def heal(self) -> None:
        self.lab("heal")

    def signal(self, host: str, service: str, number: signal.Signals) -> None:
        """To "nodeorchd", "serf" or "podman"; the host starts it again when it ends."""
        os.kill(self.pid(host, service), number)

    # -- a host, looked at from outside --------------------------------------------------

    def power(self, host: str) -> str:
        """ "on", "off" or "frozen"."""
        init = self._init(host)
        if init is None:
            return "off"
        group = self.group(host)
        return "frozen" if (group / "cgroup.freeze").read_text().strip() == "1" else "on"

    def root(self, host: str) -> Path:
        """Its root folder, with what is mounted there; AssertionError while it is off."""
        init = self._init(host)
        assert init is not None, f"{host} is off"
        return Path(f"/proc/{init}/root")

    def disk(self, host: str) -> Path:
        """The same without the mounts, on or off."""
        return self.dir / "hosts" / host / "disk"

    def address(self, host: str) -> str:
        return f"10.62.200.{10 + int(host[1:])}"

    def pid(self, host: str, service: str) -> int:
        """Of "nodeorchd", "serf" or "podman", as this machine numbers it."""
        inner = (self.root(host) / "run/lab" / f"{service}.pid").read_text().strip()
        for pid in self._pids(self.group(host)):
            if _numbers(pid)[-1:] == [inner] and len(_numbers(pid)) == 2:
                return pid
        raise AssertionError(f"{service} does not run on {host}")

    def firsts(self, host: str) -> dict[str, First]:
        """Containers that run: name → first process. Cheap, and asks nobody on the host."""
        init = self._init(host)
        if init is None:
            return {}
        found = {}
        names = self._container_names(host)
        with contextlib.suppress(OSError):
            for group in (self.group(host) / "libpod_parent").glob("libpod-*"):
                container = group.name.removeprefix("libpod-")
                for pid in self._pids(group):
                    if container in names and _numbers(pid)[-1:] == ["1"]:
                        found[names[container]] = First(container, pid, _start(pid))
        return found

    def _init(self, host: str) -> int | None:
        try:
            pid, start = (self.dir / "run" / f"{host}.pid").read_text().split()
            return int(pid) if _start(int(pid)) == start else None
        except (OSError, ValueError):
            return None

    def group(self, host: str) -> Path:
        """Its control group in the v2 hierarchy."""
        init = self._init(host)
        assert init is not None, f"{host} is off"
        path = Path(f"/proc/{init}/cgroup").read_text().rpartition("0::/")[2].split()[0]
        roots = [Path("/sys/fs/cgroup/unified"), Path("/sys/fs/cgroup")]
        return next(root for root in roots if root.exists()) / path.removesuffix("/init")

    def _pids(self, group: Path) -> Iterator[int]:
        for file in group.rglob("cgroup.procs"):
            with contextlib.suppress(OSError):
                yield from map(int, file.read_text().split())

    def _container_names(self, host: str) -> dict[str, str]:
        file = self.disk(host) / "var/lib/containers/storage/overlay-containers/containers.json"
        try:
            return {each["id"]: each["names"][0] for each in json.loads(file.read_text())}
        except (OSError, ValueError):
            return {}

    # -- a host, from inside -------------------------------------------------------------

    def shell(
        self, host: str, *words: str, check: bool = True, stdin: str = "", timeout: float = 60.0
    ) -> str:
        """A command's output; with its errors when ``check`` is off."""
        done = self._run(("shell", host, *words), stdin, timeout)
        if check and done.returncode != 0:
            raise AssertionError(
                f"{host}: {' '.join(words)}: {done.returncode} {done.stdout}{done.stderr}"
            )
        return done.stdout + ("" if check else done.stderr)

    def write_spec(self, host: str, name: str, text: str) -> None:
        """Puts the file in place as an editor does."""
        folder = self.disk(host) / "etc/nodeorch/workloads.d"
        (folder / f".{name}.toml.tmp").write_text(textwrap.dedent(text))
        (folder / f".{name}.toml.tmp").rename(folder / f"{name}.toml")

    def remove_spec(self, host: str, name: str) -> None:
        (self.disk(host) / "etc/nodeorch/workloads.d" / f"{name}.toml").unlink()

    def client(self, host: str, timeout: float = 5.0) -> Client:
        return Client(str(self.root(host) / "run/nodeorch/nodeorch.sock"), timeout)

    def status(self, host: str) -> dict[str, View]:
        """What `nodeorch status` of the host shows, by name."""
        return {view["name"]: view for view in self.client(host).get("/v1/status")}

    def members(self, host: str) -> dict[str, View]:
        """What `nodeorch members` of the host shows, by name."""
        return {view["name"]: view for view in self.client(host).get("/v1/members")}

    def homes(self, host: str) -> dict[str, View]:
        """Movable workloads of the fleet, mirrored ones among them, as the host knows them."""
        return {view["name"]: view for view in self.client(host).get("/v1/homes")}

    def why(self, host: str, name: str) -> str:
        return self.shell(host, "nodeorch", "why", name, check=False)

    def log(self, host: str, service: str = "nodeorchd") -> str:
        """The end of what the service said."""
        return (self.disk(host) / "var/log" / f"{service}.log").read_text(errors="replace")[-4000:]

    # -- conditions ------------------------------------------------------------------------

    def wait_for(self, cond: Callable[[], object], deadline: float, what: str) -> None:
        """With the hosts' logs when it is not so in time. An unreachable host counts as no."""

        def look() -> object:
            with contextlib.suppress(ClientError, OSError):
                return cond()
            return None

        try:
            wait_for(look, deadline, what)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.scene()}") from None

    def sees_all(self, host: str) -> bool:
        """Every host is up by the account of this one."""
        members = self.members(host)
        return all(members.get(name, {}).get("state") == "up" for name in self.hosts)

    def whole(self) -> bool:
        return all(self.power(host) == "on" and self.sees_all(host) for host in self.hosts)

    def reset(self) -> None:
        """All hosts on, connected and empty, whatever a test did."""
        self.heal()
        for host in self.hosts:
            if self.power(host) != "on":
                self.start(host)
            for service in ("nodeorchd", "serf", "podman"):
                with contextlib.suppress(AssertionError, OSError):
                    self.signal(host, service, signal.SIGCONT)
            for file in (self.disk(host) / "etc/nodeorch/workloads.d").iterdir():
                file.unlink()
        self.wait_for(self.whole, UP, "all hosts see each other")
        self.wait_for(self._empty, UP, "no workload is left")

    def _empty(self) -> bool:
        for host in self.hosts:
            if self.client(host).get("/v1/node")["brake"]:
                self.shell(host, "nodeorch", "confirm", check=False)
        return not any(
            self.status(host) or self.homes(host) or self.firsts(host) for host in self.hosts
        )

    def scene(self) -> str:
        """For whoever reads of a failure."""
        told = [self.lab("status")]
        for host in self.hosts:
            if self.power(host) == "on":
                told += [self.shell(host, "nodeorch", "members", check=False, timeout=20)]
                told += [self.shell(host, "nodeorch", "status", check=False, timeout=20)]
            told += [f"-- log of {host}", self.log(host)]
        return "\n".join(told)


def _start(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]


def _numbers(pid: int) -> list[str]:
    """The numbers that a process has, from this PID namespace to its own."""
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("NSpid:"):
                return line.split()[1:]
    return []
