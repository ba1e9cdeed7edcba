"""The node's key, and the seals made with it.

A container's labels prove nothing: an image can carry labels too. A seal over the
container's name and serial, made with a key that never leaves this node, does.
"""

from __future__ import annotations

import hashlib
import hmac
import os
from pathlib import Path

from nodeorch.ports import StoreError

KEY_BYTES = 32
SEAL_CHARS = 32


class Seal:
    """HMAC-SHA256 (RFC 2104) with the key in ``STATE_DIR/key``, which is made when absent.

    Raises ports.StoreError when the key can neither be read nor made.
    """

    def __init__(self, state_dir: Path) -> None:
        path = state_dir / "key"
        self.renewed = False
        """A key of a wrong size was set aside and a new one made: old seals hold no more."""
        try:
            state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._key = _read(path)
            if self._key and len(self._key) != KEY_BYTES:
                os.replace(path, path.with_name("key.corrupt"))
                self.renewed = True
            if len(self._key) != KEY_BYTES:
                self._key = _make(path)
        except OSError as error:
            raise StoreError(
                f"cannot read or make the node key {path}: {error.strerror};"
                " make its directory writable for the daemon"
            ) from error

    def seal(self, name: str, serial: int) -> str:
        """32 hex characters that only this node can make for this creation."""
        text = f"{serial}/{name}".encode()
        return hmac.new(self._key, text, hashlib.sha256).hexdigest()[:SEAL_CHARS]

    def verify(self, name: str, serial: int, seal: str) -> bool:
        return hmac.compare_digest(self.seal(name, serial).encode(), seal.encode(errors="replace"))


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return b""


def _make(path: Path) -> bytes:
    """Written aside and renamed, so that a power cut leaves no half a key."""
    key = os.urandom(KEY_BYTES)
    aside = path.with_name("key.new")
    aside.unlink(missing_ok=True)
    fd = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        os.write(fd, key)
        os.fsync(fd)
    finally:
        os.close(fd)
    os.replace(aside, path)
    directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
    return key
