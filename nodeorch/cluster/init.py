"""nodeorch cluster init: a fleet of one host, to which others can come."""

from __future__ import annotations

import base64
import os
import secrets
import shutil
import time
from collections.abc import Sequence
from pathlib import Path

from nodeorch.cluster import certs, folder, place
from nodeorch.cluster.errors import ClusterError
from nodeorch.cluster.messages import Signer
from nodeorch.cluster.place import Place
from nodeorch.clusterserf import KEY_BYTES, PORT, keyring, serf_config


class Own(Signer, frozen=True):
    """This host, as it is to be in the fleet."""

    serf_port: int = PORT


def make(config: str, cluster: str, name: str | None, address: str, port: int, serf: int) -> Place:
    """All files of a new fleet. Raises ClusterError, OSError; then there are none."""
    root()
    here = place.alone(config)
    me = Own(place.own_name(here, name), place.own_address(address), port, serf)
    text = place.drop_in(here, cluster, me.name, me.address, port, {})
    now = time.time()
    ca_key, ca = certs.authority(cluster, now)
    key, csr = certs.request(me.name)
    with folder.prepared(here.files) as new:
        folder.write(new / folder.CA_KEY, ca_key)
        fill(here, new, me, key, certs.sign(ca_key, ca, csr, me.name, now), ca)
        folder.write(new / folder.RING, keyring([new_key()]))
    enlist(here, text)
    return here


def root() -> None:
    if os.geteuid() != 0:
        raise ClusterError("cannot do that: it writes below /etc/nodeorch; be root", "NotRoot")


def fill(
    here: Place,
    new: Path,
    me: Own,
    key: bytes,
    certificate: bytes,
    ca: bytes,
    peers: Sequence[str] = (),
) -> None:
    """What each host of a fleet has. Raises OSError."""
    rpc_key = secrets.token_urlsafe(32)
    config = serf_config(
        me.name,
        me.address,
        me.serf_port,
        rpc=here.settings.cluster.serf,
        rpc_key=rpc_key,
        keyring_file=str(here.files / folder.RING),
        snapshot=str(here.snapshot),
        peers=peers,
    )
    for name, content in {
        folder.CA: ca,
        folder.RPC_KEY: rpc_key.encode(),
        folder.SERF: config,
    }.items():
        folder.write(new / name, content)
    folder.write_pair(new, key, certificate)
    here.snapshot.parent.mkdir(mode=0o700, parents=True, exist_ok=True)


def enlist(here: Place, text: str) -> None:
    """Last, the file that makes this host a member. Raises OSError; then its folder is gone too."""
    try:
        here.drop_in.parent.mkdir(mode=0o755, exist_ok=True)
        folder.write(here.drop_in, text, 0o644)
    except OSError:
        shutil.rmtree(here.files, ignore_errors=True)
        raise


def new_key() -> str:
    """Of the gossip."""
    return base64.b64encode(secrets.token_bytes(KEY_BYTES)).decode()
