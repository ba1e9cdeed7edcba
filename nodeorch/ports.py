"""What the daemon needs of the outside, as protocols. Adapters implement them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Protocol

from msgspec import Struct

from nodeorch.model.change import Change
from nodeorch.model.facts import Fact, HookEnd
from nodeorch.model.fleet import FleetRecord, View
from nodeorch.model.workload import PostStart, PreStop, Probe, Pull, Resources, Workload
from nodeorch.model.world import (
    Container,
    DesiredRecord,
    InstanceRecord,
    Limits,
    Note,
    Version,
    Why,
)

Inbox = Callable[[Fact], None]
"""Hand a fact to the loop; never blocks."""


class EngineError(Exception):
    """An engine call that failed. ``kind`` tells the deciders what to make of it.

    unreachable  no connection, or the connection broke
    timeout      no answer in time; the act may still happen
    not_found    no such container
    no_image     no such image, and it could not be pulled
    name_in_use  another container has the name
    refused      the engine said no; words say why
    """

    def __init__(self, kind: str, words: str) -> None:
        super().__init__(words)
        self.kind = kind
        self.words = words


class LogLine(Struct, frozen=True):
    instance: str
    stream: str
    """"stdout" | "stderr"."""
    at: str
    """RFC 3339, as the engine gives it."""
    text: str


class Attach(Struct, frozen=True):
    """A command to run inside a container for a person who is there."""

    command: tuple[str, ...]
    tty: bool = False
    stdin: bool = False
    user: str = ""
    workdir: str = ""
    env: tuple[str, ...] = ()
    """"KEY=value", on top of the container's."""
    rows: int = 0
    columns: int = 0
    """Of the terminal, at its start; 0: not known."""


class Terminal(Protocol):
    """A running command and the ends of its streams. Raises only EngineError."""

    async def read(self) -> tuple[str, bytes] | None:
        """What it wrote next, to "stdout" or "stderr"; with a tty all is stdout. None: the end."""

    async def write(self, data: bytes) -> None:
        """Returns when the engine has taken it; what comes after the command's end is dropped."""

    async def end_input(self) -> None: ...

    async def resize(self, rows: int, columns: int) -> None: ...

    async def signal(self, name: str) -> None:
        """To the command and what it has started in its session: "TERM"."""

    async def wait(self) -> int:
        """The exit code, after ``read`` has told the end."""

    async def close(self) -> bool:
        """Kill what still runs of it. False: it could not be killed."""


class PathStat(Struct, frozen=True):
    """A path inside a container."""

    name: str
    size: int
    directory: bool
    link: str = ""
    """Where it leads, when it is a symbolic link."""


class Engine(Protocol):
    """The container engine. Every call has a timeout and raises only EngineError."""

    async def ping(self) -> str:
        """The engine's version; raises EngineError."""

    async def list(self) -> tuple[Container, ...]:
        """All containers that carry nodeorch labels, running or not."""

    async def inspect(self, container_id: str) -> Container:
        """One container, by id, with its address."""

    async def ensure_image(
        self, image: str, policy: Pull, progress: Callable[[str], None] | None = None
    ) -> tuple[str, str]:
        """(id, digest). Pulls by policy; raises no_image."""

    async def create(
        self,
        name: str,
        workload: Workload,
        image_id: str,
        labels: Mapping[str, str],
        resources: Resources,
    ) -> str:
        """Create networks and volumes that miss, then the container; its id."""

    async def start(self, container_id: str, *, urgent: bool = False) -> Container:
        """Start and inspect. Starting a running container is not an error."""

    async def kill(self, container_id: str, signal: str) -> None: ...

    async def remove(self, container_id: str) -> None:
        """Remove at once (killing it if need be) with its anonymous volumes; absent is fine."""

    async def update(self, container_id: str, resources: Resources) -> None: ...

    async def unpause(self, container_id: str) -> None: ...

    async def rename(self, container_id: str, name: str) -> None: ...

    def events(self) -> AsyncIterator[str]:
        """Ids of containers that something happened to; ends with EngineError."""

    def logs(
        self, container_id: str, instance: str, *, follow: bool, tail: int | None, since: str | None
    ) -> AsyncIterator[LogLine]: ...

    async def exec(
        self, container_id: str, command: Sequence[str], timeout: float
    ) -> tuple[int, str]:
        """(exit code, first 4 KiB of output); for exec probes.

        A command that runs longer than ``timeout`` seconds is killed and its exit code is 124.
        EngineError tells of the engine alone, never of the command: such a try does not count.
        """

    async def terminal(self, container_id: str, attach: Attach) -> Terminal:
        """Start a command and attach to it. One that cannot be found or run ends with code 127
        or 126 and says so on its stderr."""

    async def stat(self, container_id: str, path: str) -> PathStat | None:
        """None: there is no such path."""

    def read_archive(self, container_id: str, path: str) -> AsyncIterator[bytes]:
        """A tar of the path, under its last name."""

    async def write_archive(self, container_id: str, path: str, data: AsyncIterator[bytes]) -> None:
        """Unpack a tar into a directory."""

    async def close(self) -> None: ...


class Usage(Struct, frozen=True):
    """A cgroup's use at a moment."""

    memory: int | None
    cpu_seconds: float | None
    oom_kills: int | None
    at: float
    stalled: Mapping[str, float] = {}
    """ "cpu", "memory", "io" → seconds, ever, in which some task waited for it (PSI). Empty where
    the kernel does not tell: cgroup v1, or PSI switched off."""


class Cgroups(Protocol):
    """The kernel's files, v2 and v1 alike. Nothing here blocks for longer than a file read."""

    def limits(self, pid: int, container_id: str) -> Limits | None:
        """None: the process is gone, or is not in that container's cgroup."""

    def usage(self, pid: int, container_id: str) -> Usage | None: ...

    def oom_kills(self, container_id: str) -> int | None:
        """Works for a little while after the death of the first process."""

    def kill(self, container_id: str) -> int:
        """SIGKILL to all that is left in a container's cgroup; how many processes."""

    def sweep(self, left: AbstractSet[str]) -> None:
        """Remove the empty cgroups of all that was looked at and is not among these ids.

        Where the sandbox allows it; an engine that is killed at the wrong moment leaves them.
        """


class Deaths(Protocol):
    """Watches first processes by pidfd; reports facts.Died."""

    def sync(self, wanted: Mapping[str, tuple[str, int]]) -> None:
        """instance → (container id, pid): watch exactly these."""

    async def wait(self, pid: int, timeout: float) -> bool:
        """True when the process is dead within timeout seconds."""

    def started(self, pid: int) -> float | None:
        """When the process started, boot time; None: it is gone."""

    def close(self) -> None: ...


class ProbeTarget(Struct, frozen=True):
    """A probe to run, again and again, on one instance."""

    instance: str
    container_id: str
    kind: str
    """"startup" | "readiness" | "liveness"."""
    address: str
    probe: Probe
    run: str = ""
    """Tells the runs of one container apart (its start time): a new run is probed anew."""


class ProbeResult(Struct, frozen=True):
    passed: bool
    words: str
    latency: float
    """Seconds."""
    wall: float
    in_a_row: int
    """Tries with this result, the last one included."""
    runs: int
    since: float = 0.0
    """When the first of those in a row ended; wall time."""


class Prober(Protocol):
    """Runs probes on its own schedule; reports facts.ProbeSeen only when a verdict changes."""

    def sync(self, wanted: Mapping[tuple[str, str], ProbeTarget]) -> None:
        """(instance, kind) → target: run exactly these."""

    def results(self) -> Mapping[tuple[str, str], ProbeResult]:
        """The last result of each, for display."""

    def keep(self, workloads: Iterable[str]) -> None:
        """Forget what was counted of the probes of all others."""

    async def close(self) -> None: ...


class HookRunner(Protocol):
    """Runs a workload's hooks."""

    async def run(self, hook: PostStart | PreStop, container_id: str, address: str) -> HookEnd:
        """Ends a little after the hook's own timeout at the latest; then it has failed.

        Raises EngineError where the engine could not run it: that says nothing of the hook.
        """


class Shelf(Protocol):
    """Keeps the content of workloads' config files. All of it blocks, and raises OSError."""

    def keep(self, workload: str, digest: str, content: bytes) -> None:
        """Durably, before it returns."""

    def lay(self, workload: str, digest: str, mode: int) -> str:
        """The path of a copy that can be mounted; one that is lost or altered is made anew."""

    def workloads(self) -> list[str]:
        """Those that something is kept for."""

    def tidy(self, workload: str, kept: Iterable[str], laid: Iterable[str]) -> None:
        """Remove what is kept, and laid out, beyond these digests."""


class Entry(Struct, frozen=True):
    """A line of the journal as it is stored."""

    seq: int
    wall: float
    why: Why
    workload: str = ""
    instance: str = ""
    details: dict[str, str | int | float | bool | None] = {}


class Changes(Struct, frozen=True):
    """What one step has to write, in one transaction. None as a value deletes the row."""

    desired: dict[str, DesiredRecord | None] = {}
    instances: dict[str, InstanceRecord | None] = {}
    versions: tuple[Version, ...] = ()
    serial: int | None = None
    notes: tuple[tuple[float, Note], ...] = ()
    """(wall, note)."""
    asked: dict[int, Change | None] = {}
    fleet: FleetRecord | None = None
    """None: as it was."""
    views: dict[str, View | None] = {}


class Remembered(Struct, frozen=True):
    desired: dict[str, DesiredRecord]
    instances: dict[str, InstanceRecord]
    serial: int
    rebuilt: bool
    asked: dict[int, Change] = {}
    unreadable: tuple[str, ...] = ()
    """Rows that this version cannot read, in words; left in place until they are written anew."""
    fleet: FleetRecord | None = None
    views: dict[str, View] = {}


class StoreError(Exception):
    """The database does not take it: disk full, read-only, broken. Words say which."""


class CommandRefused(Exception):
    """An operator's command that the world does not allow. Words: "cannot …: why; what to do"."""


class Store(Protocol):
    """SQLite, in one thread of its own."""

    async def load(self) -> Remembered: ...

    async def save(self, changes: Changes) -> tuple[Entry, ...]:
        """Commit durably; the journal's new entries come back numbered. Raises StoreError."""

    async def entries(
        self,
        *,
        after: int = 0,
        workload: str | None = None,
        instance: str | None = None,
        last: int | None = None,
        first: int | None = None,
    ) -> tuple[Entry, ...]:
        """Oldest first; of them only the ``last`` or the ``first`` so many."""

    async def extent(
        self, *, after: int = 0, workload: str | None = None, last: int | None = None
    ) -> tuple[int, int]:
        """The lowest and the highest number of the entries that ``entries`` would give; 0, 0."""

    async def versions(self, workload: str) -> tuple[tuple[float, Version], ...]:
        """(wall, version), newest first."""

    async def close(self) -> None: ...


class Clock(Protocol):
    def now(self) -> float:
        """CLOCK_BOOTTIME, seconds."""

    def wall(self) -> float: ...


class Seal(Protocol):
    """Seals over a container's name and serial that only this node can make."""

    def seal(self, name: str, serial: int) -> str: ...

    def verify(self, name: str, serial: int, seal: str) -> bool: ...
