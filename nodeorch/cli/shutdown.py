"""nodeorch shutdown, for the unit that runs when the host goes down"""

from __future__ import annotations

import click

from nodeorch.cli.args import DURATION, dry_run
from nodeorch.cli.session import Session, pass_session


@click.command("shutdown", hidden=True)
@click.option("--timeout", type=DURATION, default="90s", show_default=True)
@dry_run
@pass_session
def command(session: Session, timeout: float, dry_run: bool) -> None:
    """Stop all workloads, dependents first, and return when they have stopped."""
    from nodeorch.cli import render

    query = {"timeout": timeout, "dry_run": dry_run}
    view = session.client.post("/v1/shutdown", None, query, timeout=timeout + 30.0)
    if session.json:
        session.print_json(view)
    else:
        render.mutation(view)
