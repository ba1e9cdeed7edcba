"""nodeorch delete"""

from __future__ import annotations

import click

from nodeorch.cli.args import NAME, dry_run, waiting
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
    from nodeorch.cli import render

    for name in names:
        view = session.client.delete(f"/v1/workloads/{name}", {"dry_run": dry_run})
        if session.json:
            session.print_line(view)
        else:
            render.mutation(view)
        if wait and not dry_run:
            from nodeorch.cli.follow import until_done

            until_done(session, view["change"], timeout)
