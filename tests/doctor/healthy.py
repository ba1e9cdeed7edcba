"""A host with nothing wrong, as facts."""

from __future__ import annotations

from nodeorch.doctor.facts import (
    Certificate,
    Daemon,
    Disk,
    Facts,
    Fleet,
    Podman,
    Service,
    Workload,
)

GIB = 1 << 30
DISK = Disk("images and containers", "/", 50 * GIB, 100 * GIB, 5_000_000, 6_000_000)
PODMAN = Podman(conmon="2.1.12", free_locks=2048)
SERVICE = Service(may_raise_limits=True, nofile=524288, nproc=100_000)
WORKLOADS = {"web": Workload(pids=256)}
DAEMON = Daemon("1.0", frozenset({"web"}))
CERTIFICATE = Certificate("h1", left=300 * 86400.0, life=365 * 86400.0, fits=True)
FLEET = Fleet(
    "fleet", "/etc/nodeorch/cluster", "10.0.0.1", 7444, "127.0.0.1:7373", certificate=CERTIFICATE
)

HEALTHY = Facts(
    kernel="6.12.0-1-amd64",
    pidfd=True,
    cgroup="v2",
    controllers=frozenset({"cpu", "cpuset", "io", "memory", "pids"}),
    psi=True,
    swap=True,
    swap_accounting=True,
    inotify_left=True,
    inotify_instances=128,
    pid_max=4194304,
    tasks=300,
    synchronised=True,
    year=2030,
    ahead=-5.0,
    zones=True,
    systemd=True,
    unit=True,
    unit_enabled=True,
    journald=True,
    boot="grub",
    podman_version="5.4.2",
    helpers=frozenset({"netavark", "aardvark-dns", "iptables", "nft", "conmon"}),
    podman_listens=True,
    podman=PODMAN,
    service=SERVICE,
    trials={"ours": "", "plain": "", "network": ""},
    containers=(),
    subids=True,
    disks=(DISK,),
    state_mode=0o700,
    schema=1,
    workloads=WORKLOADS,
    socket_mode=0o660,
    daemon_listens=True,
    daemon=DAEMON,
    version="1.0",
    node="h1",
    fleet=FLEET,
)
