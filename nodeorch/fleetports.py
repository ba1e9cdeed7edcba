"""What the daemon needs of other hosts, as protocols; the rest of :mod:`nodeorch.ports`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from msgspec import Struct

from nodeorch.model.fleet import Declared, Report, Stamp, View


class Members(Protocol):
    """Membership by gossip. Reports facts.MembersSeen, only when the list has changed."""

    def sync(self, tags: Mapping[str, str]) -> None:
        """What this host says of itself; told again after a restart of the agent."""

    async def leave(self) -> None:
        """Leave the fleet for good. Raises MembersError."""

    async def keys(self, verb: str, key: str = "") -> Mapping[str, int]:
        """The encryption keys of the gossip: verb "list", "install", "use" or "remove". Key →
        how many hosts have it (of "list"). Raises MembersError where a host did not follow."""

    async def close(self) -> None: ...


class MembersError(Exception):
    """The membership agent cannot be asked, or said no. Words say why."""


class FleetOut(Struct, frozen=True):
    """What the peers' adapter needs of the world; handed over after each step, level-triggered."""

    hosts: Mapping[str, tuple[str, int]]
    """Every other host → (address, port) of its peers' API."""
    report: Report
    views: Mapping[str, View]
    """All that can be given to others, our own among them."""
    hints: Mapping[str, Stamp] = {}
    """Stamps of views as gossip tells them."""
    refused: frozenset[str] = frozenset()
    """Hosts that have left for good: their certificates count no more."""


class Peers(Protocol):
    """The other daemons, over mutual TLS. Reports facts.LinkSeen, OpinionSeen, ReportSeen and
    ViewSeen; keeps links to all hosts, fetches views that are newer than ours."""

    def sync(self, out: FleetOut) -> None:
        """Never blocks; costs nothing when the parts are the same objects as before."""

    def reload(self) -> None:
        """Read certificate and key again, for connections that begin from now on.
        Raises OSError, ssl.SSLError."""

    async def ask(self, host: str, method: str, path: str, body: bytes = b"") -> bytes:
        """One request to a host's peers' API. Raises PeerError."""

    async def close(self) -> None: ...


class PeerError(Exception):
    """Another daemon cannot be reached, or said no. Words say why."""


class Mirror(Protocol):
    """Keeps the content of config files that mirrored workloads need. Blocks; raises OSError."""

    def missing(self, declared: Declared) -> list[str]:
        """Digests of its files that are not here."""

    def keep(self, workload: str, digest: str, content: bytes) -> None: ...

    def read(self, workload: str, digest: str) -> bytes:
        """Raises FileNotFoundError where it is not here."""
