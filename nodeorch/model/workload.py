"""A workload, as it is declared in TOML and stored as JSON.

One struct serves the validator, the JSON Schema, the database and the deciders.
Quantities are plain numbers here (bytes, seconds, cpus); ``Meta.extra["unit"]``
tells the validator and the schema that a person writes them with a unit. What each
field means is said in spec/words.py; descriptions here are what messages call a value.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import msgspec
from msgspec import Meta

from nodeorch.model.placing import Failover, Placement, Scope
from nodeorch.model.quantities import MIB as MIB
from nodeorch.model.quantities import NAME_PATTERN as NAME_PATTERN
from nodeorch.model.quantities import AbsolutePath as AbsolutePath
from nodeorch.model.quantities import Bytes as Bytes
from nodeorch.model.quantities import Cpus as Cpus
from nodeorch.model.quantities import Name as Name
from nodeorch.model.quantities import PortNumber as PortNumber
from nodeorch.model.quantities import Seconds as Seconds
from nodeorch.model.quantities import ServerName as ServerName
from nodeorch.model.quantities import Spec as _Spec


class Pull(StrEnum):
    MISSING = "missing"
    ALWAYS = "always"
    NEVER = "never"


class RestartPolicy(StrEnum):
    ALWAYS = "always"
    ON_FAILURE = "on-failure"
    NEVER = "never"


class Condition(StrEnum):
    """What another workload must be before the one that needs it starts."""

    STARTED = "started"
    READY = "ready"
    COMPLETED = "completed"


class Kind(StrEnum):
    SERVICE = "service"
    JOB = "job"
    """Runs, ends, and runs again when its schedule or a person says so."""


class Concurrency(StrEnum):
    """What becomes of a run whose time comes while another one has not ended."""

    ALLOW = "allow"
    FORBID = "forbid"
    REPLACE = "replace"


class Protocol(StrEnum):
    TCP = "tcp"
    UDP = "udp"


class Method(StrEnum):
    GET = "GET"
    HEAD = "HEAD"
    POST = "POST"
    PUT = "PUT"


class OnFailure(StrEnum):
    """What follows when a post-start hook fails."""

    RESTART = "restart"
    IGNORE = "ignore"


class Main(_Spec, frozen=True):
    """The [workload] table: what runs."""

    name: Name
    image: Annotated[str, Meta(min_length=1, description="image reference")]
    kind: Kind = Kind.SERVICE
    scope: Scope = Scope.HOST
    command: tuple[str, ...] = ()
    args: tuple[str, ...] = ()
    env: dict[str, str] = {}
    env_file: AbsolutePath | None = None
    working_dir: AbsolutePath | None = None
    replicas: Annotated[int, Meta(ge=0, le=1000)] = 1
    after: tuple[Name, ...] = ()
    needs: dict[str, Condition] = {}
    networks: tuple[str, ...] = ()
    hostname: str | None = None
    labels: dict[str, str] = {}
    init: bool = False
    pull: Pull = Pull.MISSING
    priority: Annotated[int, Meta(ge=-1000, le=1000)] = 0


class Ulimit(_Spec, frozen=True):
    soft: Annotated[int, Meta(ge=0)]
    hard: Annotated[int, Meta(ge=0)]


class DeviceLimit(_Spec, frozen=True):
    """Limits of one block device; 0 is unlimited."""

    path: AbsolutePath
    read_bytes: Bytes = 0
    write_bytes: Bytes = 0
    read_ops: Annotated[int, Meta(ge=0)] = 0
    write_ops: Annotated[int, Meta(ge=0)] = 0


class OomPolicy(StrEnum):
    RESTART = "restart"
    """An OOM kill of any process of the instance restarts the instance."""
    CONTINUE = "continue"
    """Only the death of the first process does."""


class Resources(_Spec, frozen=True):
    """Limits, enforced by the kernel and read back from it. None: not limited here."""

    memory: Bytes | None = None
    memory_high: Bytes | None = None
    swap: Bytes | None = None
    cpu: Cpus | None = None
    cpu_weight: Annotated[int, Meta(ge=1, le=10000)] | None = None
    cpuset: Annotated[str, Meta(pattern=r"^[0-9]+(-[0-9]+)?(,[0-9]+(-[0-9]+)?)*$")] | None = None
    pids: Annotated[int, Meta(ge=1, le=4194304)] = 256
    io_weight: Annotated[int, Meta(ge=1, le=10000)] | None = None
    io: tuple[DeviceLimit, ...] = ()
    ulimits: dict[str, Ulimit] = {}
    oom: OomPolicy = OomPolicy.CONTINUE


class Port(_Spec, frozen=True):
    container: PortNumber
    host: PortNumber | None = None
    """None: not published, only documented."""
    address: str = "127.0.0.1"
    protocol: Protocol = Protocol.TCP


class Volume(_Spec, frozen=True):
    """Exactly one of name (named volume), source (bind mount), tmpfs (size)."""

    target: AbsolutePath
    name: Annotated[str, Meta(pattern=r"^[a-zA-Z0-9][a-zA-Z0-9_.-]{0,62}$")] | None = None
    source: AbsolutePath | None = None
    tmpfs: Bytes | None = None
    read_only: bool = False
    shared: bool = False
    """Every host that may run the workload finds the same data there."""


class File(_Spec, frozen=True):
    """A read-only file in the container. Exactly one of content and source."""

    target: AbsolutePath
    content: str | None = None
    source: AbsolutePath | None = None
    mode: Annotated[str, Meta(pattern=r"^0?[0-7]{3}$")] = "0444"
    digest: Annotated[str, Meta(extra={"hidden": True})] = ""
    """SHA-256 of the content, which is kept beside the database once the spec is loaded."""


class Scheme(StrEnum):
    HTTP = "http"
    HTTPS = "https"


class Http(_Spec, frozen=True):
    port: PortNumber
    path: Annotated[str, Meta(pattern=r"^/[!-~]*$")] = "/"
    method: Method = Method.GET
    status: tuple[Annotated[int, Meta(ge=100, le=599)], ...] = ()
    headers: dict[str, str] = {}
    body: str | None = None
    scheme: Scheme = Scheme.HTTP
    ca: AbsolutePath | None = None
    server_name: ServerName | None = None

    @property
    def tls(self) -> bool:
        return self.scheme is Scheme.HTTPS


class Tcp(_Spec, frozen=True):
    port: PortNumber


class Grpc(_Spec, frozen=True):
    """grpc.health.v1.Health/Check, the standard health protocol."""

    port: PortNumber
    service: Annotated[str, Meta(pattern=r"^[!-~]{0,255}$")] = ""
    tls: bool = False
    ca: AbsolutePath | None = None
    server_name: ServerName | None = None


class Probe(_Spec, frozen=True):
    """Exactly one of http, tcp, grpc, exec."""

    http: Http | None = None
    tcp: Tcp | None = None
    exec: tuple[str, ...] | None = None
    grpc: Grpc | None = None
    interval: Seconds = 10.0
    timeout: Seconds = 1.0
    failures: Annotated[int, Meta(ge=1, le=1000)] = 3
    successes: Annotated[int, Meta(ge=1, le=1000)] = 1
    delay: Seconds = 0.0


class Probes(_Spec, frozen=True):
    startup: Probe | None = None
    """Holds the other two back until it passes; failing restarts."""
    readiness: Probe | None = None
    """Gates order, updates and traffic; failing only marks not ready."""
    liveness: Probe | None = None
    """Failing restarts."""


class PostStart(_Spec, frozen=True):
    """Exactly one of exec and http. Runs once after each start; ready only when it has passed."""

    exec: tuple[str, ...] | None = None
    http: Http | None = None
    timeout: Seconds = 10.0
    on_failure: OnFailure = OnFailure.RESTART


class PreStop(_Spec, frozen=True):
    """Exactly one of exec and http. Runs before the stop signal; its failure stops nothing."""

    exec: tuple[str, ...] | None = None
    http: Http | None = None
    timeout: Seconds = 10.0


class Hooks(_Spec, frozen=True):
    post_start: PostStart | None = None
    """Gates readiness; failing restarts, unless that is to be ignored."""
    pre_stop: PreStop | None = None
    """Has time of its own, before stop.grace begins."""


class Backoff(_Spec, frozen=True):
    """Exponential with full jitter (Brooker, "Exponential Backoff And Jitter", AWS 2015)."""

    initial: Seconds = 0.1
    max: Seconds = 30.0
    reset: Seconds = 60.0


class Restart(_Spec, frozen=True):
    policy: RestartPolicy = RestartPolicy.ALWAYS
    backoff: Backoff = Backoff()


class Stop(_Spec, frozen=True):
    signal: Annotated[str, Meta(pattern=r"^(SIG)?[A-Z][A-Z0-9+]*$")] = "TERM"
    grace: Seconds = 10.0


class Security(_Spec, frozen=True):
    """The safe defaults; each can be relaxed by naming it."""

    read_only: bool = True
    user: str | None = None
    capabilities: tuple[str, ...] = ()
    no_new_privileges: bool = True
    seccomp: str = "default"
    userns: Annotated[str, Meta(pattern=r"^(host|auto)$")] = "host"
    privileged: bool = False


class Job(_Spec, frozen=True):
    """When a job runs, and how often it is tried; only with kind = "job"."""

    schedule: str | None = None
    timezone: Annotated[str, Meta(min_length=1)] = "UTC"
    catch_up: Seconds = 3600.0
    concurrency: Concurrency = Concurrency.FORBID
    deadline: Seconds | None = None
    retries: Annotated[int, Meta(ge=0, le=100)] = 0
    keep: Annotated[int, Meta(ge=1, le=100)] = 10


class Logs(_Spec, frozen=True):
    max_size: Annotated[int, Meta(ge=64 * 1024, extra={"unit": "bytes"})] = 10 * MIB


class Update(_Spec, frozen=True):
    """How a changed workload replaces its running instances."""

    deadline: Seconds = 30.0
    settle: Seconds = 1.0


class Workload(_Spec, frozen=True):
    """One spec file."""

    main: Main = msgspec.field(name="workload")
    resources: Resources = Resources()
    ports: tuple[Port, ...] = ()
    volumes: tuple[Volume, ...] = ()
    files: tuple[File, ...] = ()
    probes: Probes = Probes()
    hooks: Hooks = Hooks()
    restart: Restart = Restart()
    job: Job | None = None
    stop: Stop = Stop()
    security: Security = Security()
    logs: Logs = Logs()
    update: Update = Update()
    failover: Failover = Failover()
    placement: Placement = Placement()

    @property
    def name(self) -> str:
        return self.main.name

    @property
    def is_job(self) -> bool:
        return self.main.kind is Kind.JOB

    @property
    def terms(self) -> Job:
        """Of a job, also when nothing is said about them."""
        return self.job or Job()

    @property
    def conditions(self) -> dict[str, Condition]:
        """What must be so before this one starts: ``after`` and ``needs`` in one."""
        return dict.fromkeys(self.main.after, Condition.READY) | self.main.needs
