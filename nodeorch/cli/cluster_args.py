"""What the verbs of ``nodeorch cluster`` share."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

from nodeorch.cli.args import NAME, Whole
from nodeorch.cli.session import DEFAULT_SOCKET, Session

if TYPE_CHECKING:
    from nodeorch.cluster.place import Place

DEFAULT_CONFIG = "/etc/nodeorch/nodeorch.toml"
PORT, SERF_PORT = 7444, 7946

_F = TypeVar("_F", bound=Callable[..., Any])
_AT = re.compile(
    r"\[(?P<six>[0-9a-fA-F:.]+)\](:(?P<p6>\d{1,5}))?|(?P<host>[^:\s]+)(:(?P<p>\d{1,5}))?"
)


class At(click.ParamType):  # type: ignore[type-arg]
    """Another host: (address, port of its peers' API)."""

    name = "address"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, int]:
        text = str(value)
        if text.count(":") > 1 and not text.startswith("["):
            return text, PORT  # IPv6, with no port
        found = _AT.fullmatch(text)
        port = int((found["p6"] or found["p"] or PORT) if found else 0)
        if not found or not 1 <= port <= 65535:
            self.fail(
                f"{text!a} is not an address: write 10.0.0.1, 10.0.0.1:7444 or [fd00::1]:7444"
            )
        return found["six"] or found["host"], port


AT = At()
_PORT = Whole(1, 65535)


def config_option(function: _F) -> _F:
    return click.option(
        "--config",
        default=DEFAULT_CONFIG,
        show_default=True,
        metavar="FILE",
        help="The daemon's configuration.",
    )(function)


def own_options(function: _F) -> _F:
    """How this host is to be in a fleet."""
    function = config_option(function)
    function = click.option(
        "--serf-port",
        type=_PORT,
        default=SERF_PORT,
        show_default=True,
        help="Of Serf, TCP and UDP.",
    )(function)
    function = click.option(
        "--port", type=_PORT, default=PORT, show_default=True, help="TCP, for the other hosts."
    )(function)
    function = click.option(
        "--name", "node", type=NAME, help="This node's name; without it, that of the host."
    )(function)
    return click.option(
        "--address",
        required=True,
        metavar="IP",
        help="This host's address, at which the others reach it.",
    )(function)


def socket_of(session: Session, place: Place) -> str:
    """The daemon's: as it was given, else that of the configuration."""
    return session.socket if session.socket != DEFAULT_SOCKET else place.settings.paths.socket


def said(session: Session, *lines: str) -> None:
    """Tell what was done, and what is to do."""
    from nodeorch.cli.render import clean, say

    if session.json:
        session.print_line({"words": lines})
        return
    for line in lines:
        say(clean(line), now=True)
