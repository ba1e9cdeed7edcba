"""nodeorch cp"""

from __future__ import annotations

import http.client
import os
import posixpath
import re
import sys
import tarfile
from collections.abc import Callable
from typing import Any, NamedTuple

import click

from nodeorch.cli.args import TARGET, dry_run
from nodeorch.cli.session import Session, pass_session
from nodeorch.model import copying

PIECE = 64 * 1024
SHOWN = 20
"""Members left out that are told one by one."""


class Inside(NamedTuple):
    """NAME:PATH"""

    name: str
    instance: str | None
    path: str
    into: bool
    """It was written with a slash at its end: it has to be a directory."""

    def url(self, verb: str) -> str:
        return f"/v1/workloads/{self.name}/{verb}"

    def query(self, dry_run: bool = False) -> dict[str, Any]:
        return {"path": self.path, "instance": self.instance, "dry_run": dry_run or None}


@click.command("cp")
@dry_run
@click.argument("source", metavar="SRC")
@click.argument("target", metavar="DST")
@pass_session
def command(session: Session, dry_run: bool, source: str, target: str) -> int:
    """Copy a file or a directory into an instance, or out of it.

    One of SRC and DST is NAME:PATH or INSTANCE:PATH; the other is a local path, or - for a tar on
    stdin or stdout.
    """
    there, back = _inside(source), _inside(target)
    if (there is None) == (back is None):
        raise click.UsageError("one of the two has to be NAME:PATH, the other not")
    if there is not None:
        return _out(session, there, target, dry_run)
    assert back is not None
    return _into(session, source, back, dry_run)


def _inside(text: str) -> Inside | None:
    """None: it is a local path. A local one that looks like NAME:PATH is written ./NAME:PATH."""
    found = re.fullmatch(r"([a-z0-9][-a-z0-9.]*):(.+)", text, re.DOTALL)
    if not found:
        return None
    name, instance = TARGET.convert(found[1], None, None)
    path = posixpath.normpath("/" + found[2].lstrip("/"))
    return Inside(name, instance, path, into=found[2].endswith("/"))


# out of an instance


def _out(session: Session, source: Inside, target: str, dry_run: bool) -> int:
    from nodeorch.client.unix import ClientError

    seen = session.client.post(source.url("copy-out"), {}, source.query(dry_run=True))
    where = f"{seen['instance']}:{seen['path']}"
    if not seen["exists"]:
        raise ClientError(f"cannot copy from {source.name}: there is no {where}")
    pinned = source._replace(instance=seen["instance"])
    if target == "-":
        if os.isatty(1):
            raise click.UsageError("a tar is nothing for a terminal; send it somewhere: cp … - | …")
        return _tell(session, f"{where} to stdout") if dry_run else _spill(session, pinned)
    folder, name = _place(source, target, bool(seen["directory"]))
    if dry_run:
        return _tell(session, f"{where} to {os.path.join(folder, name)}")
    return _unpack(session, pinned, folder, name)


def _place(source: Inside, target: str, directory: bool) -> tuple[str, str]:
    """The folder it goes into, and its name there."""
    from nodeorch.client.unix import ClientError

    if os.path.isdir(target):
        folder, name = target, posixpath.basename(source.path)
    else:
        folder, name = os.path.split(target)
        if directory and os.path.lexists(target):
            raise ClientError(f"cannot copy a directory to {target}: it is a file; remove it")
    if not name or not os.path.isdir(folder or "."):
        advice = "make it" if name or not os.path.isdir(target) else "name a path below /"
        raise ClientError(f"cannot copy to {target}: there is no such directory; {advice}")
    return folder or ".", name


def _spill(session: Session, source: Inside) -> int:
    with session.client.download(source.url("copy-out"), source.query()) as answer:
        reader = _Reader(answer)
        while data := reader.read(PIECE):
            sys.stdout.buffer.write(data)
    return 0


def _unpack(session: Session, source: Inside, folder: str, name: str) -> int:
    from nodeorch.cli.render import clean
    from nodeorch.cli.unpack import Unpacker
    from nodeorch.client.unix import ClientError

    try:
        unpacker = Unpacker(folder, name)
        with session.client.download(source.url("copy-out"), source.query()) as answer:
            reader = _Reader(answer)
            unpacker.run(reader)
            while reader.read(PIECE):  # to its end: it may break off there
                pass
    except tarfile.TarError as error:
        raise ClientError(f"cannot unpack {source.path}: {error}") from error
    except OSError as error:
        words = f"cannot write {os.path.join(folder, name)}: {error.strerror}"
        raise ClientError(f"{words}; what was copied so far is there") from error
    for words in unpacker.left_out[:SHOWN]:
        click.echo(f"nodeorch: left out {clean(words)}", err=True)
    if more := unpacker.left_out[SHOWN:]:
        click.echo(f"nodeorch: left out {len(more)} more", err=True)
    return 1 if unpacker.left_out else 0


class _Reader:
    """The answer's bytes. It breaks off in the middle when the engine or the daemon fails."""

    def __init__(self, answer: http.client.HTTPResponse) -> None:
        self._answer = answer
        self._taken = 0

    def read(self, size: int) -> bytes:
        from nodeorch.cli import render
        from nodeorch.client.unix import ClientError, DaemonUnreachable

        try:
            data = self._answer.read(size)
            self._taken += len(data)
            if self._taken <= copying.LARGEST:
                return data
            most = f"cannot go on: one copy takes {render.size(copying.LARGEST)} at most"
            raise ClientError(f"{most}; copy a part at a time, or mount a volume")
        except (http.client.HTTPException, OSError) as error:
            words = "cannot go on: the copy broke off in the middle; see the log of nodeorchd"
            raise DaemonUnreachable(words) from error


# into an instance


def _into(session: Session, source: str, target: Inside, dry_run: bool) -> int:
    from nodeorch.client.unix import ClientError

    if source != "-" and not os.path.exists(source):
        raise ClientError(f"cannot copy {source}: there is no such file")
    folder, name = _place_inside(session, source, target)
    if dry_run:
        end = "" if source == "-" else f"/{name}"
        what = "a tar from stdin" if source == "-" else source
        return _tell(session, f"{what} to {folder.instance}:{folder.path.rstrip('/')}{end}")

    def fill(send: Callable[[bytes], None]) -> None:
        if source == "-":
            while data := os.read(0, PIECE):
                send(data)
        else:
            _pack(source, name, send)

    session.client.upload(folder.url("copy-in"), folder.query(), fill)
    return 0


def _place_inside(session: Session, source: str, target: Inside) -> tuple[Inside, str]:
    """The directory inside, and the name there."""
    from nodeorch.client.unix import ClientError

    def look(at: Inside) -> Any:
        return session.client.upload(at.url("copy-in"), at.query(dry_run=True), lambda send: None)

    seen = look(target)
    pinned = target._replace(instance=seen["instance"])
    where = f"{seen['instance']}:{target.path}"
    if seen["directory"]:
        return pinned, os.path.basename(os.path.abspath(source))
    if source == "-" or target.into:
        raise ClientError(f"cannot copy to {where}: there is no such directory")
    if seen["exists"] and os.path.isdir(source):
        raise ClientError(f"cannot copy a directory to {where}: it is a file")
    folder, name = posixpath.split(target.path)
    above = pinned._replace(path=folder)
    if not look(above)["directory"]:
        raise ClientError(f"cannot copy to {where}: there is no directory {folder}")
    return above, name


def _pack(source: str, name: str, send: Callable[[bytes], None]) -> None:
    """Owned by nobody in particular: inside, files belong to the container's user."""
    from nodeorch.client.unix import ClientError

    class Out:
        def write(self, data: bytes) -> int:
            if data:
                send(data)
            return len(data)

    def anonymous(info: tarfile.TarInfo) -> tarfile.TarInfo | None:
        if not (info.isreg() or info.isdir() or info.issym() or info.islnk()):
            click.echo(f"nodeorch: left out {info.name!a}: it is a device or a pipe", err=True)
            return None
        info.uid = info.gid = 0
        info.uname = info.gname = ""
        return info

    try:
        with tarfile.open(fileobj=Out(), mode="w|", bufsize=PIECE) as tar:  # type: ignore[call-overload]
            tar.add(os.path.realpath(source), arcname=name, filter=anonymous)
    except OSError as error:
        what = error.filename or source
        raise ClientError(f"cannot read {what}: {error.strerror or error}") from error


def _tell(session: Session, words: str) -> int:
    from nodeorch.cli import render

    if session.json:
        session.print_line({"dry_run": True, "words": f"would copy {words}"})
    else:
        render.say(render.clean(f"would copy {words}"))
    return 0
