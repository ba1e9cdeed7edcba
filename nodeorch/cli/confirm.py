"""nodeorch confirm"""

from __future__ import annotations

import click

from nodeorch.cli.args import dry_run
from nodeorch.cli.session import Session, pass_session


@click.command("confirm")
@dry_run
@pass_session
def command(session: Session, dry_run: bool) -> None:
    """Carry out a deletion of many workloads that is held."""
    from nodeorch.cli import render

    view = session.client.post("/v1/confirm", None, {"dry_run": dry_run})
    if session.json:
        session.print_json(view)
    else:
        render.mutation(view)
