"""Which host paths may be mounted into a container.

Pure comparisons of words. A path that passes here may still be a symlink to one that does not:
whoever creates the container resolves it and asks :func:`refused_mount` again.
"""

from __future__ import annotations

from collections.abc import Iterable

GUARDED = (
    "/boot",
    "/dev",
    "/etc/gshadow",
    "/etc/nodeorch",
    "/etc/shadow",
    "/etc/sudoers",
    "/etc/sudoers.d",
    "/proc",
    "/run/containerd",
    "/run/crio",
    "/run/dbus",
    "/run/docker",
    "/run/nodeorch",
    "/run/podman",
    "/run/systemd",
    "/run/user",
    "/sys",
    "/var/lib/containerd",
    "/var/lib/containers",
    "/var/lib/docker",
    "/var/lib/nodeorch",
)
"""Never mounted, nor anything below, nor any folder above."""

_GUARDED_PREFIXES = ("/run/docker", "/run/podman")
"""Names below /run that begin so: docker.sock, dockershim.sock, podman.sock."""

_SOCKETS = frozenset(
    {"containerd.sock", "crio.sock", "docker.sock", "nodeorch.sock", "podman.sock"}
)

ALLOWED_SOURCES = ("/srv", "/var/lib", "/etc", "/home", "/opt", "/mnt", "/media", "/data")


def normalise(path: str) -> str:
    """An absolute path without ``.``, ``..``, doubled or trailing slashes, and with the old names
    of /run spelled anew."""
    parts: list[str] = []
    for part in path.split("/"):
        if part == "..":
            del parts[-1:]
        elif part not in ("", "."):
            parts.append(part)
    if parts[:2] == ["var", "run"]:
        del parts[0]
    elif parts[:2] == ["var", "lock"]:
        parts[:1] = ["run"]
    return "/" + "/".join(parts)


def within(path: str, folder: str) -> bool:
    """Whether a normal path is a normal folder or below it."""
    return path == folder or folder == "/" or path.startswith(folder + "/")


def refused_mount(path: str, guarded: Iterable[str] = ()) -> str | None:
    """Why a host path is never mounted, in words that follow it; None: no objection.

    ``guarded`` adds paths, such as the daemon's own state and sockets.
    """
    if not path.startswith("/"):
        return "is not an absolute path"
    normal = normalise(path)
    name = normal.rsplit("/", 1)[-1]
    if name in _SOCKETS:
        return f"is a socket of a container runtime ({name})"
    if any(normal.startswith(prefix) for prefix in _GUARDED_PREFIXES):
        return "belongs to a container runtime"
    for kept in (*GUARDED, *map(normalise, guarded)):
        if within(normal, kept):
            return f"is within {kept}" if normal != kept else "is kept for the host"
        if within(kept, normal):
            return f"contains {kept}"
    return None


def allowed_mount(path: str, allowed: Iterable[str]) -> bool:
    """Whether a path lies in one of the allowed folders."""
    normal = normalise(path)
    return any(within(normal, normalise(folder)) for folder in allowed)
