"""The files of a fleet: written all or none, readable by root alone."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

CA, CA_KEY = "ca.crt", "ca.key"
CERTIFICATE, KEY = "node.crt", "node.key"
SERF, RING, RPC_KEY = "serf.json", "keyring.json", "rpc.key"
PAIR = "pair"
"""A symlink to the folder with certificate and key: to change it changes both at once, and neither
a crash nor a reader ever sees one of the former pair beside one of the new."""
SIGNER = "signer.json"
"""Which host has the CA's key; missing on that one."""
TOKENS = "tokens"
NEW = ".nodeorch-new-"


@contextlib.contextmanager
def prepared(target: Path) -> Iterator[Path]:
    """A folder to be filled. It becomes ``target``, missing or empty now, if nothing raises."""
    target.parent.mkdir(parents=True, exist_ok=True)
    made = Path(tempfile.mkdtemp(prefix=NEW, dir=target.parent))  # mode 0700
    try:
        (made / TOKENS).mkdir(mode=0o700)
        yield made
        _sync(made)
        os.rename(made, target)
    except BaseException:
        shutil.rmtree(made, ignore_errors=True)
        raise
    _sync(target.parent)


def write(path: Path, content: bytes | str, mode: int = 0o600) -> None:
    """Whole or not at all, and on the disk when it returns. Raises OSError."""
    data = content.encode() if isinstance(content, str) else content
    handle, name = tempfile.mkstemp(prefix=NEW, dir=path.parent)
    try:
        with open(handle, "wb") as file:
            os.fchmod(handle, mode)
            file.write(data)
            file.flush()
            os.fsync(handle)
        os.replace(name, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(name)
        raise
    _sync(path.parent)


def write_pair(files: Path, key: bytes, certificate: bytes) -> None:
    """This host's key and certificate, both or neither. Raises OSError."""
    made = Path(tempfile.mkdtemp(prefix=f"{PAIR}-", dir=files))
    write(made / KEY, key)
    write(made / CERTIFICATE, certificate)
    link = made.with_name(f"{NEW}{made.name}")
    link.symlink_to(made.name)
    os.replace(link, files / PAIR)
    for name in (KEY, CERTIFICATE):
        if not (files / name).is_symlink():
            (files / name).symlink_to(f"{PAIR}/{name}")
    _sync(files)
    for former in files.glob(f"{PAIR}-*"):
        if former != made:
            shutil.rmtree(former, ignore_errors=True)


def empty(target: Path) -> bool:
    """Whether there is nothing, or an empty folder."""
    try:
        return not any(target.iterdir())
    except FileNotFoundError:
        return True


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
