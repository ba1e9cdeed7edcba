"""Real agents of Serf on loopback addresses, configured as the product configures them."""

from __future__ import annotations

import base64
import os
import signal
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from nodeorch.clusterserf import PORT, endpoint, keyring, serf_config
from tests.lab.wait import wait_for

RPC_PORT = 7373


def new_key() -> str:
    return base64.b64encode(os.urandom(32)).decode()


class Agent:
    """One host's agent. Its address is its own, so that each has the usual ports."""

    def __init__(
        self, folder: Path, name: str, address: str, keys: Sequence[str], peers: Sequence[str]
    ) -> None:
        folder.mkdir()
        self.name = name
        self.address = address
        self.rpc = endpoint(address, RPC_PORT)
        self.auth = folder / "rpc.key"
        self.keyring = folder / "keyring.json"
        self.pid = 0
        self._config = folder / "serf.json"
        self._log = folder / "log"
        self._process: subprocess.Popen[bytes] | None = None
        rpc_key = os.urandom(8).hex()
        self.auth.write_text(rpc_key + "\n")
        self.keyring.touch(0o600)
        self.keyring.write_bytes(keyring(keys))
        self._config.touch(0o600)
        self._config.write_bytes(
            serf_config(
                name,
                address,
                PORT,
                rpc=self.rpc,
                rpc_key=rpc_key,
                keyring_file=str(self.keyring),
                snapshot=str(folder / "snapshot"),
                peers=peers,
            )
        )

    def start(self) -> Agent:
        """Running and listening when it returns."""
        with open(self._log, "wb") as log:
            self._process = process = subprocess.Popen(
                ["serf", "agent", f"-config-file={self._config}"], stdout=log, stderr=log
            )
        self.pid = process.pid
        # Serf ends with 0, too.
        wait_for(lambda: "agent running!" in self.log() or process.poll() is not None, 10)
        assert process.poll() is None, self.log()
        return self

    def log(self) -> str:
        return self._log.read_text()

    def signal(self, number: signal.Signals) -> None:
        os.kill(self.pid, number)

    def freeze(self) -> None:
        self.signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self.signal(signal.SIGCONT)

    def kill(self) -> None:
        """As when the host loses power."""
        if self._process is not None:
            self._process.kill()
            self.wait()

    def wait(self, timeout: float = 10) -> None:
        assert self._process is not None
        self._process.wait(timeout)
        self._process = None


class SerfLab:
    def __init__(self, folder: Path) -> None:
        pid = os.getpid()
        self._folder = folder
        self._net = f"127.{1 + (pid >> 8) % 254}.{pid % 256}"
        self.key = new_key()
        self.agents: list[Agent] = []

    def start(self, name: str, keys: Sequence[str] = ()) -> Agent:
        """A new agent, that joins those that are there."""
        agent = Agent(
            self._folder / name,
            name,
            f"{self._net}.{len(self.agents) + 1}",
            keys or [self.key],
            [agent.address for agent in self.agents],
        )
        self.agents.append(agent)
        return agent.start()


@contextmanager
def serf_lab(folder: Path) -> Iterator[SerfLab]:
    lab = SerfLab(folder)
    try:
        yield lab
    finally:
        for agent in lab.agents:
            agent.kill()
