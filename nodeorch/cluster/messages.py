"""What is said when a host joins, or renews its certificate: JSON, over TLS.

An answer of either kind may instead be a :class:`Refusal`. Certificates and requests for them are
PEM.
"""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

from nodeorch.model.workload import Name

PROTOCOL = 1
"""Of joining. A host that speaks another one is refused by its number."""
LONGEST = 16 * 1024
"""Bytes of a request; an answer grows with the fleet."""

Pem = Annotated[str, Meta(max_length=4096)]
Port = Annotated[int, Meta(ge=1, le=65535)]
Address = Annotated[str, Meta(max_length=45)]


class _Message(Struct, frozen=True):
    pass


class JoinRequest(_Message, frozen=True):
    """POST /v1/join, without a client certificate."""

    id: Annotated[str, Meta(pattern=r"^[0-9a-f]{16}$")]
    secret: Annotated[str, Meta(pattern=r"^[0-9a-f]{32}$")]
    name: Name
    address: Address
    port: Port
    csr: Pem
    protocol: int = PROTOCOL


class Signer(_Message, frozen=True):
    """The host that has the CA's key."""

    name: str
    address: str
    port: int


class JoinAnswer(_Message, frozen=True):
    certificate: str
    ca: str
    cluster: str
    keyring: list[str]
    """Of Serf; the first encrypts."""
    signer: Signer
    serf: list[str]
    """Addresses, or endpoints, at which Serf of other hosts may be found."""
    labels: dict[str, list[str]] = {}
    hosts: dict[str, tuple[str, int]] = {}
    """Address and port of the peers' API of each host, the signer among them."""


class RenewRequest(_Message, frozen=True):
    """POST /v1/certificate, with a client certificate: its name is the new one's."""

    csr: Pem
    protocol: int = PROTOCOL


class RenewAnswer(_Message, frozen=True):
    certificate: str
    ca: str


class Refusal(_Message, frozen=True):
    error: str
    """A sentence: "cannot …: why; what to do"."""
    code: str


class JoinContext(_Message, frozen=True):
    """What the daemon tells the process that signs; never what the other host says of itself."""

    files: str
    cluster: str
    signer: Signer
    hosts: dict[str, tuple[str, int]] = {}
    taken: list[str] = []
    """Names that no new host may have."""
    labels: dict[str, list[str]] = {}


class RenewContext(_Message, frozen=True):
    files: str
    host: str
    """By its client certificate."""
