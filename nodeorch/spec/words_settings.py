"""What keys of nodeorch.toml mean, where the description in spec/settings.py is too short.

The JSON Schema shows it in editors, docs/operations.md in its table. By struct and field.
"""

from __future__ import annotations

from nodeorch.spec.mounts import ALLOWED_SOURCES

SETTINGS: dict[str, dict[str, str]] = {
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
}
