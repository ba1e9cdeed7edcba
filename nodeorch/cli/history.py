"""nodeorch history"""

from __future__ import annotations

import click

from nodeorch.cli.args import NAME
from nodeorch.cli.session import Session, pass_session


@click.command("history")
@click.argument("name", type=NAME)
@pass_session
def command(session: Session, name: str) -> None:
    """Show a workload's generations, newest first."""
    views = session.client.get(f"/v1/workloads/{name}/history")
    if session.json:
        session.print_json(views)
        return
    from nodeorch.cli import render

    render.generations(views)
