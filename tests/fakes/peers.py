"""Other daemons, made up: what was handed over is remembered, what they answer is set."""

from __future__ import annotations

from nodeorch.fleetports import FleetOut, PeerError
from nodeorch.model.fleet import Declared


class FakePeers:
    """fleetports.Peers. ``answers``: (host, method, path) → the body."""

    def __init__(self) -> None:
        self.out: FleetOut | None = None
        self.answers: dict[tuple[str, str, str], bytes] = {}
        self.asked: list[tuple[str, str, str, bytes]] = []
        self.reloads = 0
        self.closed = False

    def sync(self, out: FleetOut) -> None:
        self.out = out

    def reload(self) -> None:
        self.reloads += 1

    async def ask(self, host: str, method: str, path: str, body: bytes = b"") -> bytes:
        self.asked.append((host, method, path, body))
        try:
            return self.answers[host, method, path]
        except KeyError:
            raise PeerError(f"cannot ask {host}: it did not answer in time") from None

    async def close(self) -> None:
        self.closed = True


class FakeMirror:
    """fleetports.Mirror in memory: (workload, digest) → content."""

    def __init__(self) -> None:
        self.kept: dict[tuple[str, str], bytes] = {}

    def missing(self, declared: Declared) -> list[str]:
        name, files = declared.workload.name, declared.workload.files
        return [f.digest for f in files if f.digest and (name, f.digest) not in self.kept]

    def keep(self, workload: str, digest: str, content: bytes) -> None:
        self.kept[workload, digest] = content

    def read(self, workload: str, digest: str) -> bytes:
        try:
            return self.kept[workload, digest]
        except KeyError:
            raise FileNotFoundError(f"{workload} {digest}") from None
