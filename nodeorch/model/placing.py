"""Where in a fleet a workload runs, as a spec file says it."""

from __future__ import annotations

from enum import StrEnum

from nodeorch.model.quantities import Label, Name, Seconds
from nodeorch.model.quantities import Spec as _Spec


class Scope(StrEnum):
    """Which hosts of a fleet run a workload."""

    HOST = "host"
    """The one that declares it; another one only if that fails."""
    FLEET = "fleet"
    """Its replicas are spread over all."""
    EVERY_HOST = "every-host"
    """Each runs all its replicas."""


class FailoverMode(StrEnum):
    """What becomes of a workload whose host has failed."""

    NONE = "none"
    AVAILABLE = "available"
    """Another host runs it. Both may, while they cannot see each other."""
    EXCLUSIVE = "exclusive"
    """At most one host runs it."""


class Failback(StrEnum):
    """When a workload returns to the host that declares it."""

    NEVER = "never"
    IDLE = "idle"
    NOW = "now"


class Failover(_Spec, frozen=True):
    """What becomes of it when its host fails."""

    mode: FailoverMode = FailoverMode.NONE
    after: Seconds = 0.0
    """On top of what it takes to be sure that a host is gone."""
    prefer: tuple[Name, ...] = ()
    """Hosts, the best first."""
    failback: Failback = Failback.NEVER


class Placement(_Spec, frozen=True):
    """Which hosts may run it; the node's labels are in its settings."""

    constraints: dict[str, tuple[Label, ...]] = {}
    """Label → the values of which a host must have one."""
    spread: Label = "host"
    """A label whose values replicas are spread over; "host": over the hosts themselves."""
    avoid: tuple[Name, ...] = ()
    """Workloads that it does not share a host with."""
