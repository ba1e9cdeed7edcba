"""What an unknown key was probably meant to be. Imported only when there is one."""

from __future__ import annotations

import difflib
from collections.abc import Iterator

from msgspec import inspect

from nodeorch.spec.faults import dotted
from nodeorch.spec.walk import plain, shown

_ELSEWHERE = {
    "cmd": "workload.command",
    "configs": "files",
    "cpus": "resources.cpu",
    "cpu_limit": "resources.cpu",
    "depends_on": "workload.after",
    "entrypoint": "workload.command",
    "environment": "workload.env",
    "healthcheck": "probes.liveness",
    "mem": "resources.memory",
    "mem_limit": "resources.memory",
    "memory_limit": "resources.memory",
    "requires": "workload.needs",
    "shm_size": 'a tmpfs volume with target = "/dev/shm"',
    "stop_grace_period": "stop.grace",
    "workdir": "workload.working_dir",
}
"""What other tools call it."""


def unknown_key_fix(key: str, known: tuple[str, ...], root: inspect.StructType) -> str:
    key = key[:80]
    if near := difflib.get_close_matches(key.lower(), known, 1, 0.75):
        return f'did you mean "{near[0]}"?'
    homes = sorted({home for name, home in _places(root, ()) if name == key})
    if 1 <= len(homes) <= 2:
        return f"it belongs in {' or '.join(f'[{home}]' for home in homes)}"
    if key in _ELSEWHERE and root.cls.__name__ == "Workload":
        return f"did you mean {_ELSEWHERE[key]}?"
    if near := difflib.get_close_matches(key.lower(), known, 1, 0.6):
        return f'did you mean "{near[0]}"?'
    return f"known here: {', '.join(known)}"


def closest(word: str, known: tuple[str, ...]) -> str | None:
    near = difflib.get_close_matches(word[:80], known, 1, 0.6)
    return near[0] if near else None


def _places(struct: inspect.StructType, path: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    """(key, table that it stands in), of all plain tables."""
    for field in shown(struct):
        if path:
            yield field.encode_name, dotted(path)
        inner = plain(field.type).type
        if isinstance(inner, inspect.StructType):
            yield from _places(inner, (*path, field.encode_name))
