"""nodeorch cluster rotate"""

from __future__ import annotations

import click

from nodeorch.cli.cluster_args import AT, config_option, said, socket_of
from nodeorch.cli.session import Session, pass_session


@click.group("rotate")
def command() -> None:
    """Change this host's certificate, or the key of the gossip; nothing is restarted."""


@command.command("certificate")
@click.option("--if-due", is_flag=True, help="Only when less than a third of its life is left.")
@click.option("--at", type=AT, metavar="ADDRESS[:PORT]", help="A host that has the CA's key.")
@config_option
@pass_session
def certificate(session: Session, if_due: bool, at: tuple[str, int] | None, config: str) -> None:
    """Get a new key and certificate for this host."""
    import time

    from nodeorch.cluster import services
    from nodeorch.cluster.renew import renew

    done = renew(config, at, if_due)
    if done is None:
        said(session, "The certificate is good for a while yet.")
        return
    place, new = done
    ends = time.strftime("%Y-%m-%d", time.gmtime(new.ends))
    said(
        session,
        f"The new certificate of {new.name} is good until {ends}.",
        services.reread(place),
    )


@command.command("key")
@config_option
@pass_session
def key(session: Session, config: str) -> None:
    """Give all hosts a new encryption key for Serf, and remove the former one.

    Needs all hosts: where one is away it stops before that does harm, and goes on when it is called
    again.
    """
    from nodeorch.client.unix import Client
    from nodeorch.cluster import place, ring
    from nodeorch.cluster.init import root

    root()
    here = place.member(config)
    for words in ring.rotate(here.files, Client(socket_of(session, here))):
        said(session, words)
