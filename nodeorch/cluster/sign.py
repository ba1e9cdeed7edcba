"""Who asks gets a certificate, or why not. Runs on the host that has the CA's key.

What comes from the network is read here, in a process that ends at once, and not in the daemon:
from standard input one line of JSON that the daemon wrote (messages.JoinContext, RenewContext), and
then the body of the request as it came. On standard output: the body of the answer.
"""

from __future__ import annotations

import json
import time
from ipaddress import ip_address
from pathlib import Path
from typing import TypeVar

import msgspec

from nodeorch.cluster import folder, tokens
from nodeorch.cluster.errors import ClusterError
from nodeorch.cluster.messages import (
    LONGEST,
    PROTOCOL,
    JoinAnswer,
    JoinContext,
    JoinRequest,
    Refusal,
    RenewAnswer,
    RenewContext,
    RenewRequest,
    Signer,
)
from nodeorch.spec.names import is_name

_T = TypeVar("_T")


def answered(verb: str, given: bytes) -> bytes:
    """The answer to one request. Raises msgspec.MsgspecError for a context that is none."""
    context, _, body = given.partition(b"\n")
    try:
        if verb == "sign":
            return msgspec.json.encode(joined(msgspec.json.decode(context, type=JoinContext), body))
        return msgspec.json.encode(renewed(msgspec.json.decode(context, type=RenewContext), body))
    except ClusterError as error:
        return msgspec.json.encode(Refusal(str(error), error.code))
    except OSError as error:
        words = f"cannot sign: {(error.strerror or str(error)).lower()}; see the disk of that host"
        return msgspec.json.encode(Refusal(words, "Failed"))


def joined(context: JoinContext, body: bytes) -> JoinAnswer:
    asked = _read(body, JoinRequest)
    files = Path(context.files)
    _signs(files)
    with tokens.alone(files):
        return _joined(context, files, asked, time.time())


def _joined(context: JoinContext, files: Path, asked: JoinRequest, now: float) -> JoinAnswer:
    """Everything is looked at before the token is burnt; then nothing can refuse any more."""
    tokens.check(files, asked.id, asked.secret, now)
    _sound(asked.name, asked.address)
    if asked.name in context.taken or asked.name == context.signer.name:
        raise ClusterError(
            f"cannot join: a host of the fleet {context.cluster} has the name {asked.name}; use "
            f"--name with another one, or first `nodeorch cluster leave {asked.name}` if it is "
            "gone for good",
            "NameTaken",
        )
    ring = json.loads((files / folder.RING).read_text())
    certificate = _signed(files, asked.csr, asked.name, now)
    tokens.hold(files, asked.name, asked.address, now)
    tokens.burn(files, asked.id)
    me = context.signer
    return JoinAnswer(
        certificate=certificate,
        ca=(files / folder.CA).read_text(),
        cluster=context.cluster,
        keyring=ring,
        signer=me,
        serf=_serfs(files, context),
        labels=context.labels,
        hosts={**context.hosts, me.name: (me.address, me.port)},
    )


def renewed(context: RenewContext, body: bytes) -> RenewAnswer:
    asked = _read(body, RenewRequest)
    files = Path(context.files)
    _signs(files)
    certificate = _signed(files, asked.csr, context.host, time.time())
    return RenewAnswer(certificate, (files / folder.CA).read_text())


def _read(body: bytes, kind: type[_T]) -> _T:
    if len(body) > LONGEST:
        raise ClusterError(f"cannot read the request: it is over {LONGEST} bytes", "BadRequest")
    try:
        spoken = msgspec.json.decode(body, type=_Spoken).protocol
        if spoken != PROTOCOL:
            raise ClusterError(
                f"cannot join: this host speaks version {PROTOCOL} of joining, the other one "
                f"{spoken}; install the same nodeorch on both",
                "Version",
            )
        return msgspec.json.decode(body, type=kind)
    except msgspec.MsgspecError as error:
        words = f"cannot read the request: {error}; use `nodeorch cluster`"
        raise ClusterError(words, "BadRequest") from error


class _Spoken(msgspec.Struct):
    protocol: int = 0


def _signs(files: Path) -> None:
    """Raises ClusterError where the CA's key is not, with the host that has it."""
    if (files / folder.CA_KEY).exists():
        return
    try:
        host = msgspec.json.decode((files / folder.SIGNER).read_bytes(), type=Signer)
        other = f"{host.name} has it: ask {host.address}:{host.port}"
    except (OSError, msgspec.MsgspecError):
        other = "ask the host on which the fleet was made"
    raise ClusterError(
        f"cannot sign: this host does not have the key of the fleet's CA; {other}", "NotHere"
    )


def _signed(files: Path, csr: str, name: str, now: float) -> str:
    from nodeorch.cluster import certs  # a bad token is not worth loading it

    key, ca = (files / folder.CA_KEY).read_bytes(), (files / folder.CA).read_bytes()
    return certs.sign(key, ca, csr.encode(), name, now).decode()


def _sound(name: str, text: str) -> None:
    """Raises ClusterError for what is no name, or no address."""
    if not is_name(name):
        raise ClusterError(f"cannot join: {name!a} is no name of a host; use --name", "BadRequest")
    try:
        ip_address(text)
    except ValueError as error:
        words = f"cannot join: {text!a} is not an IP address; use --address with this host's"
        raise ClusterError(words, "BadRequest") from error


def _serfs(files: Path, context: JoinContext) -> list[str]:
    """Of this host as its agent is configured; of the others by their addresses."""
    own = json.loads((files / folder.SERF).read_text())
    others = [
        address for name, (address, _) in context.hosts.items() if name != context.signer.name
    ]
    return [own["advertise"], *others]
