"""Looks at the fleet that this host is in, and at etcd. Changes nothing."""

from __future__ import annotations

import http.client
import json
import os
import socket
import ssl
import time
from typing import Any
from urllib.parse import urlsplit

from nodeorch import clusterfiles
from nodeorch.doctor.facts import Certificate, Etcd, Fleet
from nodeorch.doctor.read_kernel import which
from nodeorch.spec.settings import LeaseSettings, Settings

PATIENCE = 2.0
"""Seconds for each connection."""
LONGEST = 1 << 16
"""Bytes of an answer of etcd."""


def fleet(settings: Settings) -> tuple[dict[str, Any], list[str]]:
    """(facts, what could not be looked at)."""
    cluster = settings.cluster
    if cluster.name is None:
        return {}, []
    problems = clusterfiles.problems(cluster.files)
    host, _, port = cluster.serf.rpartition(":")
    seen = Fleet(
        name=cluster.name,
        files=cluster.files,
        address=cluster.address or "",
        port=cluster.port,
        serf=cluster.serf,
        serf_installed="serf" in which(["serf"]),
        serf_listens=not _trouble(host.strip("[]"), int(port)),
        door_trouble=_trouble(cluster.address or "", cluster.port),
        problems=tuple((each.code, str(each)) for each in problems if not each.unseen),
        certificate=certificate(cluster.files),
    )
    name = settings.node.name or socket.gethostname().partition(".")[0]
    unseen = [f"{each.path}: {each.why}" for each in problems if each.unseen]
    return {"fleet": seen, "node": name}, unseen


def certificate(folder: str) -> Certificate | None:
    """This host's; None: it cannot be read, which is another finding."""
    from nodeorch.cluster import certs  # only where there is a fleet: it is slow to load
    from nodeorch.cluster.errors import ClusterError

    try:
        own, key, ca = (_bytes(folder, name) for name in ("node.crt", "node.key", "ca.crt"))
        about = certs.about(own)
        fits = certs.belongs(key, own, ca)
    except (OSError, ValueError, TypeError, ClusterError):
        return None
    return Certificate(about.name, about.ends - time.time(), about.ends - about.begins, fits)


def _bytes(folder: str, name: str) -> bytes:
    with open(os.path.join(folder, name), "rb") as file:
        return file.read(clusterfiles.LIMIT)


def _trouble(host: str, port: int) -> str:
    """Why nobody is reached there; empty: somebody is."""
    try:
        with socket.create_connection((host, port), PATIENCE):
            return ""
    except OSError as error:
        return _why(error)


def etcds(lease: LeaseSettings) -> dict[str, Any]:
    return {"etcds": tuple(etcd(endpoint, lease) for endpoint in lease.endpoints)}


def etcd(endpoint: str, lease: LeaseSettings) -> Etcd:
    """A member, by its own word (GET /health, GET /version)."""
    try:
        health = _asked(endpoint, "/health", lease)
        if health.get("health") != "true":
            why = health.get("reason") or "it is not healthy: it may have no leader"
            return Etcd(endpoint, str(why))
        return Etcd(endpoint, version=str(_asked(endpoint, "/version", lease).get("etcdserver")))
    except ssl.SSLError as error:
        return Etcd(endpoint, f"TLS: {getattr(error, 'verify_message', '') or error.reason}")
    except (OSError, http.client.HTTPException, ValueError) as error:
        return Etcd(endpoint, _why(error))


def _asked(endpoint: str, path: str, lease: LeaseSettings) -> dict[str, Any]:
    where = urlsplit(endpoint)
    connection: http.client.HTTPConnection
    if where.scheme == "https":
        context = ssl.create_default_context(cafile=lease.ca)
        if lease.certificate is not None:
            context.load_cert_chain(lease.certificate, lease.key)
        connection = http.client.HTTPSConnection(
            where.hostname or "", where.port, timeout=PATIENCE, context=context
        )
    else:
        connection = http.client.HTTPConnection(where.hostname or "", where.port, timeout=PATIENCE)
    try:
        connection.request("GET", path)
        found = json.loads(connection.getresponse().read(LONGEST))
        if not isinstance(found, dict):
            raise ValueError("what answers is no etcd")
        return found
    finally:
        connection.close()


def _why(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return f"no answer within {PATIENCE:.0f} s"
    if isinstance(error, ValueError):
        return "what answers is no etcd"
    return (getattr(error, "strerror", None) or str(error) or type(error).__name__).lower()
