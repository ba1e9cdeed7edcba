"""What of a workload is baked into a container, and the digests that tell two apart.

Promise: two workloads with equal templates can be turned into each other without a new
container. Everything not listed in LIVE is baked: a new field is baked until someone
has thought about it.
"""

from __future__ import annotations

from hashlib import blake2s
from typing import Any

import msgspec

from nodeorch.decide.size import size
from nodeorch.model.view import FieldChange
from nodeorch.model.workload import Workload
from nodeorch.model.world import Version

LIVE = (
    "workload.replicas",
    "workload.after",
    "workload.needs",
    "workload.pull",
    "workload.priority",
    "workload.scope",
    "workload.env_file",  # its content is in env
    "files.source",  # its content is in the digest
    "volumes.shared",
    "resources.memory",
    "resources.memory_high",
    "resources.swap",
    "resources.cpu",
    "resources.cpu_weight",
    "resources.cpuset",
    "resources.pids",
    "resources.oom",
    "probes",
    "hooks",
    "restart",
    "job",
    "stop",
    "update",
    "failover",
    "placement",
)
"""Fields that change without touching the container's process."""

UNSET_NEEDS_RECREATE = ("resources.memory_high", "resources.cpu_weight", "resources.cpuset")
"""Live from one value to another, but the engine cannot take them away again."""

SIZES = ("resources.memory", "resources.memory_high", "resources.swap")
"""Fields that are bytes."""


SHORT_DIGEST = len("sha256:") + 12
"""Characters of a file's digest that are shown."""


def digest(workload: Workload) -> str:
    return _hash(msgspec.json.encode(workload, order="sorted"))


def template(workload: Workload) -> str:
    flat = _flatten(workload)
    baked = {k: v for k, v in flat.items() if not _live(k)}
    for field in UNSET_NEEDS_RECREATE:
        baked[field + "?"] = field in flat
    return _hash(msgspec.json.encode(baked, order="sorted"))


def version(workload: Workload, generation: int) -> Version:
    return Version(
        generation=generation,
        digest=digest(workload),
        template=template(workload),
        workload=workload,
    )


def diff(before: Workload | None, after: Workload | None) -> list[FieldChange]:
    """Field by field, what turns ``before`` into ``after`` and how it takes effect."""
    old = _flatten(before) if before else {}
    new = _flatten(after) if after else {}
    unset = [f for f in UNSET_NEEDS_RECREATE if (f in old) != (f in new)]
    return [
        FieldChange(
            field=field,
            before=_show(field, old.get(field)),
            after=_show(field, new.get(field)),
            effect="live" if _live(field) and field not in unset else "recreate",
        )
        for field in sorted(old.keys() | new.keys())
        if old.get(field) != new.get(field)
    ]


def summary(changes: list[FieldChange], most: int = 4) -> str:
    """One line of words: ``resources.memory 64 MiB → 128 MiB (live)``."""
    words = [f"{c.field} {c.before} → {c.after} ({c.effect})" for c in changes[:most]]
    if len(changes) > most:
        words.append(f"and {len(changes) - most} more")
    return ", ".join(words)


def _flatten(workload: Workload) -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for table, value in msgspec.to_builtins(workload).items():
        if table == "files":
            for file in workload.files:
                flat[f"files {file.target}"] = f"sha256:{file.digest}, mode {file.mode}"
                flat[f"files.source {file.target}"] = file.source
        elif table == "volumes":
            shared = [volume["target"] for volume in value if volume.pop("shared", False)]
            flat |= {table: value} | ({"volumes.shared": shared} if shared else {})
        elif isinstance(value, dict) and table in ("workload", "resources", "security"):
            flat |= {f"{table}.{key}": v for key, v in value.items()}
        else:
            flat[table] = value
    return flat


def _live(field: str) -> bool:
    return field in LIVE or field.partition(" ")[0] in LIVE


def _show(field: str, value: Any) -> str:
    if value is None:
        return "-"
    if field in SIZES:
        return size(value)
    if field.startswith("files "):
        whole, comma, mode = str(value).partition(",")
        return whole[:SHORT_DIGEST] + comma + mode
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def _hash(data: bytes) -> str:
    return blake2s(data, digest_size=12).hexdigest()
