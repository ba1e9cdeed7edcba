"""What a well-formed workload may not mean: its volumes, ports, networks and probes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from ipaddress import IPv6Address, ip_address

from nodeorch.model.placing import Scope
from nodeorch.model.workload import Grpc, Http, Port, Probe, Workload
from nodeorch.spec.faults import Fault, Path, quote
from nodeorch.spec.mounts import allowed_mount, normalise, refused_mount, within
from nodeorch.spec.units import format_seconds

_NETWORK = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]{0,127}")
_MODES = ("host", "none")
_OTHER_MODES = ("bridge", "container", "ns", "pasta", "private", "slirp4netns")
_HEADER = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_HEADER_VALUE = re.compile(r"[\t\x20-\x7e\x80-\uffff]*")
_TMPFS_MIN = 4096
_PROBE_MIN = 0.01
PROBE_KINDS = ("http", "tcp", "grpc", "exec")
_TARGETS = ("/dev", "/proc", "/sys")


def volumes(w: Workload, allowed: tuple[str, ...], guarded: tuple[str, ...]) -> Iterator[Fault]:
    targets: set[str] = set()
    for i, volume in enumerate(w.volumes):
        path = ("volumes", i)
        kinds = [kind for kind in ("name", "source", "tmpfs") if getattr(volume, kind) is not None]
        if len(kinds) != 1:
            found = (
                "has none of name, source and tmpfs" if not kinds else f"has {' and '.join(kinds)}"
            )
            fix = 'write name = "..." (kept), source = "/..." (of the host) or tmpfs = "16MiB"'
            yield Fault(path, "E202", found, fix if not kinds else "keep exactly one of them")
        if volume.source is not None:
            source = (*path, "source")
            yield from host_path(source, volume.source, allowed, guarded)
        if volume.tmpfs is not None and volume.tmpfs < _TMPFS_MIN:
            yield Fault((*path, "tmpfs"), "E235", "a page does not fit in", "use at least 4KiB")
        target = normalise(volume.target)
        if fault := mount_target(target, (*path, "target"), targets):
            yield fault
        targets.add(target)


def host_path(
    path: Path, host: str, allowed: tuple[str, ...], guarded: tuple[str, ...]
) -> Iterator[Fault]:
    """Whether a path of the host may be read or mounted for a workload."""
    if why := refused_mount(host, guarded):
        fix = "no workload gets this; share a folder of its own, such as /srv/NAME"
        yield Fault(path, "E227", f"{quote(host)} {why}", fix)
    elif not allowed_mount(host, allowed):
        folders = ", ".join(allowed) or "nothing at all"
        fix = f"use a path in {folders}, or add one to [volumes] allowed in nodeorch.toml"
        yield Fault(path, "E228", f"{quote(host)} is outside the allowed folders", fix)


def mount_target(target: str, path: Path, earlier: set[str]) -> Fault | None:
    if target in earlier:
        fix = "give each volume and file its own target"
        return Fault(path, "E216", f"{quote(target)} is mounted over twice", fix)
    inside = any(within(target, folder) for folder in _TARGETS)
    if target == "/" or (inside and not target.startswith("/dev/shm")):
        fix = "choose a folder of the application, such as /data"
        return Fault(path, "E216", f"{quote(target)} must not be mounted over", fix)
    return None


def ports(w: Workload) -> Iterator[Fault]:
    for i, port in enumerate(w.ports):
        path = ("ports", i)
        if not _is_address(port.address):
            fix = 'write an address such as "127.0.0.1", "0.0.0.0" or "::1"'
            yield Fault((*path, "address"), "E214", f"{quote(port.address)} is no IP address", fix)
        if not port.host:
            continue
        twin = next((j for j, earlier in enumerate(w.ports[:i]) if overlap(port, earlier)), None)
        if twin is not None:
            message = f"{port.host}/{port.protocol} is published twice"
            uses: tuple[Path, ...] = (path, ("ports", twin))
            yield Fault((*path, "host"), "E215", message, "publish it once", uses=uses)
        if w.main.replicas > 1:
            message = f"{w.main.replicas} replicas cannot share host port {port.host}"
            if w.main.scope is Scope.FLEET:
                message += ": two of them may come to run on one host"
            fix = "set replicas = 1, or remove host"
            yield Fault((*path, "host"), "E205", message, fix, uses=(("workload", "replicas"),))


def _is_address(text: str) -> bool:
    try:
        return not (isinstance(ip := ip_address(text), IPv6Address) and ip.scope_id)
    except ValueError:
        return False


def overlap(one: Port, other: Port) -> bool:
    """Whether two ports would bind the same address of the host. ``0.0.0.0`` and ``::`` are all
    of them; a bad address is none."""
    if one.host is None or (one.host, one.protocol) != (other.host, other.protocol):
        return False
    if not (_is_address(one.address) and _is_address(other.address)):
        return False
    left, right = (_canonical(port.address) for port in (one, other))
    return left == right or {left, right} & {"0.0.0.0", "::"} != set()


def _canonical(address: str) -> str:
    ip = ip_address(address)
    mapped = ip.ipv4_mapped if isinstance(ip, IPv6Address) else None
    return str(mapped or ip)


def networks(w: Workload) -> Iterator[Fault]:
    named = w.main.networks
    for i, name in enumerate(named):
        path = ("workload", "networks", i)
        if name in _MODES:
            if len(named) > 1:
                fix = f'write networks = ["{name}"] or remove it'
                yield Fault(path, "E206", f'"{name}" excludes all other networks', fix)
        elif name in named[:i]:
            yield Fault(path, "E206", f"{quote(name)} stands twice", "remove one")
        elif name in _OTHER_MODES or name.split(":")[0] in _OTHER_MODES:
            fix = "name a Podman network, or leave networks out for the default one"
            yield Fault(path, "E230", f"{quote(name)} is a mode, not a network", fix)
        elif not _NETWORK.fullmatch(name):
            fix = "use letters, digits, _ . and -, beginning with a letter or digit"
            yield Fault(path, "E230", f"{quote(name)} is not a network's name", fix)
    mode = next((name for name in named if name in _MODES), None)
    for i, port in enumerate(w.ports):
        if mode and port.host:
            fix = "remove host; it listens on the host itself" if mode == "host" else "remove host"
            message = f'with networks = ["{mode}"] no port can be published'
            yield Fault(("ports", i, "host"), "E207", message, fix)


def probes(w: Workload) -> Iterator[Fault]:
    for kind in ("startup", "readiness", "liveness"):
        probe: Probe | None = getattr(w.probes, kind)
        if probe is not None:
            yield from _probe(w, probe, ("probes", kind))


def _probe(w: Workload, probe: Probe, path: Path) -> Iterator[Fault]:
    kinds = [kind for kind in PROBE_KINDS if getattr(probe, kind) is not None]
    if len(kinds) != 1:
        none = "has none of http, tcp, grpc and exec"
        fix = 'write http = { port = 8080 }, tcp = { port = 1 } or exec = ["program"]'
        found = f"has {' and '.join(kinds)}" if kinds else none
        yield Fault(path, "E203", found, "keep exactly one of them" if kinds else fix)
    if "none" in w.main.networks and (probe.http or probe.tcp or probe.grpc):
        message = 'with networks = ["none"] there is nothing to connect to'
        yield Fault((*path, kinds[0]), "E208", message, "use exec", on_key=True)
    if probe.exec is not None and (not probe.exec or not probe.exec[0]):
        yield Fault((*path, "exec"), "E221", "the program's name is empty", "name a program")
    if probe.http:
        yield from headers(probe.http.headers, (*path, "http", "headers"))
        yield from tls(probe.http, (*path, "http"), 'scheme = "https"')
    if probe.grpc:
        yield from tls(probe.grpc, (*path, "grpc"), "tls = true")
    yield from _probe_times(probe, path)


def tls(spec: Http | Grpc, path: Path, switch: str) -> Iterator[Fault]:
    for key in ("ca", "server_name"):
        if not spec.tls and getattr(spec, key) is not None:
            message = f"{key} means something over TLS only"
            yield Fault((*path, key), "E204", message, f"add {switch}, or remove {key}")
    if spec.tls and spec.ca is not None and spec.server_name is None:
        message = "ca alone would accept a certificate for any name"
        fix = 'add server_name = "..." as it stands in the certificate'
        yield Fault((*path, "ca"), "E204", message, fix)


def _probe_times(probe: Probe, path: Path) -> Iterator[Fault]:
    for key, value in (("interval", probe.interval), ("timeout", probe.timeout)):
        if value < _PROBE_MIN:
            yield Fault((*path, key), "E235", f"{format_seconds(value)} is too short", "use 10ms")


def headers(headers: dict[str, str], path: Path) -> Iterator[Fault]:
    for name, value in headers.items():
        if not _HEADER.fullmatch(name):
            message = f"{quote(name)} is not a header's name"
            yield Fault((*path, name), "E232", message, "use letters, digits and -", on_key=True)
        elif not _HEADER_VALUE.fullmatch(value):
            message = "the value has control characters"
            yield Fault((*path, name), "E232", message, "write it on one line")


RULES = (ports, networks, probes)
