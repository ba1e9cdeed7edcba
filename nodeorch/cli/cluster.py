"""nodeorch cluster"""

from __future__ import annotations

from typing import Any

import click

from nodeorch.cli import cluster_rotate
from nodeorch.cli.args import DURATION, NAME
from nodeorch.cli.cluster_args import AT, config_option, own_options, said, socket_of
from nodeorch.cli.session import Session, pass_session


class Told(click.Group):
    """Tells what cannot be done as the other verbs do."""

    def invoke(self, ctx: click.Context) -> Any:
        from nodeorch.cluster.errors import ClusterError

        try:
            return super().invoke(ctx)
        except ClusterError as error:
            from nodeorch.cli.render import clean

            lines = str(error).split("\n")
            raise click.ClickException("\n".join(map(clean, lines))) from error
        except BrokenPipeError:
            raise
        except OSError as error:
            words = (error.strerror or str(error)).lower()
            file = error.filename or "the files of the fleet"
            raise click.ClickException(
                f"cannot read or write {file}: {words}; nothing was changed by half: call it again"
            ) from error


@click.group("cluster", cls=Told)
def command() -> None:
    """Make a fleet of hosts, join it, leave it, change its keys."""


@command.command("init")
@click.argument("name", type=NAME, default="fleet", metavar="[NAME]")
@own_options
@pass_session
def init(
    session: Session,
    name: str,
    address: str,
    node: str | None,
    port: int,
    serf_port: int,
    config: str,
) -> None:
    """Make a fleet NAME ("fleet") with this host as its first.

    Its CA's key stays on this host: only here can others join.
    """
    from nodeorch.cluster import init, services

    place = init.make(config, name, node, address, port, serf_port)
    said(
        session,
        f"Made the fleet {name}: certificates, keys and Serf's configuration are in {place.files}.",
        *services.begin(place),
        f"For the next host: nodeorch cluster token; there: nodeorch cluster join TOKEN {address}",
        f"Keep a copy of {place.files}/ca.key where it is safe: without it no host can join.",
    )


@command.command("token")
@click.option("--valid", type=DURATION, default="1h", show_default=True, help="So long.")
@config_option
@pass_session
def token(session: Session, valid: float, config: str) -> None:
    """Print a token with which one host can join, once."""
    import time

    from nodeorch.cluster import folder, place, tokens
    from nodeorch.cluster.errors import ClusterError
    from nodeorch.cluster.token import fingerprint, write

    here = place.member(config)
    if not (here.files / folder.CA_KEY).exists():
        raise ClusterError(
            "cannot make a token: this host does not have the key of the fleet's CA, or you may "
            "not see it; call it as root on the host that made the fleet, named in "
            f"{here.files}/signer.json",
            "NotHere",
        )
    cluster = str(here.settings.cluster.name)
    mark = fingerprint((here.files / folder.CA).read_text())
    made = tokens.make(here.files, cluster, mark, valid, time.time())
    if session.json:
        session.print_json({"token": write(made), "cluster": cluster, "ends": made.ends})
    else:
        click.echo(write(made))


@command.command("join")
@click.argument("token", metavar="TOKEN")
@click.argument("at", type=AT, metavar="ADDRESS[:PORT]")
@own_options
@pass_session
def join(
    session: Session,
    token: str,
    at: tuple[str, int],
    address: str,
    node: str | None,
    port: int,
    serf_port: int,
    config: str,
) -> None:
    """Let this host into a fleet, of which ADDRESS is the host that printed the TOKEN.

    A TOKEN of "-" is read from standard input.
    """
    import sys

    from nodeorch.cluster import join as joining
    from nodeorch.cluster import services

    given = sys.stdin.readline() if token == "-" else token
    place, answer = joining.join(config, given, at, node, address, port, serf_port)
    said(
        session,
        f"Joined the fleet {answer.cluster}, with {', '.join(sorted(answer.hosts))}. The files are "
        f"in {place.files}.",
        *services.begin(place),
    )


@command.command("leave")
@click.argument("host", type=NAME, required=False, metavar="[HOST]")
@click.option("--force", is_flag=True, help="Also when it cannot be told to anybody.")
@config_option
@pass_session
def leave(session: Session, host: str | None, force: bool, config: str) -> None:
    """Take this host out of its fleet, or HOST, that is gone for good.

    Containers run on. Files of the fleet are set aside, not removed.
    """
    from nodeorch.client.unix import Client, ClientError
    from nodeorch.cluster import place, services
    from nodeorch.cluster.errors import ClusterError
    from nodeorch.cluster.init import root
    from nodeorch.cluster.leave import forget, last_signer

    here = place.member(config)
    client = Client(socket_of(session, here))
    if host is not None and host != here.settings.node.name:
        said(session, str(client.post("/v1/cluster/leave", {"host": host})["words"]))
        return
    root()
    if last_signer(here) and not force:
        raise ClusterError(
            f"cannot leave: this host has the key of the fleet's CA, {here.files}/ca.key, and "
            "without it no host can join or renew its certificate; copy it to another host's "
            "folder first, then use --force",
            "LastSigner",
        )
    try:
        client.post("/v1/cluster/leave", {})
        told = []
    except ClientError as error:
        if not force:
            raise
        told = [f"Nobody was told: {error}"]
    aside = forget(here)
    said(session, *told, f"Left the fleet. Its files are in {aside}.", *services.end(here))


command.add_command(cluster_rotate.command)
