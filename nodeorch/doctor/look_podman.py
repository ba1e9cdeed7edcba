"""Podman and what it needs: facts → findings. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator

from nodeorch.doctor.facts import Facts, Found
from nodeorch.doctor.finding import Finding, Severity

OLDEST = (4, 3)
PACKAGES = {"nft": "nftables"}
"""Program → its package, where the names differ."""
HIDES_OOM = (2, 1, 6)
"""conmon of Debian 12, measured: writes its mark where Podman does not look. 2.1.12 is right."""
FEW_LOCKS = 50
LABEL = "nodeorch.workload"
AUTO_UPDATE = "io.containers.autoupdate"
KEEPERS = ("autoheal", "watchtower", "ouroboros")
"""Names of images that restart or replace the containers of others."""
LONG = 30
"""Seconds that Podman may keep the processes of an exec; its own default is 300."""
DEFAULT_DELAY = 300
NOFILE, NPROC = 1 << 20, 4194304
"""What Podman gives to containers when containers.conf is silent, and lowers its own limits to."""


def numbers(version: str) -> tuple[int, ...]:
    """ "4.3.1+ds1-8" → (4, 3, 1)"""
    found = re.search(r"\d+(?:\.\d+)+", version)
    return tuple(int(part) for part in found[0].split(".")) if found else ()


def installed(facts: Facts) -> Iterator[Finding]:
    if facts.podman_version is None:
        return
    if not facts.podman_version:
        yield Finding("podman-missing", "there is no command podman, and no API of it")
    elif (0,) < numbers(facts.podman_version) < OLDEST:
        yield Finding("podman-too-old", f"this is Podman {facts.podman_version}")


def socket(facts: Facts) -> Iterator[Finding]:
    if facts.podman_version == "":
        return
    if facts.podman_listens is False:
        yield Finding("podman-socket-missing", f"nobody listens on {facts.podman_socket}")
    elif facts.podman_trouble:
        yield Finding("podman-silent", f"{facts.podman_socket}: {facts.podman_trouble}")
    if facts.podman_open:
        words = f"everybody may write to {facts.podman_socket}"
        yield Finding("podman-socket-open", words, {"socket": facts.podman_socket})
    if facts.podman and facts.podman.rootless:
        yield Finding("podman-rootless", f"{facts.podman_socket} is that of a rootless Podman")


def runtime(facts: Facts) -> Iterator[Finding]:
    """By trial, when there was one; else what is known of crun."""
    if facts.podman is None:
        return
    name = facts.podman.runtime or facts.conf.get("engine", {}).get("runtime", "the runtime")
    values = {"other": "crun" if name == "runc" else "runc"}
    words = facts.trials.get("ours")
    if words:
        yield Finding("runtime-cannot-start", f"{name} starts no container: {words}", values)
    elif words is None and name == "crun" and facts.cgroup in ("v1", "hybrid"):
        words = f"Podman uses crun, and the controllers are of cgroup v1 ({facts.cgroup})"
        yield Finding("runtime-cannot-start", words, values)
    if words := facts.trials.get("network"):
        yield Finding("network-cannot-start", f"a container with a bridge does not start: {words}")


def ulimits(facts: Facts) -> Iterator[Finding]:
    """Soft and hard alike in the fix: Podman 4.3 swaps them when asked through its API."""
    service = facts.service
    if service is None or facts.trials.get("ours"):
        return
    fitting = {
        "nofile": min(service.nofile, NOFILE),
        "nproc": min(service.nproc, facts.pid_max or NPROC),
    }
    values = {name: f"{value}:{value}" for name, value in fitting.items()}
    if words := facts.trials.get("plain"):
        yield Finding("default-ulimits", f"podman run fails here: {words}", values)
    elif "plain" not in facts.trials and not service.may_raise_limits:
        asked = _asked(facts)
        above = [f"{n} {v}" for n, v in asked.items() if v > getattr(service, n)]
        if above:
            words = f"Podman asks for {', '.join(above)} and may not raise limits"
            yield Finding("default-ulimits", words, values)


def _asked(facts: Facts) -> dict[str, int]:
    asked = {"nofile": NOFILE, "nproc": NPROC}
    for text in facts.conf.get("containers", {}).get("default_ulimits", ()):
        name, _, rest = str(text).partition("=")
        found = [int(part) for part in rest.split(":") if part.lstrip("-").isdigit()]
        if name in asked and found:
            asked[name] = max(found) if min(found) >= 0 else asked[name]
    return asked


def network(facts: Facts) -> Iterator[Finding]:
    cni = facts.podman is not None and facts.podman.backend == "cni"
    if cni:
        yield Finding("network-cni", "Podman's network backend is CNI")
    if facts.helpers is None or not facts.podman_version:
        return
    # netavark of Podman 5 speaks to nftables, earlier ones to iptables.
    firewall = "nft" if numbers(facts.podman_version) >= (5,) else "iptables"
    vital = {"conmon": True, firewall: True} | ({} if cni else {"netavark": True})
    for name, needed in (vital | {"aardvark-dns": False}).items():
        if name not in facts.helpers:
            words = f"{name} is not installed"
            words += "" if needed else ": workloads do not find each other by name"
            values = {"package": PACKAGES.get(name, name)}
            yield Finding("helper-missing", words, values, None if needed else Severity.WARNING)


def settings(facts: Facts) -> Iterator[Finding]:
    podman = facts.podman
    if podman is None:
        return
    if podman.manager == "systemd" and facts.systemd is False:
        yield Finding("manager-systemd", "Podman's cgroup manager is systemd")
    elif podman.manager == "cgroupfs" and facts.systemd and facts.cgroup == "v2":
        yield Finding("manager-cgroupfs", "Podman's cgroup manager is cgroupfs")
    if podman.events_logger == "none":
        yield Finding("events-off", "Podman's events_logger is none")
    elif podman.events_logger == "journald" and facts.journald is False:
        yield Finding("events-off", "Podman's events_logger is journald, which does not run")
    if podman.conmon and numbers(podman.conmon) <= HIDES_OOM:
        yield Finding("conmon-hides-oom", f"this is conmon {podman.conmon}")
    if podman.driver == "vfs":
        values = {"graph_root": podman.graph_root}
        yield Finding("storage-vfs", "Podman's storage driver is vfs", values)
    if podman.free_locks is not None and podman.free_locks < FEW_LOCKS:
        yield Finding("locks-low", f"Podman has {podman.free_locks} locks left")


def exec_probes(facts: Facts) -> Iterator[Finding]:
    probed = sorted(n for n, w in (facts.workloads or {}).items() if w.exec_probes)
    delay = facts.conf.get("engine", {}).get("exit_command_delay", DEFAULT_DELAY)
    if probed and isinstance(delay, int) and delay > LONG:
        words = f"exit_command_delay is {delay} s, and {', '.join(probed)} has exec probes"
        yield Finding("exit-delay", words)


def subids(facts: Facts) -> Iterator[Finding]:
    if facts.subids is not False:
        return
    users = sorted(n for n, w in (facts.workloads or {}).items() if w.userns)
    words = '/etc/subuid and /etc/subgid have no range for "containers"'
    if users:
        words += f", which {', '.join(users)} needs"
        yield Finding("subids-missing", words, {}, Severity.ERROR)
    else:
        yield Finding("subids-missing", words)


def fighters(facts: Facts) -> Iterator[Finding]:
    """What would act on nodeorch's containers without it."""
    for container in facts.containers or ():
        labels = container.labels
        if facts.updater_enabled and LABEL in labels and AUTO_UPDATE in labels:
            yield Finding("auto-update", f"{container.name} carries the label {AUTO_UPDATE}")
        keeper = next((k for k in KEEPERS if k in container.image.rpartition("/")[2]), None)
        if keeper:
            words = f"{container.name} is a container of {container.image}"
            yield Finding("other-keeper", words, {"name": container.name})
    for name in facts.self_restarting:
        words = f"{name} has a restart policy of Podman"
        yield Finding("self-restarting", words, {"name": name})


def leftovers(facts: Facts) -> Iterator[Finding]:
    """Only when both the files and, if it runs, the daemon were seen."""
    if facts.containers is None or facts.workloads is None or facts.spec_problems:
        return
    known = facts.workloads.keys() | (facts.daemon.workloads if facts.daemon else frozenset())
    for container in facts.containers:
        if _owner(container) not in (None, *known):
            values = {"name": container.name, "workload": container.labels[LABEL]}
            words = f"{container.name} belongs to {values['workload']}, which is not declared"
            yield Finding("leftover", words, values)


def _owner(container: Found) -> str | None:
    return container.labels.get(LABEL)
