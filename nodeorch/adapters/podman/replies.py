"""What Podman answers, as our structs; pure. Unknown fields are skipped."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

import msgspec
from msgspec import Struct, field

from nodeorch.model.world import Container, State

_STATES = {
    "created": State.CREATED,
    "configured": State.CREATED,
    "initialized": State.CREATED,
    "running": State.RUNNING,
    "paused": State.PAUSED,
    "stopping": State.STOPPING,
    "stopped": State.EXITED,
    "exited": State.EXITED,
    "removing": State.EXITED,
}
"""Podman's words; what is not here ("unknown", …) is unknown."""
_REMOVING = "removing"
"""A removal that was cut short, by the death of Podman's service, leaves it so for ever."""
_HALF_ENDED = ("stopped", _REMOVING)
"""Of these Podman has yet to tear down the network ("exited" comes after)."""


class _Pascal(Struct, rename="pascal"):
    pass


class _Listed(_Pascal):
    id: str
    names: list[str] | None = None
    state: str = ""
    pid: int = 0
    exit_code: int = 0
    started_at: int = 0
    image_id: str = field(name="ImageID", default="")
    labels: dict[str, str] | None = None


class InspectState(_Pascal):
    status: str = ""
    pid: int = 0
    conmon_pid: int = 0
    exit_code: int = 0
    oom_killed: bool = field(name="OOMKilled", default=False)
    started_at: str = ""


class _Address(_Pascal):
    ip_address: str = field(name="IPAddress", default="")
    ipv6: str = field(name="GlobalIPv6Address", default="")


class _Networks(_Pascal):
    networks: dict[str, _Address] | None = None


class InspectConfig(_Pascal):
    user: str = ""
    labels: dict[str, str] | None = None
    healthcheck: dict[str, Any] | None = None


class Binding(_Pascal):
    host_ip: str = ""
    host_port: str = ""


class InspectHost(_Pascal):
    network_mode: str = ""
    privileged: bool = False
    readonly_rootfs: bool = False
    security_opt: list[str] | None = None
    port_bindings: dict[str, list[Binding] | None] | None = None
    userns_mode: str = ""
    id_mappings: dict[str, Any] | None = field(name="IDMappings", default=None)
    restart_policy: dict[str, Any] | None = None


class InspectMount(_Pascal):
    destination: str = ""
    rw: bool = field(name="RW", default=True)


class Inspect(_Pascal):
    id: str
    name: str = ""
    image: str = ""
    state: InspectState = field(default_factory=InspectState)
    config: InspectConfig = field(default_factory=InspectConfig)
    host_config: InspectHost = field(default_factory=InspectHost)
    network_settings: _Networks = field(default_factory=_Networks)
    effective_caps: list[str] | None = None
    bounding_caps: list[str] | None = None
    mounts: list[InspectMount] | None = None


class InspectImageConfig(_Pascal):
    entrypoint: list[str] | None = None
    cmd: list[str] | None = None


class Image(_Pascal):
    id: str
    digest: str = ""
    repo_digests: list[str] | None = None
    config: InspectImageConfig = field(default_factory=InspectImageConfig)


class Pulled(Struct):
    """A line of the answer to images/pull."""

    stream: str = ""
    error: str = ""
    id: str = ""


class Removed(_Pascal):
    id: str = ""
    err: Any = None


class Created(_Pascal):
    id: str
    warnings: list[str] | None = None


class _Actor(_Pascal):
    id: str = field(name="ID", default="")
    attributes: dict[str, str] = {}


class EngineEvent(_Pascal):
    action: str = ""
    actor: _Actor = field(default_factory=_Actor)


class ExecState(_Pascal):
    can_remove: bool = False
    """True once it has been started."""
    exit_code: int = 0
    pid: int = 0
    running: bool = False


class Info(Struct):
    class HostInfo(Struct):
        cgroup_version: Annotated[str, msgspec.Meta(description="v1 or v2")] = field(
            name="cgroupVersion", default="v2"
        )

    host: HostInfo = field(default_factory=HostInfo)


def _wall(text: str) -> float:
    """RFC 3339 → seconds of the wall clock; 0 for Podman's "never" (year 1)."""
    try:
        return max(datetime.fromisoformat(text).timestamp(), 0.0)
    except (ValueError, OverflowError):
        return 0.0


def _exit_code(state: State, code: int) -> int | None:
    return code if state is State.EXITED else None


def listing(body: bytes) -> tuple[Container, ...]:
    return tuple(_listed(item) for item in msgspec.json.decode(body, type=list[_Listed]))


def _listed(item: _Listed) -> Container:
    state = _STATES.get(item.state.lower(), State.UNKNOWN)
    return Container(
        id=item.id,
        name=item.names[0] if item.names else "",
        state=state,
        pid=item.pid,
        exit_code=_exit_code(state, item.exit_code),
        spent=item.state.lower() == _REMOVING,
        started_wall=float(max(item.started_at, 0)),
        image_id=item.image_id,
        labels=item.labels or {},
    )


def _address(seen: Inspect) -> str:
    if seen.host_config.network_mode == "host":
        return "127.0.0.1"
    for network in (seen.network_settings.networks or {}).values():
        if network.ip_address or network.ipv6:
            return network.ip_address or network.ipv6
    return ""


def container(seen: Inspect) -> Container:
    state = _STATES.get(seen.state.status.lower(), State.UNKNOWN)
    return Container(
        id=seen.id,
        name=seen.name,
        state=state,
        pid=seen.state.pid,
        exit_code=_exit_code(state, seen.state.exit_code),
        oom_killed=seen.state.oom_killed,
        spent=seen.state.status.lower() == _REMOVING,
        cleaned=seen.state.status.lower() not in _HALF_ENDED,
        started_wall=_wall(seen.state.started_at),
        image_id=seen.image,
        address=_address(seen),
        labels=seen.config.labels or {},
    )


def digest(image: Image, reference: str) -> str:
    """The registry's digest where it has one for this repository; else the image's own id."""
    repository, _, asked = reference.partition("@")
    if ":" in repository.rpartition("/")[2]:
        repository = repository.rpartition(":")[0]
    for known in image.repo_digests or ():
        name, _, value = known.partition("@")
        ours = name == repository or name.endswith(f"/{repository}")
        if ours and asked in ("", value):
            return value
    return image.digest or f"sha256:{image.id.removeprefix('sha256:')}"
