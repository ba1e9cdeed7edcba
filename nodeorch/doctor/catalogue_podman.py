"""Findings about Podman and what it needs."""

from __future__ import annotations

from nodeorch.doctor.finding import Entry, Severity

E, W, N = Severity.ERROR, Severity.WARNING, Severity.NOTE

PODMAN = {
    "podman-missing": Entry(
        E,
        "nodeorch keeps containers of Podman running: without it there is nothing to do.",
        "{install} podman conmon netavark aardvark-dns iptables nftables",
    ),
    "podman-too-old": Entry(
        E,
        "nodeorch is written for Podman 4.3 and later. Earlier ones lack calls that it needs.",
        "{install} podman   # of Debian 12, Ubuntu 24.04, Fedora 37, RHEL 9.2 or newer",
    ),
    "podman-socket-missing": Entry(
        E,
        "nodeorch speaks to Podman through its API socket, and nobody listens there.",
        "{start_podman}",
    ),
    "podman-silent": Entry(
        E,
        "Nothing can be started, stopped or listed. Containers that run are not harmed by it.",
        "{restart_podman}",
    ),
    "podman-socket-open": Entry(
        E,
        "Who may write to this socket is root on this host, by one container.",
        "chmod 0660 {socket}",
    ),
    "podman-rootless": Entry(
        W,
        "This Podman belongs to a user. It cannot set all limits, and the addresses of its "
        "containers cannot be reached by probes.",
        "systemctl enable --now podman.socket   # and [podman] socket in {config}: "
        "/run/podman/podman.sock",
    ),
    "runtime-cannot-start": Entry(
        E,
        "The OCI runtime starts no container on this host, whatever its image. crun, for one, "
        "refuses hosts with controllers of cgroup v1, and says so only then.",
        "{install} {other}",
        ("engine", 'runtime = "{other}"'),
    ),
    "default-ulimits": Entry(
        W,
        "Podman gives containers higher process limits than it may. nodeorch names limits that "
        "fit, so its workloads start, but podman run fails.",
        setting=("containers", 'default_ulimits = ["nofile={nofile}", "nproc={nproc}"]'),
    ),
    "network-cannot-start": Entry(
        E,
        "A container in a bridge network cannot start: published ports, probes and names between "
        "workloads need one.",
        "{install} netavark aardvark-dns iptables nftables\nmodprobe -a bridge veth nf_tables",
    ),
    "network-cni": Entry(
        W,
        "CNI is given up by Podman 5, and without its dnsname plugin workloads do not find each "
        "other by name.",
        "{install} netavark aardvark-dns",
        ("network", 'network_backend = "netavark"'),
    ),
    "helper-missing": Entry(
        E,
        "Podman needs this program for networks, or to watch over containers.",
        "{install} {package}",
    ),
    "manager-systemd": Entry(
        E,
        "Podman asks systemd for the control groups of containers, and systemd does not run: "
        "no container can start.",
        setting=("engine", 'cgroup_manager = "cgroupfs"'),
    ),
    "manager-cgroupfs": Entry(
        W,
        "Podman makes control groups behind the back of systemd, which owns them and may move or "
        "forget their controllers.",
        setting=("engine", 'cgroup_manager = "systemd"'),
    ),
    "events-off": Entry(
        W,
        "Podman tells no events: what a person does to a container by hand is seen up to 30 s "
        "later.",
        setting=("engine", 'events_logger = "file"'),
    ),
    "exit-delay": Entry(
        W,
        "After each exec probe Podman keeps two processes for that long.",
        setting=("engine", "exit_command_delay = 2"),
    ),
    "conmon-hides-oom": Entry(
        N,
        "Podman does not tell that a container ended for want of memory. nodeorch asks the kernel "
        "and knows, but podman inspect says OOMKilled=false.",
        "{install} podman conmon   # of Debian 13 or newer",
    ),
    "storage-vfs": Entry(
        W,
        "Each container gets a whole copy of its image: slow, and it fills the disk. There is "
        "nothing to be done when that folder lies on an overlay itself, as inside a container.",
        'printf \'[storage]\\ndriver = "overlay"\\nrunroot = "/run/containers/overlay"\\n'
        'graphroot = "/var/lib/containers/overlay"\\n\' >/etc/containers/storage.conf\n'
        "{restart_podman}   # a new, empty storage: what is in {graph_root} stays, but is not used",
    ),
    "locks-low": Entry(
        W,
        "Each container and each volume takes one; without, none can be made.",
        "podman volume prune   # or more of them, with all containers stopped:\n"
        "# podman system renumber, after this",
        ("engine", "num_locks = 8192"),
    ),
    "subids-missing": Entry(
        N,
        'Nothing is set aside for [security] userns = "auto": such workloads cannot be created.',
        "echo containers:2147483647:2147483648 | tee -a /etc/subuid >>/etc/subgid",
    ),
    "auto-update": Entry(
        W,
        "podman-auto-update replaces such a container behind nodeorch's back, which puts its own "
        "one back.",
        "systemctl disable --now podman-auto-update.timer",
    ),
    "self-restarting": Entry(
        W,
        "Podman restarts it without a pause, before nodeorch can count, wait or say why.",
        "podman rm --force {name}   # nodeorch makes it anew",
    ),
    "other-keeper": Entry(
        W,
        "It restarts or replaces containers by rules of its own, those of nodeorch among them.",
        "podman rm --force {name}",
    ),
    "leftover": Entry(
        W,
        "It carries nodeorch's label, but no file declares its workload: nobody watches it. It "
        "may be of another nodeorchd on this Podman, or of a lost file.",
        "podman rm --force {name}   # or declare {workload} again",
    ),
}
