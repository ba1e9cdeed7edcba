"""Who may speak on the peers' port: TLS 1.3 alone, and the fleet's own CA alone.

A certificate is a host's by its name, in the subject and as a DNS name; addresses are not in it, so
that a host may change its own. A client is verified as a server is: by the name that it is wanted
for.
"""

from __future__ import annotations

import re
import ssl
from asyncio.sslproto import SSLProtocol
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nodeorch.model.quantities import NAME_PATTERN

CA, CERTIFICATE, KEY = "ca.crt", "node.crt", "node.key"
NAME = re.compile(NAME_PATTERN)
BUFFER = 32 << 10
"""Bytes that asyncio sets aside for what comes on each TLS connection, in the place of its 256 KiB:
links are many and what they carry is small. A TLS record has at most 16 KiB."""

SSLProtocol.max_size = BUFFER


class Contexts:
    """One for connections that come, one for those that we make. Raises OSError, ssl.SSLError."""

    def __init__(self, files: Path) -> None:
        self._files = files
        self.server = _context(ssl.PROTOCOL_TLS_SERVER, files)
        self.server.verify_mode = ssl.CERT_OPTIONAL
        self.server.num_tickets = 0  # no session outlives its connection, nor a certificate's end
        self.client = _context(ssl.PROTOCOL_TLS_CLIENT, files)

    def reload(self) -> None:
        """Take the files as they are now. If they do not fit each other, all stays as it was."""
        _context(ssl.PROTOCOL_TLS_SERVER, self._files)
        for context in (self.server, self.client):
            _load(context, self._files)


def _context(protocol: Any, files: Path) -> ssl.SSLContext:
    made = ssl.SSLContext(protocol)
    made.minimum_version = ssl.TLSVersion.TLSv1_3
    _load(made, files)
    return made


def _load(context: ssl.SSLContext, files: Path) -> None:
    context.load_verify_locations(files / CA)
    context.load_cert_chain(files / CERTIFICATE, files / KEY)


def name_of(certificate: Mapping[str, Any] | None) -> str:
    """The host that a verified certificate (ssl.getpeercert) is of; "" if it is of none."""
    if not certificate:
        return ""
    subject = dict(pair for group in certificate.get("subject", ()) for pair in group)
    name = subject.get("commonName", "")
    if NAME.fullmatch(name) and ("DNS", name) in certificate.get("subjectAltName", ()):
        return str(name)
    return ""
