"""A fleet of hosts: facts → findings. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from nodeorch.doctor.facts import Etcd, Facts
from nodeorch.doctor.finding import Finding, Severity

DAY = 86400.0
LITTLE = 0.25
"""Of a certificate's life. nodeorchd renews it when a third is left."""
OPEN = "E291"
"""Of the problems with files: others may read, or change them."""
BAD_LEASES = (((0,), (3, 4, 31)), ((3, 5), (3, 5, 13)))
"""Versions of etcd (from, until) whose stale leader revokes leases that were renewed."""


def serf(facts: Facts) -> Iterator[Finding]:
    fleet = facts.fleet
    if fleet is None:
        return
    unit = bool(facts.systemd) and facts.config == "/etc/nodeorch/nodeorch.toml"
    start = "systemctl enable --now nodeorch-serf.service"
    values = {"start_serf": start if unit else f"serf agent -config-file {fleet.files}/serf.json &"}
    if fleet.serf_installed is False:
        words = f"this host is in the fleet {fleet.name}, and Serf is not installed"
        yield Finding("fleet-serf-missing", words, values)
    elif fleet.serf_listens is False:
        yield Finding("fleet-serf-down", f"nobody listens on Serf's RPC, {fleet.serf}", values)


def files(facts: Facts) -> Iterator[Finding]:
    fleet = facts.fleet
    if fleet is None:
        return
    values = {"files": fleet.files, "address": fleet.address}
    for code, words in fleet.problems:
        yield Finding("fleet-files-open" if code == OPEN else "fleet-files-bad", words, values)


def certificate(facts: Facts) -> Iterator[Finding]:
    fleet = facts.fleet
    seen = fleet and fleet.certificate
    if fleet is None or not seen:
        return
    if seen.name != facts.node or not seen.fits:
        words = f"the certificate is of {seen.name}, this node is {facts.node}"
        if seen.name == facts.node:
            words = "the certificate does not belong to node.key, or is of another CA"
        yield Finding("fleet-certificate-wrong", words, {"config": facts.config})
    if seen.left <= 0:
        words = f"the certificate of {seen.name} ended {-seen.left / DAY:.0f} days ago"
        yield Finding("fleet-certificate-ends", words, severity=Severity.ERROR)
    elif seen.left < seen.life * LITTLE:
        words = f"the certificate of {seen.name} ends in {seen.left / DAY:.0f} days"
        yield Finding("fleet-certificate-ends", words)


def door(facts: Facts) -> Iterator[Finding]:
    fleet = facts.fleet
    if fleet is not None and fleet.door_trouble and facts.daemon is not None:
        words = f"nodeorchd is not reached at {fleet.address}:{fleet.port}: {fleet.door_trouble}"
        yield Finding("fleet-door-shut", words)


def etcd(facts: Facts) -> Iterator[Finding]:
    silent = [each for each in facts.etcds if each.trouble]
    quorum = len(facts.etcds) - len(silent) > len(facts.etcds) // 2
    for each in silent:
        words = f"etcd at {each.endpoint}: {each.trouble}"
        yield Finding("etcd-silent", words, severity=None if quorum else Severity.ERROR)
    for each in facts.etcds:
        version = _version(each)
        if version and any(low <= version < high for low, high in BAD_LEASES):
            yield Finding("etcd-old", f"etcd at {each.endpoint} is {each.version}")


def _version(etcd: Etcd) -> tuple[int, ...]:
    parts = etcd.version.split(".")
    return tuple(map(int, parts)) if all(part.isdecimal() for part in parts) else ()


CHECKS = (serf, files, certificate, door, etcd)
