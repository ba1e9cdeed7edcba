"""Disks, nodeorch itself, and Serf: facts → findings. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from nodeorch.doctor.facts import Disk, Facts
from nodeorch.doctor.finding import Finding, Severity

MIB = 1 << 20
KNOWN_SCHEMA = 3
"""Of the database: as many migrations as adapters/sqlite has, which a test compares."""
FULL_BYTES, FULL_PART = 100 * MIB, 0.01
LOW_BYTES, LOW_PART = 1024 * MIB, 0.05
PROBLEMS = 10
"""Broken specs that are listed; the rest is counted."""
LOOPBACK = ("127.", "[::1]", "localhost", "::1")


def disks(facts: Facts) -> Iterator[Finding]:
    for disk in facts.disks:
        values = {"mount": disk.path, "free": _free(disk)}
        if disk.read_only:
            yield Finding("disk-read-only", f"{disk.path} ({disk.what}) is read-only", values)
            continue
        part = disk.free / disk.size if disk.size else 1.0
        words = f"{disk.path} ({disk.what}) has {disk.free // MIB} MiB free, {part:.1%}"
        if disk.free < FULL_BYTES or (part < FULL_PART and disk.free < LOW_BYTES):
            yield Finding("disk-full", words, values)
        elif (part < LOW_PART and disk.free < LOW_BYTES * 4) or disk.free < LOW_BYTES / 2:
            yield Finding("disk-low", words, values)
        if disk.inodes and disk.free_inodes / disk.inodes < LOW_PART:
            words = f"{disk.path} ({disk.what}) has {disk.free_inodes} inodes free"
            full = disk.free_inodes / disk.inodes < FULL_PART
            yield Finding("inodes-low", words, values, Severity.ERROR if full else None)


def _free(disk: Disk) -> str:
    commands = {
        "images and containers": "podman image prune --all   # images that no container uses",
        "the journal": "journalctl --vacuum-size=200M",
    }
    see = f"du -xhd2 {disk.path} | sort -h | tail   # then remove what is not needed"
    return commands.get(disk.what, see)


def state(facts: Facts) -> Iterator[Finding]:
    if facts.state_mode is not None and facts.state_mode & 0o077:
        words = f"{facts.state} has mode {facts.state_mode:04o}"
        yield Finding("state-open", words, {"state": facts.state})
    if facts.schema is not None and facts.schema > KNOWN_SCHEMA:
        words = f"the database is of version {facts.schema}, this nodeorch knows {KNOWN_SCHEMA}"
        yield Finding("schema-newer", words, {"state": facts.state, "known": str(KNOWN_SCHEMA)})


def settings(facts: Facts) -> Iterator[Finding]:
    values = {"config": facts.config}
    if facts.config_missing:
        yield Finding("config-missing", f"there is no {facts.config}", values)
    for words in facts.settings_problems:
        yield Finding("config-bad", words, values)
    if facts.group and not facts.group_known:
        words = f"[api] group is {facts.group}, and there is no such group"
        yield Finding("group-missing", words, {"group": facts.group})


def specs(facts: Facts) -> Iterator[Finding]:
    values = {"folder": facts.spec_folder}
    for words in facts.spec_problems[:PROBLEMS]:
        yield Finding("spec-bad", words, values)
    if (more := len(facts.spec_problems) - PROBLEMS) > 0:
        yield Finding("spec-bad", f"and {more} more", values)


def daemon(facts: Facts) -> Iterator[Finding]:
    if facts.daemon_denied:
        yield Finding("daemon-denied", f"{facts.user} may not use {facts.socket}")
    elif facts.daemon_listens is False:
        yield Finding("daemon-down", f"nobody listens on {facts.socket}")
    elif facts.daemon_trouble:
        yield Finding("daemon-silent", f"{facts.socket}: {facts.daemon_trouble}")
    if facts.socket_mode is not None and facts.socket_mode & 0o002:
        words = f"{facts.socket} has mode {facts.socket_mode:04o}"
        yield Finding("socket-open", words, {"socket": facts.socket})
    seen = facts.daemon
    if seen is None:
        return
    if seen.version != facts.version:
        words = f"nodeorchd is {seen.version}, this command {facts.version}"
        yield Finding("daemon-version", words)
    if not seen.engine_answering and facts.podman is not None:
        yield Finding("daemon-engine", "nodeorchd says that Podman does not answer")
    if seen.brake:
        yield Finding("daemon-brake", seen.brake)


def serf(facts: Facts) -> Iterator[Finding]:
    for agent in facts.serfs:
        if agent.encrypted or agent.bind.startswith(LOOPBACK):
            continue
        stop = "systemctl disable --now serf.service"
        values = {"stop_serf": stop if facts.serf_enabled else f"kill {agent.pid}"}
        words = f"serf (pid {agent.pid}) listens on {agent.bind} without encryption"
        yield Finding("serf-open", words, values)
    if facts.serf_enabled and not facts.serfs and not facts.serf_key:
        yield Finding("serf-enabled", "serf.service is enabled, and /etc/serf has no encrypt_key")
