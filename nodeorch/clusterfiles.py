"""What is wrong with the files of a fleet: certificates, keys and Serf's configuration.

`nodeorch check` and the daemon's start ask the same. Only looked at: that certificates fit their
keys is found by whoever loads them.
"""

from __future__ import annotations

import base64
import binascii
import os
import stat
from collections.abc import Iterator
from typing import Any, NamedTuple

import msgspec

from nodeorch.files import Unreadable, read_regular

LIMIT = 1 << 18
"""Bytes of each file."""

PUBLIC = ("ca.crt", "node.crt")
SECRET = ("node.key", "serf.json", "rpc.key")
CA_KEY = "ca.key"
"""Only where others are let in; there it is the most secret of all."""
KEY_LENGTHS = (16, 24, 32)
"""Bytes of Serf's keys: AES-128, -192 and -256."""

_WRITE = stat.S_IWGRP | stat.S_IWOTH
_READ = stat.S_IRGRP | stat.S_IROTH
_ANY = stat.S_IRWXG | stat.S_IRWXO
_NEW_KEYS = "; make new keys if somebody has read it"
_MAKE = "make it by `nodeorch cluster init` or `nodeorch cluster join`"
_MAKE_SERF = "take the serf.json that `nodeorch cluster init` or `join` writes"


class FileProblem(NamedTuple):
    """``str()`` is a sentence."""

    path: str
    code: str
    """Of spec/problems.py."""
    why: str
    fix: str
    unseen: bool = False
    """It may be good: this user may not look at it."""

    def __str__(self) -> str:
        return f"cannot use {self.path}: {self.why}; {self.fix}"


def problems(folder: str) -> list[FileProblem]:
    """Of all files that a host of a fleet needs below ``folder`` ([cluster] files)."""
    found: list[FileProblem] = []
    texts: dict[str, bytes] = {}
    for name in (*PUBLIC, *SECRET):
        path = os.path.join(folder, name)
        read = _read(path, found, secret=name in SECRET)
        if read is not None:
            texts[name] = read
    if os.path.lexists(ca_key := os.path.join(folder, CA_KEY)):
        _read(ca_key, found, secret=True)
    for name in (*PUBLIC, "node.key"):
        if name in texts and b"-----BEGIN " not in texts[name]:
            why = "it holds nothing in PEM"
            found.append(FileProblem(os.path.join(folder, name), "E290", why, _MAKE))
    if "serf.json" in texts:
        found += _serf(folder, texts["serf.json"], texts.get("rpc.key"))
    return found


def _read(path: str, found: list[FileProblem], secret: bool) -> bytes | None:
    """A file's bytes, if it can be read."""
    try:
        content = read_regular(path, LIMIT)
        seen = os.stat(path)
    except OSError as error:
        unseen = isinstance(error.__cause__, PermissionError)
        why = error.why if isinstance(error, Unreadable) else (error.strerror or str(error)).lower()
        found.append(FileProblem(path, "E290", why, "look as root" if unseen else _MAKE, unseen))
        return None
    if secret and seen.st_uid not in (0, os.geteuid()):
        why = f"it belongs to user {seen.st_uid}, who can read it"
        fix = f"chown root {path}; make new keys if that user is not to have them"
        found.append(FileProblem(path, "E291", why, fix))
    elif mode := stat.S_IMODE(seen.st_mode) & (_ANY if secret else _WRITE):
        may = "read" if mode & _READ else "change"
        fix = f"chmod {'0600' if secret else '0644'} {path}" + _NEW_KEYS * (may == "read")
        found.append(FileProblem(path, "E291", f"others may {may} it", fix))
    return content


def _serf(folder: str, text: bytes, rpc_key: bytes | None) -> Iterator[FileProblem]:
    path = os.path.join(folder, "serf.json")
    try:
        config = msgspec.json.decode(text, type=dict[str, Any])
    except (msgspec.DecodeError, ValueError):
        yield FileProblem(path, "E290", "it is not a JSON object", _MAKE_SERF)
        return
    ring, key, auth = (config.get(name) for name in ("keyring_file", "encrypt_key", "rpc_auth"))
    if isinstance(ring, str) and ring:
        yield from _ring(os.path.join(folder, ring))
    elif not _is_key(key):
        why = "without keyring_file or encrypt_key gossip is not encrypted: anybody can join"
        yield FileProblem(path, "E292", why, _MAKE_SERF)
    if not isinstance(auth, str) or not auth:
        why = "without rpc_auth any user of this host can read the fleet's key"
        yield FileProblem(path, "E292", why, _MAKE_SERF)
    elif rpc_key is not None and rpc_key.decode("utf-8", "replace").strip() != auth:
        why = "its rpc_auth is not the key in rpc.key, so Serf would refuse the daemon"
        yield FileProblem(path, "E292", why, "write the same into both")


def _ring(path: str) -> Iterator[FileProblem]:
    found: list[FileProblem] = []
    text = _read(path, found, secret=True)
    yield from found
    if text is None:
        return
    try:
        keys = msgspec.json.decode(text, type=list[Any])
    except (msgspec.DecodeError, ValueError):
        keys = []
    if not keys or not all(map(_is_key, keys)):
        why = "it is not a JSON array of keys (base64 of 16, 24 or 32 bytes)"
        yield FileProblem(path, "E292", why, "restore it, or join the fleet anew")


def _is_key(text: object) -> bool:
    try:
        raw = base64.b64decode(text, validate=True) if isinstance(text, str) else b""
    except (binascii.Error, ValueError):
        return False
    return len(raw) in KEY_LENGTHS
