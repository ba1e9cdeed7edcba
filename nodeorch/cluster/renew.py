"""nodeorch cluster rotate certificate: a new key and certificate for this host."""

from __future__ import annotations

import time
from pathlib import Path

import msgspec

from nodeorch.cluster import certs, folder, place, reach
from nodeorch.cluster.errors import ClusterError
from nodeorch.cluster.init import root
from nodeorch.cluster.messages import RenewAnswer, RenewRequest, Signer
from nodeorch.cluster.place import Place

DUE = 1 / 3
"""Of its life: a certificate with less left is renewed."""


def renew(
    config: str, at: tuple[str, int] | None, if_due: bool
) -> tuple[Place, certs.About] | None:
    """The new one, or None where it is not due. ``at``: a host with the CA's key; None: the one
    that signed last. Raises ClusterError, OSError; then the former one stays.
    """
    root()
    here = place.member(config)
    files, now = here.files, time.time()
    old = certs.about((files / folder.CERTIFICATE).read_bytes())
    if if_due and old.left(now) > DUE:
        return None
    key, csr = certs.request(old.name)
    if (files / folder.CA_KEY).exists():
        ca_key, ca = (files / folder.CA_KEY).read_bytes(), (files / folder.CA).read_bytes()
        certificate = certs.sign(ca_key, ca, csr, old.name, now)
    else:
        certificate = _asked(files, csr, at)
    new = certs.about(certificate)
    if new.name != old.name or not certs.belongs(
        key, certificate, (files / folder.CA).read_bytes()
    ):
        raise ClusterError(
            "cannot renew the certificate: what came is not what was asked for; see the log of the "
            "host that has the CA's key",
            "BadCertificate",
        )
    folder.write_pair(files, key, certificate)
    return here, new


def _asked(files: Path, csr: bytes, at: tuple[str, int] | None) -> bytes:
    try:
        signer = msgspec.json.decode((files / folder.SIGNER).read_bytes(), type=Signer)
    except (OSError, msgspec.MsgspecError):
        signer = None
    if at is None and signer is None:
        raise ClusterError(
            "cannot renew the certificate: it is not known which host has the CA's key; use --at",
            "NotHere",
        )
    asked = at or (signer.address, signer.port)  # type: ignore[union-attr]
    body = msgspec.json.encode(RenewRequest(csr.decode()))
    pair = (str(files / folder.CERTIFICATE), str(files / folder.KEY))
    ca = (files / folder.CA).read_text()
    answer, name = reach.ask(*asked, "/v1/certificate", body, ca, pair)
    if at is None and signer is not None and name != signer.name:
        raise ClusterError(
            f"cannot renew the certificate: {signer.address} is {name} and not {signer.name}; say "
            "with --at where the host is that has the CA's key",
            "WrongHost",
        )
    folder.write(files / folder.SIGNER, msgspec.json.encode(Signer(name, *asked)))
    return msgspec.json.decode(answer, type=RenewAnswer).certificate.encode()
