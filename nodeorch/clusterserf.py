"""The content of Serf's own files: its configuration, and the ring of its encryption keys.

Both hold secrets: they are for files of mode 0600, and never for a command line. The options are
those of Serf 0.9.4, which refuses a file with one that it does not know:
https://github.com/hashicorp/serf/blob/v0.9.4/cmd/serf/command/agent/config.go
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from ipaddress import ip_address

import msgspec

PORT = 7946
"""Of the gossip, TCP and UDP."""
RPC = "127.0.0.1:7373"
KEY_BYTES = 32
"""Of an encryption key: AES-256."""


def endpoint(address: str, port: int = PORT) -> str:
    """An IP address and a port as Serf reads them. Raises ValueError for what is no address."""
    return f"[{address}]:{port}" if ip_address(address).version == 6 else f"{address}:{port}"


def serf_config(
    name: str,
    address: str,
    port: int = PORT,
    *,
    rpc: str = RPC,
    rpc_key: str,
    keyring_file: str,
    snapshot: str,
    peers: Sequence[str] = (),
) -> bytes:
    """The configuration of a host's agent, as JSON. Raises ValueError.

    ``peers``: IP addresses of other hosts, that use the same port, or endpoints; to join again and
    again until one answers. As many as are known: the snapshot of a killed agent may name nobody.
    """
    if not rpc_key:
        raise ValueError("cannot configure Serf: the key of its RPC is empty; make a random one")
    here = endpoint(address, port)
    return _document(
        {
            "node_name": name,
            "bind": here,
            "advertise": here,
            "keyring_file": keyring_file,
            "rpc_addr": rpc,
            # Without it any local user can read the encryption keys.
            "rpc_auth": rpc_key,
            # The only one that loses no messages under load; intervals cannot be set one by one.
            "profile": "lan",
            "retry_join": [_peer(peer, port) for peer in peers],
            "retry_interval": "5s",
            "rejoin_after_leave": True,
            # The default of 30 s is how long a healed network is not noticed.
            "reconnect_interval": "5s",
            "reconnect_timeout": "72h",
            "snapshot_path": snapshot,
            # A stopped unit is no farewell: that is said by the RPC, by `cluster leave`.
            "leave_on_terminate": False,
            "skip_leave_on_interrupt": True,
            "disable_coordinates": True,
            # "info" has a line for each try to reach a failed host, each 5 s for 72 h.
            "log_level": "warn",
        }
    )


def keyring(keys: Sequence[str]) -> bytes:
    """The ring as JSON; the first key encrypts, all of them decrypt. Base64 of 32 bytes each.

    Raises ValueError, without the key in its words.
    """
    if not keys:
        raise ValueError("cannot make a keyring: it has no key; gossip is always encrypted")
    for key in keys:
        try:
            raw = base64.b64decode(key, validate=True)
        except (binascii.Error, ValueError):
            raw = b""
        if len(raw) != KEY_BYTES:
            raise ValueError(
                f"cannot make a keyring: a key is not base64 of {KEY_BYTES} bytes;"
                " make one with `openssl rand -base64 32`"
            )
    return _document(list(keys))


def _peer(peer: str, port: int) -> str:
    """Serf takes a bare IPv6 address for one with a port."""
    try:
        return endpoint(peer, port)
    except ValueError:
        return peer


def _document(content: object) -> bytes:
    return msgspec.json.format(msgspec.json.encode(content), indent=2) + b"\n"
