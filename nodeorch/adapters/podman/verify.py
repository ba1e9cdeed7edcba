"""Does a created container have what was asked for? Pure.

Podman's API answers 201 to fields that it does not know or want: what guards the
host is compared with what an inspection shows. Resource limits are not: the kernel
is asked for those.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nodeorch.adapters.podman.replies import Inspect


def _capabilities(spec: Mapping[str, Any], seen: Inspect) -> list[str]:
    if spec["privileged"]:
        return []
    asked = {f"CAP_{name}" for name in spec["cap_add"]}
    bounding, effective = set(seen.bounding_caps or ()), set(seen.effective_caps or ())
    if "CAP_ALL" in asked or (bounding == asked and effective <= asked):
        return []
    return [f"capabilities: asked {_names(asked)}, got {_names(bounding | effective)}"]


def _names(names: set[str]) -> str:
    return " ".join(sorted(names)) or "none"


def _flags(spec: Mapping[str, Any], seen: Inspect) -> list[str]:
    options = set(seen.host_config.security_opt or ())
    health = (seen.config.healthcheck or {}).get("Test") or ["NONE"]
    restart = (seen.host_config.restart_policy or {}).get("Name") or "no"
    userns_asked = "userns" in spec
    userns_seen = bool(seen.host_config.id_mappings) or seen.host_config.userns_mode == "private"
    facts = [
        ("read-only root", spec["read_only_filesystem"], seen.host_config.readonly_rootfs),
        ("privileged", spec["privileged"], seen.host_config.privileged),
        ("no_new_privileges", spec["no_new_privileges"], "no-new-privileges" in options),
        ("user", spec.get("user", seen.config.user), seen.config.user),
        ("user namespace", userns_asked, userns_seen),
        ("health check of the image", ["NONE"], health),
        ("restart policy", "no", restart),
        ("image", spec["image"].removeprefix("sha256:"), seen.image.removeprefix("sha256:")),
    ]
    return [f"{name}: asked {asked}, got {got}" for name, asked, got in facts if asked != got]


def _seccomp(spec: Mapping[str, Any], seen: Inspect) -> list[str]:
    """A Podman that shows no profile, whichever it uses, leaves nothing to compare."""
    asked = spec.get("seccomp_profile_path", "default")
    options = seen.host_config.security_opt or ()
    shown = [o.partition("=")[2] for o in options if o.startswith("seccomp=")]
    if spec["privileged"]:
        return []
    return [f"seccomp: asked {asked}, got {got}" for got in shown if got != asked]


def _network(spec: Mapping[str, Any], seen: Inspect) -> list[str]:
    asked, got = spec["netns"]["nsmode"], seen.host_config.network_mode
    # Named networks are shown as "bridge", or by Podman 5 by the first one's name.
    names = {"bridge", *spec.get("networks", ())} if asked == "bridge" else {asked}
    wrong = [] if got in names else [f"network: asked {asked}, got {got}"]
    bindings = seen.host_config.port_bindings or {}
    for port in spec.get("portmappings", ()):
        key = f"{port['container_port']}/{port['protocol']}"
        have = {(b.host_ip or "0.0.0.0", b.host_port) for b in bindings.get(key) or ()}
        ip = port["host_ip"] or "0.0.0.0"
        if (ip, str(port["host_port"])) not in have:
            shown = " ".join(f"{ip}:{number}" for ip, number in sorted(have)) or "none"
            wrong.append(f"port {key}: asked {ip}:{port['host_port']}, got {shown}")
    return wrong


def _mounts(spec: Mapping[str, Any], seen: Inspect) -> list[str]:
    writable = {mount.destination: mount.rw for mount in seen.mounts or ()}
    asked = {
        mount["destination"]: "ro" in mount["options"]
        for mount in spec["mounts"]
        if mount["type"] == "bind"
    }
    asked |= {volume["Dest"]: "ro" in volume["Options"] for volume in spec["volumes"]}
    wrong = []
    for target, read_only in asked.items():
        if target not in writable:
            wrong.append(f"volume {target}: not mounted")
        elif read_only and writable[target]:
            wrong.append(f"volume {target}: asked read-only, got writable")
    return wrong


def dropped(spec: Mapping[str, Any], seen: Inspect) -> list[str]:
    """What the container has not, although ``spec`` (a SpecGenerator) asked for it; in words."""
    return [
        *_flags(spec, seen),
        *_capabilities(spec, seen),
        *_seccomp(spec, seen),
        *_network(spec, seen),
        *_mounts(spec, seen),
    ]
