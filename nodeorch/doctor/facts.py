"""What was seen of a host. None, where it can stand, means: it could not be looked at."""

from __future__ import annotations

from typing import Any

from msgspec import Struct


class Disk(Struct, frozen=True):
    what: str
    """ "the state of nodeorch" """
    path: str
    free: int
    """Bytes for others than root."""
    size: int
    free_inodes: int
    inodes: int
    """0: the file system has no fixed number of them."""
    read_only: bool = False


class Podman(Struct, frozen=True):
    """What its service says of itself (GET info)."""

    runtime: str = "crun"
    conmon: str = ""
    """Version; empty: it does not say."""
    backend: str = "netavark"
    events_logger: str = "journald"
    manager: str = "systemd"
    driver: str = "overlay"
    graph_root: str = "/var/lib/containers/storage"
    rootless: bool = False
    free_locks: int | None = None


class Service(Struct, frozen=True):
    """The process that serves Podman's socket, or systemd, which will start it."""

    may_raise_limits: bool
    """CAP_SYS_RESOURCE."""
    nofile: int
    """Hard limits."""
    nproc: int


class Found(Struct, frozen=True):
    """A container of whoever."""

    name: str
    image: str
    labels: dict[str, str] = {}


class Serf(Struct, frozen=True):
    pid: int
    bind: str
    encrypted: bool


class Workload(Struct, frozen=True):
    """What the checks need of a declared one."""

    pids: int
    """Of all its replicas."""
    exec_probes: bool = False
    userns: bool = False


class Daemon(Struct, frozen=True):
    version: str
    workloads: frozenset[str] = frozenset()
    engine_answering: bool = True
    brake: str = ""
    """Why it holds deletions back; empty: it does not."""


class Certificate(Struct, frozen=True):
    name: str
    left: float
    """Seconds; below 0 when it has ended."""
    life: float
    """Seconds, all of them."""
    fits: bool
    """The key beside it, and the fleet's CA."""


class Fleet(Struct, frozen=True):
    """What this host has of the fleet that it is in."""

    name: str
    files: str
    address: str
    port: int
    serf: str
    """Address and port of Serf's RPC."""
    serf_installed: bool = True
    serf_listens: bool = True
    door_trouble: str = ""
    """Why nobody is reached where the other hosts reach this one; empty: somebody is."""
    problems: tuple[tuple[str, str], ...] = ()
    """Of its files: (code, sentence), as clusterfiles has them."""
    certificate: Certificate | None = None


class Etcd(Struct, frozen=True):
    endpoint: str
    trouble: str = ""
    version: str = ""


class Facts(Struct, frozen=True):
    # who looks
    root: bool = True
    user: str = "root"
    installer: str = "apt-get install -y"
    """The package manager's words before the names."""
    unseen: tuple[str, ...] = ()
    """What could not be looked at, and why: sentences."""

    boot: str = ""
    """How the kernel gets its command line: grub | grubby | a file to be edited | "" unknown."""

    # the kernel
    kernel: str = ""
    pidfd: bool | None = None
    cgroup: str | None = None
    """v2 | hybrid | v1 | none"""
    controllers: frozenset[str] | None = None
    undelegated: frozenset[str] = frozenset()
    """cgroup v2: there, but not given to groups below, and processes sit in the root."""
    cgroup_read_only: bool = False
    psi: bool | None = None
    swap: bool = False
    """There is some."""
    swap_accounting: bool | None = None
    inotify_left: bool | None = None
    inotify_instances: int | None = None
    pid_max: int | None = None
    tasks: int | None = None

    # time
    synchronised: bool | None = None
    year: int | None = None
    ahead: float | None = None
    """Seconds by which our newest file is younger than now."""
    zones: bool | None = None

    # systemd
    systemd: bool | None = None
    unit: bool | None = None
    """nodeorchd.service is installed."""
    unit_enabled: bool | None = None
    updater_enabled: bool = False
    """podman-auto-update.timer."""
    journald: bool | None = None

    # Podman
    podman_version: str | None = None
    """Empty: there is no Podman."""
    helpers: frozenset[str] | None = None
    """Of netavark, aardvark-dns, iptables, nft, conmon."""
    podman_socket: str = "/run/podman/podman.sock"
    podman_listens: bool | None = None
    podman_trouble: str = ""
    """Why it does not answer, when somebody listens."""
    podman_open: bool = False
    """Everybody may write to its socket."""
    podman: Podman | None = None
    service: Service | None = None
    conf: dict[str, Any] = {}
    """containers.conf, all files of it laid over each other."""
    conf_file: str = ""
    """Of CONTAINERS_CONF: then no other is read."""
    trials: dict[str, str] = {}
    """Trial → why it failed; empty: it did not. One that is missing was not tried."""
    containers: tuple[Found, ...] | None = None
    self_restarting: tuple[str, ...] = ()
    """Names of nodeorch's containers that Podman would restart by itself."""
    subids: bool | None = None
    """Ranges for the user "containers"."""

    # disks
    disks: tuple[Disk, ...] = ()
    state: str = "/var/lib/nodeorch"
    state_mode: int | None = None
    """Permission bits of the state directory; None: there is none, or it is not to be seen."""
    schema: int | None = None

    # nodeorch
    config: str = "/etc/nodeorch/nodeorch.toml"
    config_missing: bool = False
    settings_problems: tuple[str, ...] = ()
    spec_problems: tuple[str, ...] = ()
    spec_folder: str = "/etc/nodeorch/workloads.d"
    workloads: dict[str, Workload] | None = None
    group: str | None = None
    group_known: bool = True
    socket: str = "/run/nodeorch/nodeorch.sock"
    socket_mode: int | None = None
    daemon: Daemon | None = None
    daemon_listens: bool | None = None
    daemon_trouble: str = ""
    """Why it does not answer, when somebody listens."""
    daemon_denied: bool = False
    version: str = ""
    """Of this command."""

    # several hosts
    node: str = ""
    """This node's name; empty: nobody asked."""
    fleet: Fleet | None = None
    """None: this host is alone."""
    etcds: tuple[Etcd, ...] = ()

    # others
    serfs: tuple[Serf, ...] = ()
    serf_enabled: bool = False
    serf_key: bool = False
    """A file in /etc/serf has an encryption key."""
