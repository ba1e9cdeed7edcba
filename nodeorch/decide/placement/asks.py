"""What placement is asked, and what it answers."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct


class Candidate(Struct, frozen=True):
    """A host that may be given work."""

    name: str
    memory: int
    """Bytes that movable workloads may request there in sum: its room less what is pinned."""
    labels: Mapping[str, str] = {}
    names: frozenset[str] = frozenset()
    """Workloads that it declares itself: a movable one of another home that is called like one of
    them cannot run there."""
    ports: frozenset[int] = frozenset()
    """Host ports held by what is pinned there."""


class Ask(Struct, frozen=True):
    """What a movable workload wishes."""

    name: str
    slots: int
    """Replicas to place; with ``every_host`` on each host."""
    memory: int
    """Bytes, for each replica."""
    home: str = ""
    together: bool = False
    """All replicas on one host."""
    every_host: bool = False
    constraints: Mapping[str, tuple[str, ...]] = {}
    """Label → the values of which a host must have one."""
    spread: str = "host"
    """A label whose values replicas are spread over; "host": over the hosts themselves."""
    avoid: tuple[str, ...] = ()
    """Workloads that it shares no host with; it is enough that one of the two says so."""
    prefer: tuple[str, ...] = ()
    """Hosts, the best first."""
    ports: frozenset[int] = frozenset()
    """Host ports: a host's port has one holder."""
    priority: int = 0
    """Where room is short the higher one is placed first."""


class Placement(Struct, frozen=True):
    """Where everything belongs."""

    seats: Mapping[str, tuple[str, ...]]
    """Workload → host of each slot, "" where there is no place; () if it runs on every host."""
    everywhere: Mapping[str, tuple[str, ...]] = {}
    """Workload that runs on every host → the hosts that can take it, by name."""


def may_run(ask: Ask, host: Candidate) -> bool:
    """Whether the host's name and labels allow it; a home may always run what it declares."""
    if host.name == ask.home:
        return ask.together or fits_labels(ask, host)
    return ask.name not in host.names and fits_labels(ask, host)


def fits_labels(ask: Ask, host: Candidate) -> bool:
    """Whether the host has a wanted value of each label."""
    return all(host.labels.get(label) in values for label, values in ask.constraints.items())
