"""Where a daemon's fleet is: its settings, its folder, the file that makes it a member."""

from __future__ import annotations

import glob
import os
import socket
from collections.abc import Sequence
from ipaddress import ip_address
from pathlib import Path

import tomli_w
from msgspec import Struct

from nodeorch.cluster import folder
from nodeorch.cluster.errors import ClusterError
from nodeorch.files import Unreadable, read_regular
from nodeorch.spec.load import SIZE_LIMIT
from nodeorch.spec.names import is_name
from nodeorch.spec.problems import errors
from nodeorch.spec.settings import Settings, load_settings

DEFAULT = "/etc/nodeorch/nodeorch.toml"
DROP_IN = "50-cluster.toml"
HEAD = "# Written by `nodeorch cluster`; `nodeorch cluster leave` removes it.\n\n"


class Place(Struct, frozen=True):
    config: Path
    settings: Settings
    texts: tuple[tuple[str, bytes | str], ...]
    """(file, content) of all of the configuration."""

    @property
    def files(self) -> Path:
        return Path(self.settings.cluster.files)

    @property
    def drop_in(self) -> Path:
        return self.config.parent / "nodeorch.d" / DROP_IN

    @property
    def snapshot(self) -> Path:
        """Of Serf: beside the daemon's state, for the agent is another unit."""
        return Path(f"{self.settings.paths.state}-serf") / "snapshot"

    @property
    def usual(self) -> bool:
        """It is the daemon that systemd runs."""
        return str(self.config) == DEFAULT


def find(config: str) -> Place:
    """Raises ClusterError for a configuration that cannot be read, or that is wrong."""
    names = [config, *sorted(glob.glob(os.path.join(os.path.dirname(config), "nodeorch.d/*.toml")))]
    try:
        texts = [(name, read_regular(name, SIZE_LIMIT)) for name in names]
    except Unreadable as error:
        raise ClusterError(str(error)) from error
    return Place(Path(os.path.abspath(config)), _loaded(texts), tuple(texts))


def member(config: str) -> Place:
    """Of a host that is in a fleet. Raises ClusterError."""
    found = find(config)
    if found.settings.cluster.name is None:
        raise ClusterError(
            "cannot do that: this host is in no fleet; `nodeorch cluster init` makes one, "
            "`nodeorch cluster join` lets it into one",
            "NoFleet",
        )
    return found


def alone(config: str) -> Place:
    """Of a host that is in none. Raises ClusterError."""
    found = find(config)
    if found.settings.cluster.name is not None:
        raise ClusterError(
            f"cannot do that: this host is in the fleet {found.settings.cluster.name} already; "
            "`nodeorch cluster leave` comes first",
            "InFleet",
        )
    if not folder.empty(found.files):
        raise ClusterError(
            f"cannot do that: {found.files} holds the files of a fleet; move it away if they are "
            "of no use any more",
            "InFleet",
        )
    return found


def own_name(place: Place, given: str | None) -> str:
    """Of this node. Raises ClusterError."""
    name = given or place.settings.node.name or socket.gethostname().partition(".")[0].lower()
    if not is_name(name) or name == "localhost":
        raise ClusterError(
            f"cannot use {name!a} as this node's name: it is for lower-case letters, digits and -, "
            "63 at most, and its own; use --name"
        )
    return name


def own_address(text: str) -> str:
    """An IP address of this host, as others write it. Raises ClusterError."""
    try:
        address = ip_address(text)
        family = socket.AF_INET if address.version == 4 else socket.AF_INET6
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.bind((str(address), 0))
    except ValueError as error:
        raise ClusterError(
            f"cannot use {text!a}: it is not an IP address; write 10.0.0.5"
        ) from error
    except OSError as error:
        raise ClusterError(
            f"cannot use {text}: no interface of this host has it; see `ip -brief address`"
        ) from error
    return str(address)


def drop_in(
    place: Place, cluster: str, name: str, address: str, port: int, labels: dict[str, list[str]]
) -> str:
    """The text that makes this host a member. Raises ClusterError where it does not fit."""
    about: dict[str, object] = {
        "name": cluster,
        "address": address,
        "port": port,
        "files": str(place.files),
    }
    if labels and not place.settings.cluster.labels:
        about["labels"] = labels
    text = HEAD + tomli_w.dumps({"node": {"name": name}, "cluster": about})
    later = [
        each for each in place.texts if Path(each[0]).name > DROP_IN and each != place.texts[0]
    ]
    before = [each for each in place.texts if each not in later]
    made = _loaded([*before, (str(place.drop_in), text), *later])
    if (made.node.name, made.cluster.name, made.cluster.address) != (name, cluster, address):
        raise ClusterError(
            f"cannot write {place.drop_in}: a file after it says otherwise; see [node] and "
            f"[cluster] in {', '.join(file for file, _ in later)}"
        )
    return text


def _loaded(texts: Sequence[tuple[str, bytes | str]]) -> Settings:
    found, problems = load_settings(texts)
    if found is None:
        said = "\n".join(problem.brief() for problem in errors(problems))
        raise ClusterError(f"cannot read the configuration: it is wrong; correct it:\n{said}")
    return found
