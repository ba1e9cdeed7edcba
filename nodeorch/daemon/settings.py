"""The daemon's own configuration files: nodeorch.toml and nodeorch.d/*.toml beside it."""

from __future__ import annotations

import socket
from pathlib import Path

from msgspec.structs import replace

from nodeorch import clusterfiles
from nodeorch.files import read_regular
from nodeorch.spec.settings import Settings, load_settings

LIMIT = 1 << 20
EXIT_CONFIG = 78
"""EX_CONFIG of sysexits.h: a service manager need not try again."""


class BadSettings(Exception):
    """The words list every problem with its place."""


def read_settings(path: Path) -> Settings:
    """Raises BadSettings."""
    texts: list[tuple[str, bytes | str]] = []
    try:
        for file in [path, *sorted(path.with_name("nodeorch.d").glob("*.toml"))]:
            texts.append((str(file), read_regular(file, LIMIT)))
    except OSError as error:
        raise BadSettings(str(error)) from error
    settings, problems = load_settings(texts)
    if settings is None:
        raise BadSettings("\n".join(p.text() for p in problems))
    if settings.cluster.name is not None:
        found = clusterfiles.problems(settings.cluster.files)
        if found:
            raise BadSettings("\n".join(map(str, found)))
    if settings.node.name is None:
        settings = replace(settings, node=replace(settings.node, name=_host_name()))
    return settings


def _host_name() -> str:
    name = socket.gethostname().partition(".")[0].lower()
    allowed = "".join(c if c.isascii() and c.isalnum() else "-" for c in name).strip("-")
    return allowed[:63] or "localhost"
