"""What keys of nodeorch.toml mean, where the description in spec/settings.py is too short.

The JSON Schema shows it in editors, docs/operations.md in its table. By struct and field.
"""

from __future__ import annotations

from nodeorch.spec.mounts import ALLOWED_SOURCES

SETTINGS: dict[str, dict[str, str]] = {
    "NodeSettings": {
        "labels": "what the node is, for the [placement](specs.md#placement) of workloads: "
        '`{ zone = "a", disk = "ssd" }`'
    },
    "PathSettings": {
        "workloads": "the workloads directory",
        "state": "database, key, lock, config files",
        "socket": "the API's socket, at most 107 bytes",
    },
    "PodmanSettings": {"socket": "where Podman answers"},
    "DefaultSettings": {"memory": "limit of a workload that names none; `false`: it must name one"},
    "VolumeSettings": {
        "allowed": "folders of the host that workloads may mount; missing: "
        + ", ".join(f"`{path}`" for path in ALLOWED_SOURCES)
    },
    "MetricsSettings": {
        "listen": "address and port for `/metrics`, `/healthz` and `/readyz`; missing: only on "
        "the socket. See [metrics.md](metrics.md)"
    },
    "ClusterSettings": {
        "name": "the fleet's name; missing: this host is alone. `nodeorch cluster init` and "
        "`join` write this table",
        "address": "this host's IP address, at which the other hosts reach it; required with "
        "`name`",
        "serf": "address and port of the Serf agent's RPC; only on the loopback address",
        "labels": "all labels that nodes of this fleet have, with their values: "
        '`{ zone = ["a", "b"] }`. What a workload asks for is held against them and the own '
        "labels; the own ones must be among them",
        "links": "`false`: Serf alone says that a host has failed, which takes it seconds longer",
    },
    "LeaseSettings": {
        "endpoints": "etcd's client URLs, for workloads that run at most once: "
        '`["https://10.0.0.1:2379"]`. Without TLS only on the loopback address',
        "ca": "file of the certificates that etcd's are checked by; required with `https`",
        "certificate": "file of our certificate for etcd; required with `https`",
        "key": "file of its key; required with `https`",
    },
}
