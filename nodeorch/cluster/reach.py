"""HTTPS to another host of the fleet, with the standard library."""

from __future__ import annotations

import http.client
import json
import socket
import ssl
import time
from typing import Any

from nodeorch.cluster.errors import ClusterError
from nodeorch.cluster.token import fingerprint

TIMEOUT = 10.0
"""Seconds to connect, and for each part of an answer."""
SIGNING = 40.0
"""Seconds for what a process of the other host has to answer."""
LONGEST = 4 << 20
"""Bytes of an answer."""
WORDS = 1000
"""Characters of what another host says, for a person."""
NOT_YET, EXPIRED = 9, 10
"""X509_V_ERR_CERT_NOT_YET_VALID, X509_V_ERR_CERT_HAS_EXPIRED of OpenSSL."""


def unverified_ca(address: str, port: int, expected: bytes) -> str:
    """The CA's certificate of whoever is there, if it is the one that is expected.

    Nothing but this comparison says that it is; nothing secret is sent before. Raises ClusterError.
    """
    context = _context()
    context.verify_mode = ssl.CERT_NONE
    status, body, _ = _request(context, address, port, "GET", "/v1/ca", b"", TIMEOUT)
    text = body.decode(errors="replace")
    try:
        found = fingerprint(text) if status == 200 else None
    except ValueError:
        found = None
    if found is None:
        raise ClusterError(
            f"cannot join: what answers at {_place(address, port)} is no nodeorchd of a fleet; use "
            "the address of a host that is in it, and the port of its [cluster] port",
            "NotAFleet",
        )
    if found != expected:
        raise ClusterError(
            f"cannot join: this is not the fleet of the token: the CA at {_place(address, port)} "
            f"has the fingerprint {found.hex()[:16]}…, the token says {expected.hex()[:16]}…; use "
            "the address of a host of the token's fleet",
            "WrongFleet",
        )
    return text


def ask(
    address: str,
    port: int,
    path: str,
    body: bytes,
    ca: str,
    pair: tuple[str, str] | None = None,
) -> tuple[bytes, str]:
    """(answer, name of the host by its certificate) to a POST. ``pair``: files of our own
    certificate and key. Raises ClusterError, with the words of the other host where it refuses."""
    context = _context()
    context.load_verify_locations(cadata=ca)
    if pair is not None:
        context.load_cert_chain(*pair)
    status, answer, name = _request(context, address, port, "POST", path, body, SIGNING)
    try:
        view: Any = json.loads(answer)
    except ValueError:
        view = None
    if isinstance(view, dict) and "error" in view:
        raise ClusterError(str(view["error"]), str(view.get("code", "Refused")))
    words = answer.decode(errors="replace").strip()
    if status != 200 and words.startswith("cannot "):
        raise ClusterError(words[:WORDS])
    if status != 200 or not isinstance(view, dict):
        raise ClusterError(
            f"cannot use the answer of {name or _place(address, port)}: it says {status} to "
            f"{path}; install the same nodeorch on both hosts, and see that host's log",
            "Version",
        )
    return answer, name


def clock(when: float | None = None) -> str:
    """A wall time, for people; now, if none is given."""
    return time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(when))


def _context() -> ssl.SSLContext:
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    made.minimum_version = ssl.TLSVersion.TLSv1_3
    # Certificates are of names, and what we have is an address. Who has one of the fleet's CA is a
    # member, and any member will do.
    made.check_hostname = False
    return made


def _request(
    context: ssl.SSLContext,
    address: str,
    port: int,
    method: str,
    path: str,
    body: bytes,
    timeout: float,
) -> tuple[int, bytes, str]:
    connection = http.client.HTTPSConnection(address, port, timeout=TIMEOUT, context=context)
    try:
        connection.connect()
        sock = connection.sock
        sock.settimeout(timeout)
        name = _name(sock.getpeercert())
        headers = {"Content-Type": "application/json"} if body else {}
        connection.request(method, path, body or None, headers)
        response = connection.getresponse()
        answer = response.read(LONGEST + 1)
        if len(answer) > LONGEST:
            raise http.client.HTTPException("an answer without end")
        return response.status, answer, name
    except (OSError, http.client.HTTPException) as error:
        raise _told(error, address, port) from error
    finally:
        connection.close()


def _name(certificate: Any) -> str:
    pairs = (certificate or {}).get("subjectAltName", ())
    return next((str(value) for kind, value in pairs if kind == "DNS"), "")


def _place(address: str, port: int) -> str:
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


def _told(error: Exception, address: str, port: int) -> ClusterError:
    where = f"cannot reach {_place(address, port)}"
    if isinstance(error, ssl.SSLCertVerificationError):
        if error.verify_code in (NOT_YET, EXPIRED):
            ended = "has ended" if error.verify_code == EXPIRED else "has not begun"
            return ClusterError(
                f"{where}: its certificate {ended}, by this host's clock, which says {clock()}; if "
                "that is wrong set it (timedatectl set-ntp true), else see `nodeorch doctor` there",
                "Clock",
            )
        return ClusterError(
            f"{where}: its certificate is not of this fleet's CA ({error.verify_message}); another "
            "machine has that address, or somebody sits in between",
            "WrongFleet",
        )
    if isinstance(error, TimeoutError):
        why = (
            f"no answer within {TIMEOUT:.0f} s; see that TCP port {port} is open between the hosts"
        )
    elif isinstance(error, ConnectionRefusedError):
        why = "nobody listens there; see that nodeorchd runs there and is in the fleet"
    elif isinstance(error, socket.gaierror):
        why = "there is no host of that name; use an IP address"
    elif isinstance(error, ssl.SSLError | http.client.HTTPException):
        why = f"what answers is no nodeorchd of a fleet ({error}); check address and port"
    else:
        why = f"{(getattr(error, 'strerror', '') or str(error)).lower()}; check the network"
    return ClusterError(f"{where}: {why}", "Unreachable")
