"""What the API shows: the JSON shapes of /v1, shared by the server, the client and the CLI.

Times ending in ``_at`` are RFC 3339 UTC strings, ``_in`` are seconds from now.
"""

from __future__ import annotations

from msgspec import Struct


class InstanceView(Struct, frozen=True):
    name: str
    container_id: str
    pid: int
    state: str
    """running | starting | unready | backoff | crash-loop | stopping | stopped | completed |
    failed | creating | waiting | paused | stuck | unknown"""
    ready: bool
    restarts: int
    started_at: str | None
    exit_code: int | None
    image_digest: str
    memory_bytes: int | None
    memory_limit_bytes: int | None
    cpu_percent: float | None
    address: str | None
    generation: int
    slot: int
    reason: str
    """Why it is in that state, or why it last ended; a sentence."""
    next_try_in: float | None = None
    failures: int = 0
    oom_kills: int = 0
    probes: dict[str, ProbeView] = {}


class ProbeView(Struct, frozen=True):
    passed: bool
    words: str
    latency_ms: float
    at: str
    runs: int
    in_a_row: int = 0
    """Tries with this result, the last one included."""
    since: str | None = None
    """When the first of those ended."""


class RunView(Struct, frozen=True):
    """A run of a job."""

    number: int
    state: str
    """pending | running | retrying | stopping | succeeded | failed | deadline | replaced |
    stopped"""
    reason: str
    """What it waits for, or how it ended."""
    cause: str
    """schedule | declared | operator | found"""
    words: str
    """Why it was made."""
    due_at: str | None
    made_at: str | None
    started_at: str | None
    ended_at: str | None
    seconds: float | None
    """From its first start to its end, or to now."""
    attempts: int
    exit_code: int | None
    args: list[str] | None
    """Its own, in place of the workload's."""
    instance: str | None
    """None: its container is not there yet, or not any more."""
    generation: int


class JobView(Struct, frozen=True):
    schedule: str
    timezone: str
    next_at: str | None
    next_in: float | None
    next_words: str
    """In the job's time zone."""
    active: int
    """Runs that have not ended."""
    last: RunView | None
    """The last that has ended."""
    skipped: str
    """The last due time that made no run, and why."""


STATES = (
    "running",
    "elsewhere",
    "starting",
    "degraded",
    "updating",
    "pending",
    "backoff",
    "crash-loop",
    "stuck",
    "stopping",
    "stopped",
    "completed",
    "scheduled",
    "failed",
    "deleting",
)
"""Of a workload."""


class WorkloadView(Struct, frozen=True):
    name: str
    generation: int
    desired: int
    """Replicas that shall run (0 while stopped): at its home on all hosts, elsewhere on that
    one."""
    ready: int
    state: str
    """One of STATES."""
    reason: str
    instances: list[InstanceView]
    image: str = ""
    ports: list[str] = []
    """ "127.0.0.1:18080->8080/tcp" """
    declared_generation: int = 0
    """Differs from generation after a failed update or a rollback."""
    scaled: bool = False
    stopped_by_operator: bool = False
    job: JobView | None = None
    """None: it is a service."""
    home: str = ""
    """The host that declares it; empty: this one."""
    hosts: list[str] = []
    """Where it runs, or is on its way to run; empty while this host is alone."""


class VersionView(Struct, frozen=True):
    version: str
    api: str


class NodeView(Struct, frozen=True):
    name: str
    version: str
    engine: str
    """ "answering since …" or why not."""
    engine_answering: bool
    memory_total: int
    memory_requested: int
    rejected: dict[str, str]
    brake: list[str]
    brake_words: str = ""
    warnings: list[str] = []
    fleet: str = ""
    """This host's name in the fleet; empty: it is alone."""
    fleet_warnings: list[str] = []


class Pressure(Struct, frozen=True):
    """Percent of the time in which some task waited for it (PSI); None: the kernel does not
    tell."""

    cpu: float | None = None
    memory: float | None = None
    io: float | None = None


class HostStats(Struct, frozen=True):
    cpus: int
    memory_total: int | None
    """Bytes."""
    memory_available: int | None
    """What could be had without swapping, bytes: MemAvailable of /proc/meminfo."""
    pressure: Pressure
    """Over the last 10 s."""


class InstanceStats(Struct, frozen=True):
    name: str
    workload: str
    state: str
    """As in InstanceView."""
    ready: bool
    reason: str
    restarts: int
    oom_kills: int
    cpu_percent: float | None
    """Of one CPU, since the sample before: 2 s while somebody looks, else 10 s."""
    memory_bytes: int | None
    memory_limit_bytes: int | None
    pressure: Pressure
    """Since the sample before."""
    probe: str = ""
    """ "readiness", else "liveness", else "startup"; empty: it has none, or none has run."""
    probe_passed: bool | None = None
    probe_latency_ms: float | None = None


class StatsView(Struct, frozen=True):
    """Everything that `nodeorch top` shows, in one answer."""

    at: str
    node: str
    host: HostStats
    instances: list[InstanceStats]


class PointView(Struct, frozen=True):
    at: str
    """When it began; it lasts for the step of its history."""
    cpu_percent: float | None
    """The mean. All fields are None where it did not run, or nobody looked."""
    memory_bytes: int | None
    """The highest that was seen, to seven digits."""
    pressure: Pressure
    """The mean."""


class InstanceHistory(Struct, frozen=True):
    name: str
    state: str
    """ "gone": the instance is no more, its hour is not over yet."""
    memory_limit_bytes: int | None
    points: list[PointView]
    """Oldest first, without a hole in time."""


class HistoryView(Struct, frozen=True):
    """The last hour of a workload's instances."""

    workload: str
    step_seconds: float
    instances: list[InstanceHistory]


class FieldChange(Struct, frozen=True):
    field: str
    before: str
    after: str
    effect: str
    """live | restart | recreate"""


class WorkloadPlan(Struct, frozen=True):
    workload: str
    verb: str
    """create | update | delete | restart | stop | none | hold"""
    words: str
    changes: list[FieldChange] = []
    placement: list[str] = []
    """Where in the fleet it belongs and why, and why not elsewhere; a sentence each."""


class PlanView(Struct, frozen=True):
    workloads: list[WorkloadPlan]
    actions: list[dict[str, str]]
    """{"verb", "workload", "key", "code", "why"}"""
    holds: list[dict[str, str | float | None]]
    """{"workload", "instance", "code", "why", "in"}"""


class EventView(Struct, frozen=True):
    seq: int
    at: str
    code: str
    words: str
    workload: str = ""
    instance: str = ""
    details: dict[str, str | int | float | bool | None] = {}


class GapView(Struct, frozen=True):
    """A line of /v1/events: what was asked for is not there any more."""

    gap: str
    """In words."""
    after: int
    """The number that was asked for."""
    first: int
    """The number from which it goes on."""


class WhyView(Struct, frozen=True):
    workload: WorkloadView | None
    """None: it is gone and only the journal knows it, or it is not on this host: see home."""
    now: list[str]
    """What is decided now, and what is decided not to be done, as sentences."""
    events: list[EventView]
    """Oldest first."""
    home: str = ""
    """The other host that declares it."""


class GenerationView(Struct, frozen=True):
    generation: int
    at: str
    current: bool
    declared: bool
    words: str
    """What changed against the generation before it."""


class ChangeView(Struct, frozen=True):
    """What an operator asked for."""

    id: int
    verb: str
    workloads: list[str]
    by: str
    """ "uid 1000 (ann), pid 4242" """
    at: str
    state: str
    """doing | done | failed | superseded"""
    reason: str
    """Of its end; empty while it goes on."""
    waits: list[str]
    """What it still waits for, a workload each."""
    ended_at: str | None
    trace: str
    """The traceparent of its request; empty: it had none."""


class MutationView(Struct, frozen=True):
    """The answer to every mutation, and to its dry run."""

    workloads: list[WorkloadPlan]
    dry_run: bool = False
    seq: int = 0
    """The journal's number of the last entry it made: `nodeorch events --after`."""
    change: int | None = None
    """Its number: /v1/changes. None of a dry run."""
    run: int = 0
    """The number of the run that it began."""


class HealthView(Struct, frozen=True):
    """The answer of /healthz and /readyz when all is well; else it is an ErrorView."""

    ok: bool


class CopyView(Struct, frozen=True):
    """The answer to the dry run of a copy: which instance, and what is at the path."""

    instance: str
    path: str
    exists: bool
    directory: bool = False
    size: int = 0
    link: str = ""


class ErrorView(Struct, frozen=True):
    """Every answer of status 4xx and 5xx."""

    error: str
    """ "cannot …: why; what to do" """
    code: str = ""
    problems: list[str] = []
