"""A workload as Podman's SpecGenerator, the body of POST containers/create; pure.

Podman ignores what it does not know without a word: verify.py compares afterwards.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from signal import Signals
from typing import Any

import msgspec

from nodeorch.adapters.podman import limits
from nodeorch.model.workload import MIB, Resources, Volume, Workload
from nodeorch.ports import EngineError

SCRATCH = ("/tmp", "/run")
"""Writable in memory when the root file system is not."""
SCRATCH_SIZE = 64 * MIB
NO_HEALTH_CHECK = {"Test": ["NONE"], "Interval": 30 * 10**9, "Timeout": 30 * 10**9, "Retries": 3}
"""The image's own HEALTHCHECK would have Podman fork a process per check. Podman 5 refuses every
update of a container whose check, even if it is none, lacks the times (nanoseconds)."""
NETWORK_MODES = ("host", "none")


class Host(msgspec.Struct, frozen=True):
    """What the host allows and is."""

    cgroup_v2: bool
    swap_known: bool = True
    """The kernel accounts swap."""
    hard: dict[str, int] = {}
    """Hard process limits by name; one that is missing is not limited."""


class ImageConfig(msgspec.Struct, frozen=True):
    entrypoint: tuple[str, ...] = ()
    cmd: tuple[str, ...] = ()


def signal_number(name: str) -> int:
    """ "TERM", "SIGINT", "RTMIN+3" → a number; raises EngineError refused."""
    bare = name.removeprefix("SIG")
    base, _, offset = bare.partition("+")
    try:
        return Signals[f"SIG{base}"].value + int(offset or 0)
    except (KeyError, ValueError):
        raise EngineError(
            "refused", f"cannot stop it with {name!r}: no such signal; use TERM, INT, QUIT …"
        ) from None


def _process(workload: Workload, image: ImageConfig) -> dict[str, Any]:
    main = workload.main
    words: Sequence[str] = main.command or (image.entrypoint + image.cmd)
    words = [*words, *main.args]
    spec: dict[str, Any] = {"env": main.env, "init": main.init}
    if main.command or main.args:
        # All of it stands in both: with an entrypoint, the image's command is not used.
        spec |= {"entrypoint": words[:1], "command": words[1:]}
    if main.working_dir:
        spec["work_dir"] = main.working_dir
    if main.hostname:
        spec["hostname"] = main.hostname
    if workload.security.user:
        spec["user"] = workload.security.user
    return spec


def _tmpfs(target: str, size: int, *more: str) -> dict[str, Any]:
    options = [f"size={size}", "mode=1777", "nosuid", "nodev", *more]
    return {"type": "tmpfs", "source": "tmpfs", "destination": target, "options": options}


def _scratch(workload: Workload, resources: Resources) -> list[dict[str, Any]]:
    """Podman copies what the image has there, with owners and modes: /run/mysqld and the like."""
    taken = {volume.target.rstrip("/") for volume in workload.volumes}
    size = resources.memory or SCRATCH_SIZE
    return [_tmpfs(path, size) for path in SCRATCH if path not in taken]


def _bind(volume: Volume) -> dict[str, Any]:
    """Read-only binds are not recursive: mounts below them would stay writable."""
    options = ["bind", "ro"] if volume.read_only else ["rbind", "rw"]
    return {
        "type": "bind",
        "source": volume.source,
        "destination": volume.target,
        "options": [*options, "rprivate"],
    }


def _mounts(workload: Workload, resources: Resources) -> dict[str, Any]:
    mounts, named = [], []
    for volume in workload.volumes:
        if volume.name is not None:
            mode = "ro" if volume.read_only else "rw"
            named.append({"Name": volume.name, "Dest": volume.target, "Options": [mode]})
        elif volume.source is not None:
            mounts.append(_bind(volume))
        else:
            mode = "ro" if volume.read_only else "rw"
            mounts.append(_tmpfs(volume.target, volume.tmpfs or 0, "notmpcopyup", mode))
    if workload.security.read_only:
        mounts += _scratch(workload, resources)
    return {"mounts": mounts, "volumes": named}


def _network(workload: Workload) -> dict[str, Any]:
    networks = workload.main.networks
    if networks and networks[0] in NETWORK_MODES:
        return {"netns": {"nsmode": networks[0]}}
    ports = [
        {
            "container_port": port.container,
            "host_port": port.host,
            # Podman hands "0.0.0.0" to netavark 1.4 as one address, and nothing is ever sent to it.
            "host_ip": "" if port.address == "0.0.0.0" else port.address,
            "protocol": port.protocol.value,
        }
        for port in workload.ports
        if port.host is not None
    ]
    spec: dict[str, Any] = {"netns": {"nsmode": "bridge"}, "portmappings": ports}
    if networks:
        spec["networks"] = {name: {"aliases": [workload.name]} for name in networks}
    return spec


def _security(workload: Workload) -> dict[str, Any]:
    security = workload.security
    spec: dict[str, Any] = {
        "read_only_filesystem": security.read_only,
        "no_new_privileges": security.no_new_privileges,
        "privileged": security.privileged,
    }
    if not security.privileged:
        spec["cap_drop"] = ["ALL"]
        spec["cap_add"] = [name.removeprefix("CAP_") for name in security.capabilities]
    if security.seccomp != "default":
        spec["seccomp_profile_path"] = security.seccomp
    if security.userns == "auto":
        spec["userns"] = {"nsmode": "auto"}
        spec["idmappings"] = {"AutoUserNs": True, "AutoUserNsOpts": {}}
    return spec


def specification(
    name: str,
    workload: Workload,
    image_id: str,
    labels: Mapping[str, str],
    resources: Resources,
    *,
    host: Host,
    image: ImageConfig,
) -> dict[str, Any]:
    """The whole SpecGenerator. ``image`` is needed only when the workload has args alone."""
    spec: dict[str, Any] = {
        "name": name,
        "image": image_id,
        "raw_image_name": workload.main.image,
        "labels": {**workload.main.labels, **labels},
        "restart_policy": "no",
        "stop_signal": signal_number(workload.stop.signal),
        "stop_timeout": max(round(workload.stop.grace), 0),
        "healthconfig": NO_HEALTH_CHECK,
        "log_configuration": {"driver": "k8s-file", "size": workload.logs.max_size},
        "sdnotifyMode": "ignore",
        "r_limits": limits.ulimits(resources.ulimits, host.hard),
        "resource_limits": limits.at_creation(
            resources, v2=host.cgroup_v2, swap_known=host.swap_known
        ),
    }
    if host.cgroup_v2 and (files := limits.unified(resources)):
        spec["unified"] = files
    return (
        spec
        | limits.devices(resources)
        | _process(workload, image)
        | _mounts(workload, resources)
        | _network(workload)
        | _security(workload)
    )
