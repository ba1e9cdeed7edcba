"""Facts: what adapters and people tell the world. Never orders to an adapter."""

from __future__ import annotations

from msgspec import Struct

from nodeorch.model.actions import Action
from nodeorch.model.change import Asked, Change
from nodeorch.model.fleet import FleetRecord, Hearing, Member, Report, View
from nodeorch.model.workload import Workload
from nodeorch.model.world import (
    Container,
    DesiredRecord,
    InstanceRecord,
    Limits,
    Note,
    Version,
)


class _Fact(Struct, frozen=True, tag=True):
    pass


class Tick(_Fact, frozen=True):
    """Time passed."""


class ClockSeen(_Fact, frozen=True):
    """The wall clock was set, or is told for the first time."""

    ahead: float
    """Wall time less boot time, seconds."""


class Loaded(_Fact, frozen=True):
    """What SQLite remembered, at start."""

    desired: dict[str, DesiredRecord]
    instances: dict[str, InstanceRecord]
    serial: int
    rebuilt: bool = False
    """The database was lost and made anew."""
    changes: dict[int, Change] = {}
    wall: float = 0.0
    """Now, on the wall clock: tells how long ago a change began."""
    fleet: FleetRecord | None = None
    views: dict[str, View] = {}
    lineage: str = ""
    """A fresh random one, for a database that has none."""


class SpecsSeen(_Fact, frozen=True):
    """One pass over the workloads directory (or one accepted API change)."""

    workloads: dict[str, Workload]
    rejected: dict[str, str] = {}
    """Stem of a broken file → its first problem: the last good version stays."""
    unreadable: str | None = None
    """Why the directory could not be read: then nothing is deleted."""
    deleted: tuple[str, ...] = ()
    """Deleted by a person, by name: these need no confirmation."""
    forced: tuple[str, ...] = ()
    applied: tuple[str, ...] = ()
    """Workloads whose files an operator has just written through the API."""
    by: str = ""
    """That operator, or the one who deleted."""
    change: Asked | None = None
    """Their request, to be followed."""
    taken: tuple[str, ...] = ()
    """Workloads whose home an operator has just moved to this host."""


class Listed(_Fact, frozen=True):
    """A full listing. ``begun``: what changed after it is not contradicted by it."""

    containers: tuple[Container, ...]
    begun: float


class Hint(_Fact, frozen=True):
    """The engine's event stream spoke of a container: look. An empty id: the stream began."""

    container_id: str


class Died(_Fact, frozen=True):
    """A pidfd became readable: the first process is dead."""

    instance: str
    container_id: str
    pid: int
    oom_kills: int | None = None
    """The cgroup's count of OOM kills, read at that moment; None: not readable."""


class OomSeen(_Fact, frozen=True):
    """A cgroup's count of OOM kills rose while the first process lives."""

    instance: str
    container_id: str
    oom_kills: int


class LimitsSeen(_Fact, frozen=True):
    instance: str
    container_id: str
    limits: Limits


class ProbeSeen(_Fact, frozen=True):
    """A probe's verdict changed (thresholds are already counted)."""

    instance: str
    container_id: str
    probe: str
    """"startup" | "readiness" | "liveness"."""
    passed: bool
    words: str = ""
    latency: float | None = None
    """Seconds, of the try that decided."""


class PressureSeen(_Fact, frozen=True):
    """Percent of the last ten seconds in which no task of the host could go on (PSI, "full")."""

    memory: float | None
    """None: the kernel does not tell."""
    io: float | None


class MembersSeen(_Fact, frozen=True):
    """Serf's list has changed, or Serf can or cannot be asked."""

    members: tuple[Member, ...] = ()
    """All, this host among them; without meaning while there is trouble."""
    trouble: str = ""


class LinkSeen(_Fact, frozen=True):
    """What is heard of another daemon has changed."""

    host: str
    hearing: Hearing
    words: str = ""
    """Why it is not heard."""
    run: str = ""
    """Of the daemon that is heard."""


class OpinionSeen(_Fact, frozen=True):
    """Another daemon says whom it hears; only changes."""

    host: str
    silent: tuple[str, ...] = ()
    answers: tuple[str, ...] = ()
    hears: tuple[str, ...] = ()


class NameTaken(_Fact, frozen=True):
    """Two hosts that live at the same time use one name; ours, or another's."""

    host: str
    address: str
    """Of the one that should not; empty: it has not been seen for a while."""


class ReportSeen(_Fact, frozen=True):
    """Another daemon says what runs there."""

    report: Report


class ViewSeen(_Fact, frozen=True):
    """A view was fetched, with all that its movable workloads need. An older one than is known
    changes nothing."""

    view: View
    via: str
    """The host that gave it, which need not be the one it is of."""


class QuietSeen(_Fact, frozen=True):
    """Which workloads have had next to nothing to do for a while; only changes."""

    idle: frozenset[str]


class HostRemoved(_Fact, frozen=True):
    """An operator says that a host is gone for good, or that this one leaves."""

    host: str
    by: str
    wall: float = 0.0


class EngineSeen(_Fact, frozen=True):
    answering: bool
    words: str = ""


class StoreSeen(_Fact, frozen=True):
    """Whether SQLite takes writes."""

    working: bool
    words: str = ""


class Command(_Fact, frozen=True):
    """An operator's wish. verb: restart | stop | start | scale | rollback | run | delete |
    confirm | shutdown."""

    verb: str
    workload: str = ""
    by: str = ""
    """The peer, for the journal: "uid 1000 (ann), pid 4242"."""
    replicas: int | None = None
    version: Version | None = None
    """The one to go back to, for rollback."""
    change: Asked | None = None
    """The request, to be followed."""
    args: tuple[str, ...] | None = None
    """In place of the workload's, for run."""


class HookEnd(Struct, frozen=True):
    """What came of a hook."""

    passed: bool
    words: str


class Noted(_Fact, frozen=True):
    """Something for the journal that changes nothing else: who ran a command in an instance."""

    note: Note


class Done(_Fact, frozen=True):
    """An action ended well. The fields that apply to its kind are set."""

    action: Action
    container: Container | None = None
    limits: Limits | None = None
    oom_kills: int | None = None
    """Of an ended container, by its cgroup; None: not looked up, or the cgroup is gone."""
    image_id: str = ""
    image_digest: str = ""
    hook: HookEnd | None = None
    signalled: bool = True
    """Of a stop: False when its process had ended before anything was done to it."""


class Failed(_Fact, frozen=True):
    """An action failed. kind: see ports.EngineError."""

    action: Action
    kind: str
    words: str


Fact = (
    Tick
    | ClockSeen
    | Loaded
    | SpecsSeen
    | Listed
    | Hint
    | Died
    | OomSeen
    | LimitsSeen
    | ProbeSeen
    | PressureSeen
    | MembersSeen
    | LinkSeen
    | OpinionSeen
    | NameTaken
    | ReportSeen
    | ViewSeen
    | QuietSeen
    | HostRemoved
    | EngineSeen
    | StoreSeen
    | Command
    | Noted
    | Done
    | Failed
)
