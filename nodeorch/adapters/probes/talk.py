"""What is said to a target, apart from how its bytes travel."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Protocol

from nodeorch.adapters.probes import http
from nodeorch.adapters.probes.outcome import Outcome
from nodeorch.model.workload import Grpc, Http, Probe


class Talk(Protocol):
    """One try's side of a conversation: bytes in, bytes out, no I/O.

    It looks at a bounded number of bytes, whatever the other side sends, and raises nothing.
    """

    what: str
    """What is tried, for a reason: "GET http://10.88.0.5:8080/"."""
    greeting: bytes
    """Sent first."""

    @property
    def outcome(self) -> Outcome | None:
        """There as soon as it is certain."""

    @property
    def whole(self) -> bool:
        """Nothing more is to come that we want."""

    def feed(self, data: bytes) -> None: ...

    def reply(self) -> bytes:
        """What is to be sent now; b"": nothing."""

    def end(self) -> None:
        """The other side has closed."""

    def expire(self, words: str) -> None:
        """Time is up: an outcome must be there after this."""


Talker = Callable[[], Talk | None]
"""Begins a new conversation; None: to be connected is enough. Raises OSError, ValueError with
words when something of this host is missing, and nothing else."""


Read = Callable[[str, int], bytes]
"""files.read_regular: (path, most bytes) → content. Raises OSError with words."""


def talker(probe: Probe, address: str, read: Read) -> Talker:
    """What is the same for each try is made once, here. ``read`` gets files of CAs."""
    if probe.http is not None:
        message = http.request(probe.http, address)
        plain = partial(http.Answer, probe.http, address, message)
        return _secured(probe.http, plain, "http/1.1", read)
    if probe.grpc is not None:
        # h2 costs the daemon 0.8 MiB: only who declares such a probe pays.
        from nodeorch.adapters.probes import grpc

        check = partial(grpc.Check, probe.grpc, address, probe.timeout)
        return _secured(probe.grpc, check, "h2", read)
    return lambda: None


def _secured(spec: Http | Grpc, plain: Callable[[], Talk], protocol: str, read: Read) -> Talker:
    if not spec.tls:
        return plain
    from nodeorch.adapters.probes.tls import Tls, context

    def over_tls() -> Talk:
        return Tls(plain(), context(spec.ca, protocol, read), spec.server_name)

    return over_tls
