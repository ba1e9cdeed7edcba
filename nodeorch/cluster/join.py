"""nodeorch cluster join: this host comes into a fleet."""

from __future__ import annotations

import time

import msgspec

from nodeorch.cluster import certs, folder, place, reach, token
from nodeorch.cluster.errors import ClusterError
from nodeorch.cluster.init import Own, enlist, fill, root
from nodeorch.cluster.messages import JoinAnswer, JoinRequest
from nodeorch.cluster.place import Place
from nodeorch.clusterserf import keyring


def join(
    config: str,
    text: str,
    at: tuple[str, int],
    name: str | None,
    address: str,
    port: int,
    serf: int,
) -> tuple[Place, JoinAnswer]:
    """All files of a host that was let in. ``at``: address and port of a host of the fleet that has
    the CA's key. Raises ClusterError, OSError; then there are none.

    What can be looked at here is looked at before the token is shown to anybody: it is good once.
    """
    root()
    here = place.alone(config)
    given = token.read(text)
    if given.ends < time.time():
        ended = reach.clock(given.ends)
        raise ClusterError(
            f"cannot join: the token was good until {ended}; make a new one with `nodeorch cluster "
            "token`, or set this host's clock if that is wrong",
            "TokenExpired",
        )
    me = Own(place.own_name(here, name), place.own_address(address), port, serf)
    place.drop_in(here, given.cluster, me.name, me.address, port, {})
    key, csr = certs.request(me.name)
    asked = JoinRequest(given.id.hex(), given.secret.hex(), me.name, me.address, port, csr.decode())
    with folder.prepared(here.files) as new:
        ca = reach.unverified_ca(*at, given.fingerprint)
        answer = _asked(at, asked, ca)
        _sound(answer, key, ca, me.name)
        fill(here, new, me, key, answer.certificate.encode(), ca.encode(), answer.serf)
        folder.write(new / folder.RING, keyring(answer.keyring))
        folder.write(new / folder.SIGNER, msgspec.json.encode(answer.signer))
    enlist(here, place.drop_in(here, answer.cluster, me.name, me.address, port, answer.labels))
    return here, answer


def _asked(at: tuple[str, int], asked: JoinRequest, ca: str) -> JoinAnswer:
    body, name = reach.ask(*at, "/v1/join", msgspec.json.encode(asked), ca)
    try:
        return msgspec.json.decode(body, type=JoinAnswer)
    except msgspec.MsgspecError as error:
        words = f"cannot use the answer of {name}: {error}; install the same nodeorch on both hosts"
        raise ClusterError(words, "Version") from error


def _sound(answer: JoinAnswer, key: bytes, ca: str, name: str) -> None:
    """Raises ClusterError unless the certificate is ours, of that CA, and good now."""
    about = certs.about(answer.certificate.encode())
    if about.name != name or not certs.belongs(key, answer.certificate.encode(), ca.encode()):
        raise ClusterError(
            "cannot join: the certificate that came is not the one that was asked for; see the log "
            f"of {answer.signer.name}",
            "BadCertificate",
        )
    now = time.time()
    if not about.begins <= now < about.ends:
        raise ClusterError(
            f"cannot join: by this host's clock, which says {reach.clock()}, the new certificate "
            "is not valid now; set the clock (timedatectl set-ntp true), then use a new token",
            "Clock",
        )
