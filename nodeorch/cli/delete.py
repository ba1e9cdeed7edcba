"""nodeorch delete"""

from __future__ import annotations

import click

from nodeorch.cli.args import NAME, dry_run, waiting
from nodeorch.cli.operate import answered
from nodeorch.cli.session import Session, pass_session


@click.command("delete")
@click.argument("names", type=NAME, nargs=-1, required=True, metavar="NAME...")
@dry_run
@waiting
@pass_session
def command(
    session: Session, names: tuple[str, ...], dry_run: bool, wait: bool, timeout: float
) -> None:
    """Remove workloads: their files, then their instances."""
    for name in names:
        view = session.client.delete(f"/v1/workloads/{name}", {"dry_run": dry_run})
        answered(session, view, wait=wait, timeout=timeout)
