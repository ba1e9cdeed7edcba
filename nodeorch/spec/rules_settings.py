"""What settings mean beyond their shape. Each rule takes them all and yields faults."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from nodeorch.spec.faults import Fault, Path, quote
from nodeorch.spec.names import is_label
from nodeorch.spec.rules_fleet import HOST, not_a_label, unknown_label, unknown_value

if TYPE_CHECKING:
    from ipaddress import IPv4Address, IPv6Address

    from nodeorch.spec.settings import Settings

_TLS = ("ca", "certificate", "key")


def metrics(settings: Settings) -> Iterator[Fault]:
    listen, path = settings.metrics.listen, ("metrics", "listen")
    if listen is None:
        return
    yield from _place(path, listen, "127.0.0.1:9464")
    if not settings.metrics.everyone and _reachable(listen):
        yield Fault(
            path,
            "E238",
            f"others can reach {_host(listen)}, and nobody is asked for a name there",
            'use "127.0.0.1", or say everyone = true',
        )


def cluster(settings: Settings) -> Iterator[Fault]:
    asked, path = settings.cluster, ("cluster", "address")
    if asked.address is None:
        if asked.name is not None:
            fix = 'add address = "10.0.0.5": where the other hosts reach this one'
            yield Fault(path, "E103", "is required with name", fix, on_key=True)
        return
    address = _ip(asked.address)
    if address is None:
        fix = 'write one such as "10.0.0.5" or "fd00::5"'
        yield Fault(path, "E214", f"{quote(asked.address)} is not an IP address", fix)
    elif address.is_loopback or address.is_unspecified or address.is_multicast:
        kind = "the loopback" if address.is_loopback else "no host's own"
        message = f"{address} is {kind} address: other hosts cannot reach this one there"
        yield Fault(path, "E280", message, 'use that of the network between them: "10.0.0.5"')


def serf(settings: Settings) -> Iterator[Fault]:
    place, path = settings.cluster.serf, ("cluster", "serf")
    yield from _place(path, place, "127.0.0.1:7373")
    if _reachable(place):
        message = f"others could reach Serf's RPC at {_host(place)}: it gives out the fleet's key"
        yield Fault(path, "E238", message, 'use "127.0.0.1:7373"')


def labels(settings: Settings) -> Iterator[Fault]:
    fleet = settings.cluster.labels
    for table, keys in (("node", settings.node.labels), ("cluster", fleet)):
        for key in keys:
            path: Path = (table, "labels", key)
            if key == HOST:
                fix = "choose another word; failover.prefer names hosts"
                message = f'"{HOST}" is each node\'s own name'
                yield Fault(path, "E226", message, fix, on_key=True)
            elif not is_label(key):
                yield not_a_label(path, key)
    if not fleet:
        return
    for key, value in settings.node.labels.items():
        path = ("node", "labels", key)
        if key not in fleet:
            yield unknown_label(path, key, fleet, on_key=True)
        elif value not in fleet[key]:
            yield unknown_value(path, key, value, fleet)


def lease(settings: Settings) -> Iterator[Fault]:
    asked = settings.lease
    encrypted = False
    for i, url in enumerate(asked.endpoints):
        path = ("lease", "endpoints", i)
        scheme, _, place = url.partition("://")
        encrypted = encrypted or scheme == "https"
        if not 1 <= int(place.rpartition(":")[2]) <= 65535:
            yield Fault(path, "E104", f"{quote(url)} has no port of 1 to 65535", "etcd's is 2379")
        elif url in asked.endpoints[:i]:
            yield Fault(path, "E276", f"{quote(url)} stands twice", "remove one")
        elif scheme == "http" and _host(place) != "localhost" and _reachable(place, True):
            message = f"{quote(url)} is not encrypted, and leaves this host"
            fix = "use https:// and ca, certificate and key; http:// is for this host only"
            yield Fault(path, "E281", message, fix)
    for key in _TLS if encrypted else ():
        if getattr(asked, key) is None:
            fix = f'add {key} = "/etc/nodeorch/etcd/..."'
            message = "is required with https endpoints"
            yield Fault(("lease", key), "E103", message, fix, on_key=True)


def _place(path: Path, text: str, such_as: str) -> Iterator[Fault]:
    """ADDRESS:PORT, of the form that settings.PLACE_PATTERN demands."""
    host, port = _host(text), text.rpartition(":")[2]
    if not 1 <= int(port) <= 65535:
        yield Fault(path, "E104", f"{port} is not a port", "use 1 to 65535")
    if _ip(host) is None:
        fix = f'write one such as "{such_as}" or "[::1]:{such_as.rpartition(":")[2]}"'
        yield Fault(path, "E214", f"{quote(host)} is not an IP address", fix)


def _host(place: str) -> str:
    return place.rpartition(":")[0].strip("[]")


def _reachable(place: str, name: bool = False) -> bool:
    """Whether other hosts can reach it; of a host's name that is what ``name`` says."""
    address = _ip(_host(place))
    return name if address is None else not address.is_loopback


def _ip(text: str) -> IPv4Address | IPv6Address | None:
    # Imported here: it costs half a megabyte of a daemon that does not listen.
    from ipaddress import ip_address

    try:
        return ip_address(text)
    except ValueError:
        return None


RULES = (metrics, cluster, serf, labels, lease)
