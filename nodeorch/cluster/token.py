"""The one line that is carried to the next host: whom to trust, and why to be let in.

Written ``nt1_`` and base64url of: SHA-256 of the CA's certificate (32 bytes), id (8), secret (16),
when it ends (8, seconds since 1970), the fleet's name, and a CRC-32 of all that, so that a part
that got lost while it was copied is told from a token that is not known.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import ssl
import struct
import zlib

from msgspec import Struct

from nodeorch.cluster.errors import ClusterError

PREFIX = "nt1_"
_SHAPE = struct.Struct(">32s8s16sQ")
_CRC = struct.Struct(">I")


class Token(Struct, frozen=True):
    fingerprint: bytes
    """Of the CA's certificate."""
    id: bytes
    secret: bytes
    ends: int
    """Wall time, seconds."""
    cluster: str


def write(token: Token) -> str:
    body = _SHAPE.pack(token.fingerprint, token.id, token.secret, token.ends)
    body += token.cluster.encode()
    return PREFIX + base64.urlsafe_b64encode(body + _CRC.pack(zlib.crc32(body))).decode().rstrip(
        "="
    )


def read(text: str) -> Token:
    """Raises ClusterError for what is no token."""
    words = "".join(text.split())
    if words.startswith("nt") and not words.startswith(PREFIX):
        raise ClusterError(
            "cannot read the token: it is of another version of nodeorch; install the same "
            "version on both hosts",
            "TokenVersion",
        )
    try:
        coded = words.removeprefix(PREFIX)
        data = base64.b64decode(coded + "=" * (-len(coded) % 4), altchars=b"-_", validate=True)
        body, crc = data[: -_CRC.size], data[-_CRC.size :]
        whole = words.startswith(PREFIX) and _CRC.unpack(crc)[0] == zlib.crc32(body)
        mark, identity, secret, ends = _SHAPE.unpack(body[: _SHAPE.size])
        name = body[_SHAPE.size :].decode()
    except (binascii.Error, struct.error, ValueError):
        whole = False
    if not whole:
        raise ClusterError(
            "cannot read the token: a part of it is missing or changed; copy the whole line that "
            "`nodeorch cluster token` printed",
            "TokenBroken",
        )
    return Token(mark, identity, secret, ends, name)


def fingerprint(ca: str) -> bytes:
    """SHA-256 of a certificate in PEM. Raises ValueError for what is none."""
    return hashlib.sha256(ssl.PEM_cert_to_DER_cert(ca.strip())).digest()
