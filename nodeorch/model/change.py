"""A change: what an operator asked for, followed until it is real.

It has a number that rises on this node, and outlives the daemon.
"""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct


class Goal(StrEnum):
    READY = "ready"
    STOPPED = "stopped"
    GONE = "gone"
    RAN = "ran"
    """A run of a job has ended well."""


class ChangeState(StrEnum):
    DOING = "doing"
    DONE = "done"
    FAILED = "failed"
    SUPERSEDED = "superseded"
    """Something newer was asked of the same workload."""


class Want(Struct, frozen=True, omit_defaults=True):
    """What a change wants of one workload."""

    goal: Goal
    generation: int = 0
    """Which one shall be ready."""
    run: int = 0
    """Which one shall have ended."""


class Asked(Struct, frozen=True, omit_defaults=True):
    """Who asked for what; comes with the fact that says it."""

    id: int
    verb: str
    by: str
    """The peer: "uid 1000 (ann), pid 4242"."""
    wall: float
    """When, on the wall clock; for people."""
    trace: str = ""
    """The ``traceparent`` of the request (W3C Trace Context)."""


class Change(Struct, frozen=True, omit_defaults=True):
    asked: Asked
    workloads: tuple[str, ...]
    """All that it is about."""
    wants: dict[str, Want] = {}
    """What is still to come."""
    overtaken: dict[str, str] = {}
    """Workload → why it will not come any more."""
    state: ChangeState = ChangeState.DOING
    reason: str = ""
    """Of its end, in words."""
    began: float = 0.0
    """Boot time."""
    took: float | None = None
    """Seconds from the asking to the end; None: it goes on."""
