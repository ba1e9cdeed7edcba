"""The daemon's configuration: nodeorch.toml and nodeorch.d/*.toml."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, NamedTuple

from msgspec import Meta, Struct

from nodeorch.model.quantities import MIB, AbsolutePath, Bytes, Label, Name, Seconds
from nodeorch.spec.faults import Faults, Path
from nodeorch.spec.load import Unparsed, parse
from nodeorch.spec.mounts import ALLOWED_SOURCES
from nodeorch.spec.problems import Problem, errors, locate
from nodeorch.spec.rules_settings import RULES
from nodeorch.spec.walk import convert


class _Table(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    pass


class NodeSettings(_Table, frozen=True):
    name: Annotated[Name | None, Meta(description="the node's name; missing: the host's")] = None
    memory_reserve: Annotated[
        Bytes, Meta(description="kept for the host; workloads share the rest")
    ] = 256 * MIB
    labels: Annotated[
        dict[str, Label], Meta(description="what the node is, for the placement of workloads")
    ] = {}
    overcommit: Annotated[
        float,
        Meta(ge=0.1, le=100, description="workloads may ask for this times the memory there is"),
    ] = 1.0


class PathSettings(_Table, frozen=True):
    workloads: AbsolutePath = "/etc/nodeorch/workloads.d"
    state: AbsolutePath = "/var/lib/nodeorch"
    socket: AbsolutePath = "/run/nodeorch/nodeorch.sock"


class PodmanSettings(_Table, frozen=True):
    socket: AbsolutePath = "/run/podman/podman.sock"


class DefaultSettings(_Table, frozen=True):
    """What a spec that is silent gets."""

    memory: (
        Annotated[
            int,
            Meta(
                ge=4 * MIB,
                extra={"unit": "bytes", "off": True},
                description="limit of a workload that names none; false: it must name one",
            ),
        ]
        | None
    ) = 256 * MIB


class VolumeSettings(_Table, frozen=True):
    allowed: Annotated[
        tuple[AbsolutePath, ...], Meta(description="folders that workloads may mount from")
    ] = ALLOWED_SOURCES


class ApiSettings(_Table, frozen=True):
    group: (
        Annotated[
            str,
            Meta(
                pattern=r"^[a-z_][a-z0-9_-]{0,31}$",
                description="a group whose members may use the socket; missing: only root",
            ),
        ]
        | None
    ) = None


class JournalSettings(_Table, frozen=True):
    keep: Annotated[int, Meta(ge=100, le=10_000_000, description="events remembered")] = 10_000


Percent = Annotated[float, Meta(ge=0, le=100)]


class PressureSettings(_Table, frozen=True):
    """When the host itself stalls: PSI, the share of time in which no task could go on."""

    memory: Annotated[
        Percent,
        Meta(
            description='percent of memory stall (PSI, "full avg10") from which on the node '
            "evicts; 0: never"
        ),
    ] = 0.0
    io: Annotated[Percent, Meta(description="the same for input and output")] = 0.0
    below: Annotated[
        int,
        Meta(
            ge=-1000, le=1000, description="only workloads with a priority below this are evicted"
        ),
    ] = 0
    rest: Annotated[Seconds, Meta(description="of calm, until what was evicted starts again")] = (
        60.0
    )


PLACE_PATTERN = r"^([0-9.]+|\[[0-9A-Fa-f:.]+\]):[0-9]{1,5}$"


class MetricsSettings(_Table, frozen=True):
    listen: (
        Annotated[
            str,
            Meta(
                pattern=PLACE_PATTERN,
                description="address and port for /metrics, /healthz, /readyz; default: none",
            ),
        ]
        | None
    ) = None
    everyone: Annotated[
        bool, Meta(description="that address may be one that other hosts reach")
    ] = False


class ClusterSettings(_Table, frozen=True):
    """The fleet that this host is of; written by `nodeorch cluster init` and `join`."""

    name: (
        Annotated[Name, Meta(description="the fleet's name; missing: this host is alone")] | None
    ) = None
    address: (
        Annotated[
            str, Meta(description="this host's IP address, at which the other hosts reach it")
        ]
        | None
    ) = None
    port: Annotated[
        int, Meta(ge=1, le=65535, description="TCP port on which it listens for them")
    ] = 7444
    files: Annotated[
        AbsolutePath, Meta(description="folder of certificates, keys and Serf's configuration")
    ] = "/etc/nodeorch/cluster"
    serf: Annotated[
        str,
        Meta(
            pattern=PLACE_PATTERN,
            description="address and port of the Serf agent's RPC, on loopback",
        ),
    ] = "127.0.0.1:7373"
    labels: Annotated[
        dict[str, tuple[Label, ...]],
        Meta(description="all labels that nodes of this fleet have, with their values"),
    ] = {}
    links: Annotated[
        bool,
        Meta(description="links between hosts are witnesses of a failure; false: Serf alone is"),
    ] = True


URL_PATTERN = r"^https?://(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9.-]+):[0-9]{1,5}$"


class LeaseSettings(_Table, frozen=True):
    """etcd, for workloads that run at most once."""

    endpoints: Annotated[
        tuple[Annotated[str, Meta(pattern=URL_PATTERN)], ...],
        Meta(description='etcd\'s client URLs: "https://10.0.0.1:2379"'),
    ] = ()
    ca: Annotated[
        AbsolutePath | None, Meta(description="certificates that etcd's are checked by")
    ] = None
    certificate: Annotated[AbsolutePath | None, Meta(description="our certificate for etcd")] = None
    key: Annotated[AbsolutePath | None, Meta(description="its key")] = None


class Settings(_Table, frozen=True):
    node: NodeSettings = NodeSettings()
    paths: PathSettings = PathSettings()
    podman: PodmanSettings = PodmanSettings()
    defaults: DefaultSettings = DefaultSettings()
    volumes: VolumeSettings = VolumeSettings()
    api: ApiSettings = ApiSettings()
    journal: JournalSettings = JournalSettings()
    pressure: PressureSettings = PressureSettings()
    metrics: MetricsSettings = MetricsSettings()
    cluster: ClusterSettings = ClusterSettings()
    lease: LeaseSettings = LeaseSettings()

    @property
    def guarded(self) -> tuple[str, ...]:
        """Paths of this daemon that no workload may mount."""
        return (
            self.paths.workloads,
            self.paths.state,
            self.paths.socket,
            self.podman.socket,
            self.cluster.files,
        )

    @property
    def known_labels(self) -> Mapping[str, frozenset[str]] | None:
        """Labels that nodes of the fleet have, with their values; None: there is no fleet."""
        if self.cluster.name is None:
            return None
        known = {label: frozenset(values) for label, values in self.cluster.labels.items()}
        for label, value in self.node.labels.items():
            known[label] = known.get(label, frozenset()) | {value}
        return known


class _Source(NamedTuple):
    """A file that was read."""

    text: bytes
    name: str
    stem: str
    data: dict[str, Any]

    def says(self, path: Path) -> bool:
        """Whether something stands in it at a path, of which the first two parts count."""
        table = self.data.get(str(path[0]), {})
        return len(path) > 1 and path[1] in table


def load_settings(
    texts: Sequence[tuple[str, bytes | str]],
) -> tuple[Settings | None, tuple[Problem, ...]]:
    """Settings from (file, text) pairs, or None and all problems of all files.

    A key in a later file overrides the same key of an earlier one; arrays are replaced whole.
    """
    merged: dict[str, Any] = {}
    problems: list[Problem] = []
    sources: list[_Source] = []
    failed = False
    for file, text in texts:
        source = text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text
        stem = file.rsplit("/", 1)[-1].removesuffix(".toml")
        faults = Faults()
        at = None
        try:
            data = parse(source)
            convert(data, Settings, faults)
        except Unparsed as error:
            faults.add(error.fault)
            at = error.at
        problems += locate(faults, source, file, stem, at)
        failed = failed or faults.errors > 0
        if not failed:
            sources.append(_Source(source, file, stem, data))
            for name, table in data.items():
                merged.setdefault(name, {}).update(table)
    if failed:
        return None, tuple(problems)
    settings = convert(merged, Settings, Faults())
    problems += _judged(settings, sources)
    return (None if errors(problems) else settings), tuple(problems)


def _judged(settings: Settings, sources: Sequence[_Source]) -> Iterator[Problem]:
    """What is wrong with all of it together, each at the file that has the last word on it."""
    faults = Faults()
    for rule in RULES:
        faults.add_unless_known(rule(settings))
    found: dict[str, tuple[_Source, Faults]] = {}
    for fault in faults.kept:
        last = _last_word(fault.path, sources)
        found.setdefault(last.name, (last, Faults()))[1].add(fault)
    for source, its in found.values():
        yield from locate(its, source.text, source.name, source.stem)


def _last_word(path: Path, sources: Sequence[_Source]) -> _Source:
    """Where nothing is said of a key, the last that has its table counts."""
    tables = [source for source in sources if path[0] in source.data]
    keys = [source for source in tables if source.says(path)]
    return (keys or tables or list(sources))[-1]
