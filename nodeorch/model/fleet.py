"""Several hosts: what each tells the others, and what this one makes of it.

fleet     the hosts that know of each other; with one host it is *off* and empty
home      the host that declares a workload: its only writer
view      all that a home declares, with the stamp of its last change; peers keep a *mirror* of it
term      number of a workload's ownership: rises when a home is taken, and when a deleted name is
          declared again. What has the lower term has no say any more
grave     a workload, or a host, that was deliberately removed, and until which term
report    what runs on a host now, and its room: told on the link, never stored
link      the TLS connection that two daemons hold; each beat on it says whom the sender does not
          hear
movable   a workload that may run on another host than its home

Times are CLOCK_BOOTTIME of this host unless a name says ``wall``. No time of another host decides
anything here.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from msgspec import Struct

from nodeorch.model.placing import FailoverMode, Scope
from nodeorch.model.why import Why
from nodeorch.model.workload import Workload


class _Frozen(Struct, frozen=True, omit_defaults=True):
    pass


class MemberStatus(StrEnum):
    """What Serf says of a member."""

    ALIVE = "alive"
    LEAVING = "leaving"
    LEFT = "left"
    FAILED = "failed"


class Member(_Frozen, frozen=True):
    """A host as Serf lists it."""

    name: str
    address: str
    """IP address, as text."""
    status: MemberStatus
    tags: Mapping[str, str] = {}
    """See adapters/serf: "port" of the peers' API, "run" of the daemon (or "down"), "view" the
    stamp of its view as "INCARNATION.REVISION", "version"."""


class Hearing(StrEnum):
    """What comes of another daemon on the link with it."""

    NEVER = "never"
    """There has been no link since this daemon started."""
    HEARD = "heard"
    ANSWERS = "answers"
    """No beats, but the host's kernel accepts or refuses connections: it has power and network."""
    SILENT = "silent"
    """No beats, and no answer to connections either."""


class Standing(StrEnum):
    """What this host makes of another one; the words of `nodeorch members`."""

    UP = "up"
    UNSUPERVISED = "unsupervised"
    """The host answers, its daemon does not: containers run on, nobody looks after them."""
    SUSPECTED = "suspected"
    """Not heard, and those who could know do not agree (yet) that it is gone."""
    DOWN = "down"
    LEFT = "left"
    UNKNOWN = "unknown"
    """Not heard since this daemon started."""


class Stamp(_Frozen, frozen=True, order=True):
    """Which of two views of one host is newer."""

    incarnation: int = 0
    """Rises when a host finds that others know a later view of it than it does itself."""
    revision: int = 0
    """Rises with each change."""


class Grave(_Frozen, frozen=True):
    """Something removed on purpose. What has this term or a lower one stays dead."""

    term: int
    by: str
    """The host that removed it."""
    wall: float = 0.0


class Declared(_Frozen, frozen=True):
    """A workload as its home declares it and wants it."""

    workload: Workload
    digest: str
    generation: int
    term: int = 1
    image_digest: str = ""
    stopped: bool = False
    scale: int | None = None
    operator_seq: int = 0
    withheld: bool = False
    """Its env is not in it: what may not run elsewhere keeps its secrets at home."""

    @property
    def replicas(self) -> int:
        if self.stopped:
            return 0
        if self.scale is None:
            return self.workload.main.replicas
        return min(self.scale, 1) if any(p.host for p in self.workload.ports) else self.scale


class View(_Frozen, frozen=True):
    """All that a host declares. It is replaced as a whole: what it does not name is gone."""

    host: str
    lineage: str
    """Of the host's database: another one never knew what the former declared, so what it does
    not name was not deleted by it."""
    stamp: Stamp = Stamp()
    declared: dict[str, Declared] = {}
    graves: dict[str, Grave] = {}
    """ "HOME/NAME" of workloads, of all homes that it knows of."""
    departed: dict[str, Grave] = {}
    """Hosts that have left the fleet for good, with the incarnation of their last view as term."""
    orphans: dict[str, Declared] = {}
    """What a former database of the host declared and the present one never knew."""
    adrift: dict[str, Declared] = {}
    """ "HOME/NAME" of orphans, of all homes that it knows of: so that all come to know of them."""

    @property
    def all(self) -> list[Declared]:
        """Every declaration in it, of whatever home."""
        return [*self.declared.values(), *self.orphans.values(), *self.adrift.values()]


class Claim(_Frozen, frozen=True):
    """A movable workload of the fleet, with the declaration that counts."""

    home: str
    declared: Declared
    orphan: bool = False
    """Its home does not know of it any more, and did not delete it."""
    rivals: tuple[str, ...] = ()
    """Other homes that declare the name: what they run under it is not this."""


class Running(_Frozen, frozen=True):
    """A movable workload on a host."""

    home: str
    term: int
    digest: str
    """Of the version that it has there; while an update is under way, of the one before."""
    slots: tuple[int, ...] = ()
    """Those that the host holds: running, or on their way."""
    ready: tuple[int, ...] = ()
    idle: bool = False
    """It has had next to nothing to do for a while (failback = "idle")."""
    wall: float = 0.0
    """When the host began to hold it."""
    trouble: str = ""
    """Why its update failed, or why it does not run."""
    failed: str = ""
    """Digest of the version that its home declares and that failed there; it went back."""
    seq: int = 0
    """The last operator's restart that it has obeyed."""


class Report(_Frozen, frozen=True):
    """What a host is and runs, now."""

    host: str
    version: str = ""
    boot: str = ""
    labels: dict[str, str] = {}
    memory: int = 0
    """Bytes that workloads may request in sum."""
    pinned: int = 0
    """Bytes of it requested by what cannot run elsewhere."""
    requested: int = 0
    """Bytes of it that run or are promised, all in all."""
    workloads: int = 0
    """How many are declared or held there."""
    running: dict[str, Running] = {}
    """Movable workloads that it holds, by name."""
    cordoned: bool = False


class HostRecord(_Frozen, frozen=True):
    """What is remembered of a host across restarts of the daemon."""

    address: str
    port: int
    heard_boot: str = ""
    """This host's boot id when it was last heard: what it declares is known since then."""
    heard_wall: float = 0.0
    """When it was last known to be up; for people."""
    lost: bool = False
    """It was taken for lost: it does not count as one of those that vanish at once."""


class FleetRecord(_Frozen, frozen=True):
    """Of the fleet, what outlives the daemon; written before anything is told to others."""

    lineage: str = ""
    stamp: Stamp = Stamp()
    """Of the own view."""
    hosts: dict[str, HostRecord] = {}
    """All other hosts of the fleet."""
    graves: dict[str, Grave] = {}
    departed: dict[str, Grave] = {}


class Host(_Frozen, frozen=True):
    """Another host of the fleet, as this one sees it."""

    name: str
    address: str = ""
    port: int = 0
    serf: MemberStatus | None = None
    """None: Serf does not list it, or is not there to be asked."""
    serf_since: float = 0.0
    tags: Mapping[str, str] = {}
    run: str = ""
    """Of its daemon, when it was last heard."""
    hearing: Hearing = Hearing.NEVER
    hearing_since: float = 0.0
    says_silent: frozenset[str] = frozenset()
    """Whom it hears nothing of, by its last beat."""
    says_answers: frozenset[str] = frozenset()
    says_hears: frozenset[str] = frozenset()
    report: Report | None = None
    """The last; what it says of readiness counts only while it is ``told``."""
    told: bool = False
    """The report was told since the host was last not heard."""
    standing: Standing = Standing.UNKNOWN
    since: float = 0.0
    """Of the standing."""
    noted: bool = False
    """The journal knows of the suspicion."""
    lost_at: float | None = None
    """When it was taken for lost: what it ran is free to run elsewhere. None: it is not lost."""
    words: str = ""
    """Why it has that standing."""

    @property
    def lost(self) -> bool:
        return self.lost_at is not None


class Seat(_Frozen, frozen=True):
    """Where a movable workload belongs, as this host works it out, and why."""

    slots: tuple[int, ...]
    """Those that are to run here."""
    why: Why
    hosts: tuple[str, ...] = ()
    """Where its slots are or belong, in their order; "" for one that finds no place."""
    wait: bool = False
    """It is not decided yet: nothing of it starts, nothing is given up."""
    refused: dict[str, str] = {}
    """Host → why it cannot run there."""
    open: bool = False
    """Not all of it is held: its place may be another one after any report."""


class Fleet(_Frozen, frozen=True):
    """All that is known of the fleet; ``me`` is empty while there is none."""

    me: str = ""
    address: str = ""
    version: str = ""
    """Of this daemon."""
    started: float = 0.0
    """When this daemon began to listen."""
    links: bool = True
    """False: Serf is the only witness."""
    record: FleetRecord = FleetRecord()
    hosts: dict[str, Host] = {}
    """The others."""
    views: dict[str, View] = {}
    """Mirrors, by home; never edited."""
    view: View | None = None
    """Our own."""
    claims: dict[str, Claim] = {}
    """What all views come to: the movable workloads, by name."""
    idle: frozenset[str] = frozenset()
    """Workloads here that have next to nothing to do."""
    serf_trouble: str = ""
    """Why Serf cannot be asked; empty: it can."""
    name_taken: str = ""
    """The address of another host that uses our name; empty: none does."""
    brake: Why | None = None
    """Most hosts vanished at once: this one takes over nothing."""
    freed: float = 0.0
    """When the brake ended; 0: it has not been on."""
    seats: dict[str, Seat] = {}
    """Movable workloads, by name."""
    wake_at: float | None = None
    """When something here changes without a fact."""
    wrong_suspicions: int = 0
    """Hosts that counted as down and were heard again without having restarted."""
    takeovers: int = 0

    @property
    def on(self) -> bool:
        return bool(self.me)


def movable(workload: Workload) -> bool:
    """Whether it may run on another host than its home."""
    return workload.main.scope is not Scope.HOST or workload.failover.mode is not FailoverMode.NONE


# What two daemons say on their link; msgpack, each a tagged map.


class _Message(Struct, frozen=True, tag=True, omit_defaults=True):
    pass


class Hello(_Message, frozen=True):
    """The first message of each side."""

    host: str
    cluster: str
    lineage: str
    run: str
    """Of this run of the daemon."""
    boot: str
    version: str
    stamps: dict[str, Stamp] = {}
    """Of all views that it can give, its own among them."""


class Beat(_Message, frozen=True):
    """Every half second, and at once when what it says changes."""

    silent: tuple[str, ...] = ()
    answers: tuple[str, ...] = ()
    hears: tuple[str, ...] = ()


class Have(_Message, frozen=True):
    """Views that have changed."""

    stamps: dict[str, Stamp]


class Told(_Message, frozen=True):
    """The sender's report has changed."""

    report: Report


Message = Hello | Beat | Have | Told
