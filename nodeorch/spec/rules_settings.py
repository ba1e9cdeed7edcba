"""What settings mean beyond their shape."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from nodeorch.spec.faults import Fault, quote

if TYPE_CHECKING:
    from nodeorch.spec.settings import MetricsSettings


def metrics_faults(metrics: MetricsSettings) -> Iterator[Fault]:
    if metrics.listen is None:
        return
    # Imported here: it costs half a megabyte of a daemon that does not listen.
    from ipaddress import ip_address

    path = ("metrics", "listen")
    host, _, port = metrics.listen.rpartition(":")
    if not 1 <= int(port) <= 65535:
        yield Fault(path, "E104", f"{port} is not a port", "use 1 to 65535")
    try:
        address = ip_address(host.strip("[]"))
    except ValueError:
        fix = 'write one such as "127.0.0.1:9464" or "[::1]:9464"'
        yield Fault(path, "E214", f"{quote(host)} is not an IP address", fix)
        return
    if not address.is_loopback and not metrics.everyone:
        yield Fault(
            path,
            "E238",
            f"others can reach {host}, and nobody is asked for a name there",
            'use "127.0.0.1", or say everyone = true',
        )
