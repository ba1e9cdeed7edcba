"""What the API shows of several hosts; the rest of :mod:`nodeorch.model.view`."""

from __future__ import annotations

from msgspec import Struct


class MemberView(Struct, frozen=True):
    """A host of the fleet, as the one that was asked sees it."""

    name: str
    me: bool
    """It is the host that was asked."""
    address: str
    state: str
    """up | unsupervised | suspected | down | left | unknown"""
    since: str | None
    role: str
    """member"""
    reason: str
    """Why it is in that state."""
    lost: bool
    """What it ran is free to run elsewhere."""
    heard: bool
    """Now. What follows is what it said last."""
    seen_at: str | None
    """When it was last known to be up; None: never."""
    version: str
    memory_total: int | None
    """Bytes that workloads may request in sum; None: it has not told."""
    memory_free: int | None
    """Bytes of it; None while it is not heard."""
    workloads: int | None
    labels: dict[str, str] = {}


class HomeView(Struct, frozen=True):
    """A workload of the fleet: who declares it, and who runs it."""

    name: str
    home: str
    home_state: str
    """As in MemberView."""
    term: int
    """Rises when the home is taken."""
    failover: str
    """none | available | exclusive"""
    scope: str
    """host | fleet | every-host"""
    movable: bool
    hosts: list[str]
    """Where it runs, or is on its way to run, as far as they tell."""
    ready: int | None
    """Replicas, on all of them; None: nobody tells."""
    desired: int
    reason: str
    """Why it is there."""
    orphaned: bool
    """Its home does not know of it, or is no host of the fleet: `nodeorch home take`."""
    conflicts: list[str] = []
    """What more than one host runs or declares."""


class SaidView(Struct, frozen=True):
    """What was done, or would be done, in words."""

    words: str
    dry_run: bool = False


class KeysView(Struct, frozen=True):
    """Encryption keys of the gossip; of "list" alone."""

    keys: dict[str, int]
    """Key → how many hosts have it."""
    dry_run: bool = False
