"""The world: everything the deciders may know, frozen.

Times are seconds of CLOCK_BOOTTIME unless a name says ``wall``: a stepped wall
clock decides nothing but when a job is due. ``Record`` structs outlive the daemon
(SQLite); the rest is seen anew after a start.
"""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct

from nodeorch.model.change import Change
from nodeorch.model.fleet import Fleet
from nodeorch.model.job import JobRecord
from nodeorch.model.pressure import Pressure, PressureRules
from nodeorch.model.why import Code as Code
from nodeorch.model.why import Why as Why
from nodeorch.model.workload import Workload


class _Frozen(Struct, frozen=True, omit_defaults=True):
    pass


class State(StrEnum):
    """What the engine says of a container."""

    UNKNOWN = "unknown"
    CREATED = "created"
    RUNNING = "running"
    PAUSED = "paused"
    STOPPING = "stopping"
    EXITED = "exited"


class Exit(_Frozen, frozen=True):
    """How an instance ended."""

    why: Why
    at: float
    code: int | None = None
    signal: int | None = None


class Limits(_Frozen, frozen=True):
    """Limits as the kernel holds them; None: no limit, or not readable on this host."""

    memory: int | None = None
    memory_high: int | None = None
    swap: int | None = None
    """Swap on top of memory, bytes."""
    cpu: float | None = None
    cpu_weight: int | None = None
    cpuset: str | None = None
    pids: int | None = None
    io_weight: int | None = None
    io: dict[str, dict[str, int]] = {}
    """Device path → read_bytes, write_bytes, read_ops, write_ops; only what is limited."""
    ulimits: dict[str, tuple[int, int]] = {}
    """Name → (soft, hard) of the first process; -1: unlimited."""


class Container(_Frozen, frozen=True):
    """A container as a listing or an inspection shows it."""

    id: str
    name: str
    state: State
    pid: int = 0
    exit_code: int | None = None
    oom_killed: bool = False
    monitored: bool = True
    """False: nobody will tell the engine of its end (Podman: its conmon is dead)."""
    spent: bool = False
    """It ended and cannot be started again: nobody watched over it, or its removal was begun."""
    cleaned: bool = True
    """False: it has ended, and the engine still tears down its network and mounts."""
    started_wall: float = 0.0
    started: float = 0.0
    """Boot time of the start, as the daemon worked it out; 0: unknown."""
    image_id: str = ""
    address: str | None = None
    """None: not looked up (listings do not tell); "" : it has none."""
    labels: dict[str, str] = {}
    sealed: bool = False
    """The labels carry a seal that only this node's key can have made for this name."""


class InstanceRecord(_Frozen, frozen=True):
    """What is remembered of an instance across daemon restarts; written before an act."""

    name: str
    """The container's name, deterministic: ``WORKLOAD.SLOT.gGENERATION``."""
    workload: str
    slot: int
    generation: int
    template: str
    """Hash of the workload's baked-in part at creation; see decide/template.py."""
    serial: int
    """Number of this creation, rising on this node: tells two containers of one name apart."""
    container_id: str = ""
    """Empty while the creation is only intended."""
    removing: bool = False
    pruned: bool = False
    """Its container was removed outside nodeorch after it ended for good, or cannot be started
    again: it runs again in another one, or not at all."""
    failures: int = 0
    """Ends in a row, for the backoff."""
    runs: int = 0
    """Starts, ever."""
    up: bool = False
    """Started, and not seen to end."""
    booked: int = 0
    """Wall time of the start of the last run whose end was accounted for."""
    stopping: Why | None = None
    """Why it is being stopped; outlives a daemon that dies over it."""
    startup_passed: bool = False
    """In this run."""
    hook_due: bool = False
    """The post-start hook of this run has not ended well yet."""
    oom_run: int = 0
    """OOM kills counted by the cgroup of this run."""
    next_try: float | None = None
    started_once: bool = False
    """It has run since the host booted: its dependencies gate it no more."""
    operator_seq: int = 0
    """The last operator restart that it has obeyed."""
    last_exit: Exit | None = None
    oom_kills: int = 0
    """Of any of its processes, ever."""
    boot_id: str = ""
    image_digest: str = ""


class Instance(_Frozen, frozen=True):
    record: InstanceRecord
    state: State = State.UNKNOWN
    pid: int = 0
    address: str | None = None
    exit_code: int | None = None
    started_wall: float = 0.0
    running_since: float | None = None
    """When its first process started (boot time); None unless it runs."""
    watched_since: float | None = None
    """When this daemon first saw that run; later than the start, if it adopted it."""
    died_at: float | None = None
    """Seen dead by pidfd and not yet confirmed by an inspection."""
    oom_at: float | None = None
    """When the count of OOM kills last rose in this run."""
    stale: bool = False
    """Something happened to it: look."""
    look_at: float | None = None
    """The engine spoke of it so soon after our own act that it may be the echo: look then."""
    touched: float = 0.0
    """Last change by us: an older listing proves nothing about it."""
    readiness: bool | None = None
    liveness_failed: str | None = None
    liveness_passed: bool = False
    was_ready: bool = False
    doom: Why | None = None
    """It has to be stopped for this reason; the policy then decides about its next start."""
    limits: Limits | None = None
    """The kernel's, as last read; None: not read since it started."""
    left: int | None = None
    """The memory limit that it held when it ended, bytes; None: not known, or it runs."""
    limits_retry_at: float | None = None
    """When a refused change of limits may be tried again; nothing else waits for it."""
    limits_error: str | None = None
    """Why the last live change of limits was refused."""
    stuck: str | None = None
    """The last act on it failed: the words."""
    retry_at: float | None = None
    """When a failed act may be tried again."""
    hook_retry_at: float | None = None
    """When a post-start hook that the engine could not run may be tried again."""
    hook_error: str = ""
    """Why it could not."""
    name_seen: str = ""

    @property
    def name(self) -> str:
        return self.record.name

    @property
    def running(self) -> bool:
        return self.state in (State.RUNNING, State.PAUSED, State.STOPPING)


class Version(_Frozen, frozen=True):
    """One generation of a workload."""

    generation: int
    digest: str
    """Hash of the whole workload."""
    template: str
    """Hash of what is baked into a container."""
    workload: Workload
    image_id: str = ""
    """The image that the reference stood for; filled in where it is a version to go back to."""
    image_digest: str = ""


class DesiredRecord(_Frozen, frozen=True):
    """What a workload shall be; written before anything is done for it."""

    target: Version
    declared: str
    """Digest of what the file declares: differs from target's after a rollback."""
    latest: int
    """The highest generation ever given out."""
    previous: Version | None = None
    """The last good one, kept with its containers until the target is ready."""
    failed: Why | None = None
    """Why the declared version is not the target: its update failed, or an operator went back."""
    failed_generation: int | None = None
    stopped: bool = False
    scale: int | None = None
    """Replicas said by an operator; until the file changes."""
    operator_seq: int = 0
    """Rises with each operator restart."""
    forced: bool = False
    """Lower a memory limit below current use."""
    deleting: bool = False
    image_id: str = ""
    image_digest: str = ""
    image_failures: int = 0
    image_next_try: float | None = None
    image_error: str | None = None
    job: JobRecord | None = None
    """Of a job."""
    home: str = ""
    """The host that declares it; empty: this one."""
    term: int = 1
    """Of its ownership; see model/fleet.py."""
    slots: tuple[int, ...] | None = None
    """Those of its replicas that run on this host; None: all."""
    held_wall: float = 0.0
    """When this host began to run it for its home; 0: it does not."""
    held_boot: str = ""
    """The boot of this host in which that was decided: another one may have it since."""


class WorkloadState(_Frozen, frozen=True):
    record: DesiredRecord
    instances: dict[str, Instance] = {}
    settled: bool = False
    """Nothing to decide until a fact about it arrives (see decide/absorb.py:is_settled)."""
    create_error: str | None = None
    create_next_try: float | None = None
    create_failures: int = 0
    next_due: float | None = None
    """Wall time of a job's next due time; None: it has none, or it is still to be worked out."""

    @property
    def workload(self) -> Workload:
        return self.record.target.workload

    @property
    def replicas(self) -> int:
        scale = self.record.scale
        if scale is None:
            return self.workload.main.replicas
        # Said of one generation, it holds for the next, which may need a host port.
        return min(scale, 1) if any(p.host for p in self.workload.ports) else scale

    @property
    def slots(self) -> tuple[int, ...]:
        """The replicas that run on this host."""
        chosen = self.record.slots
        return tuple(range(self.replicas)) if chosen is None else chosen


class Node(_Frozen, frozen=True):
    name: str = "localhost"
    boot_id: str = ""
    memory: int = 1 << 62
    """Bytes that workloads may request in sum: total less the reserve, times overcommit."""
    pressure: PressureRules = PressureRules()
    labels: dict[str, str] = {}
    """For the placement of workloads in a fleet."""


class Engine(_Frozen, frozen=True):
    answering: bool = False
    since: float = 0.0
    words: str = "not asked yet"
    listed_at: float | None = None
    """When the last good listing was begun; None: never, so nothing may be created."""
    list_due: float = 0.0
    list_error: str = ""


class Brake(_Frozen, frozen=True):
    """A deletion of many workloads that waits for ``nodeorch confirm``."""

    names: tuple[str, ...]
    words: str


class Wait(_Frozen, frozen=True):
    """Something that is not done yet, and the journal knows it."""

    workload: str
    instance: str
    code: Code


class Note(_Frozen, frozen=True):
    """A line of the journal."""

    why: Why
    workload: str = ""
    instance: str = ""
    details: dict[str, str | int | float | bool | None] = {}


class World(_Frozen, frozen=True):
    node: Node = Node()
    workloads: dict[str, WorkloadState] = {}
    rejected: dict[str, str] = {}
    """File name → the first problem of a spec file that was not accepted."""
    busy: dict[str, str] = {}
    """Action key → verb: what is in flight."""
    engine: Engine = Engine()
    brake: Brake | None = None
    shutdown: bool = False
    rebuilding: bool = False
    """The database was lost: sealed containers are taken back at the next listing."""
    pressure: Pressure = Pressure()
    wall_ahead: float | None = None
    """Wall time less boot time; None: nobody has told it yet."""
    store_trouble: str = ""
    """Why nothing can be written down at present; then nothing is created or removed."""
    serial: int = 0
    changes: dict[int, Change] = {}
    """What operators asked for, by number; the last ones (see decide/changes.py)."""
    doing: tuple[int, ...] = ()
    """Those of them that go on."""
    fleet: Fleet = Fleet()
    waits: frozenset[Wait] = frozenset()
    """What is held back at present and was told of; see decide/waits.py."""
    notes: tuple[Note, ...] = ()
    """Drained into the journal after each step."""
