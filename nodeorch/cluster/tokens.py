"""Tokens made here. Each is a file named by its id, with a hash of the secret, and is good once.

A token is burnt by a rename, of which the file system lets exactly one succeed. What is burnt stays
for a day, so that a second use is told from a token that nobody made.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import hmac
import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import TypeVar

import msgspec

from nodeorch.cluster import folder
from nodeorch.cluster.errors import ClusterError
from nodeorch.cluster.token import Token

LIMIT = 50
"""Tokens that wait at one time."""
KEPT = 86400.0
"""Seconds for which a used or expired one is remembered."""
LONGEST = 30 * 86400.0
"""Seconds that a token may be good for."""
HELD = 600.0
"""Seconds for which a name belongs to the address that was given it, until its host is seen."""
USED = ".used"
NAME = "name-"
_T = TypeVar("_T")
AGAIN = "make a new one with `nodeorch cluster token`"


class _Kept(msgspec.Struct, frozen=True):
    hash: str
    """SHA-256 of the secret. The secret is 128 random bits: nothing slower is needed."""
    ends: float


class _Held(msgspec.Struct, frozen=True):
    address: str
    since: float


def make(files: Path, cluster: str, fingerprint: bytes, valid: float, now: float) -> Token:
    """A new one, good for ``valid`` seconds. Raises ClusterError, OSError."""
    if not 0 < valid <= LONGEST:
        raise ClusterError(
            f"cannot make a token for {valid:.0f} s: it is good for {LONGEST / 86400:.0f} days at "
            "most; use a shorter --valid"
        )
    made = Token(
        fingerprint, secrets.token_bytes(8), secrets.token_bytes(16), int(now + valid), cluster
    )
    place = files / folder.TOKENS
    with alone(files):
        sweep(place, now)
        if sum(path.name.isalnum() for path in place.iterdir()) >= LIMIT:
            raise ClusterError(
                f"cannot make a token: {LIMIT} wait for their use already; use one of them, or "
                f"remove those in {place}"
            )
        kept = _Kept(_hash(made.secret), float(made.ends))
        folder.write(place / made.id.hex(), msgspec.json.encode(kept))
    return made


@contextlib.contextmanager
def alone(files: Path) -> Iterator[None]:
    """One at a time looks and then acts. Raises OSError."""
    handle = os.open(files / folder.TOKENS, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def check(files: Path, identity: str, secret: str, now: float) -> None:
    """Raises ClusterError unless that token may be used now."""
    place = files / folder.TOKENS
    burnt = (place / (identity + USED)).exists()
    kept = _read(place / (identity + (USED if burnt else "")), _Kept)
    if kept is None or not hmac.compare_digest(kept.hash, _hash(bytes.fromhex(secret))):
        raise ClusterError(f"cannot join: the token is not known here; {AGAIN}", "TokenUnknown")
    if burnt:
        raise _used()
    if kept.ends < now:
        raise ClusterError(
            f"cannot join: the token has expired {_ago(now - kept.ends)} ago; {AGAIN}",
            "TokenExpired",
        )


def burn(files: Path, identity: str) -> None:
    """Raises ClusterError where somebody else was faster."""
    path = files / folder.TOKENS / identity
    try:
        os.rename(path, f"{path}{USED}")
    except FileNotFoundError:
        raise _used() from None


def hold(files: Path, name: str, address: str, now: float) -> None:
    """Keep a name for who was given it: until its host is seen, no other token gets it.

    Raises ClusterError where another address has it.
    """
    path = files / folder.TOKENS / f"{NAME}{name}"
    held = _read(path, _Held)
    if held is not None and held.address != address and now - held.since < HELD:
        raise ClusterError(
            f"cannot join: a host at {held.address} was given the name {name} a moment ago; use "
            "--name with another one",
            "NameTaken",
        )
    folder.write(path, msgspec.json.encode(_Held(address, now)))


def sweep(place: Path, now: float) -> None:
    """Forget what is of no use any more."""
    for path in place.iterdir():
        with contextlib.suppress(OSError):
            if path.name.startswith(NAME):
                held = _read(path, _Held)
                gone = held is None or now - held.since > HELD
            else:
                kept = _read(path, _Kept)
                gone = kept is None or now - kept.ends > KEPT
            if gone:
                path.unlink()


def _read(path: Path, kind: type[_T]) -> _T | None:
    try:
        return msgspec.json.decode(path.read_bytes(), type=kind)
    except (FileNotFoundError, msgspec.MsgspecError):
        return None


def _hash(secret: bytes) -> str:
    return hashlib.sha256(secret).hexdigest()


def _used() -> ClusterError:
    words = f"cannot join: the token has been used, and each is good once; {AGAIN}"
    return ClusterError(words, "TokenUsed")


def _ago(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} minutes"
