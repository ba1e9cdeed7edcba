"""nodeorch home"""

from __future__ import annotations

import click

from nodeorch.cli.args import NAME, dry_run
from nodeorch.cli.session import Session, pass_session


@click.group("home")
def command() -> None:
    """Which host declares a workload: its home, the only one that can change it."""


@command.command("list")
@pass_session
def show(session: Session) -> None:
    """Show each workload that may move or is declared elsewhere, and where it runs."""
    views = session.client.get("/v1/homes")
    if session.json:
        session.print_json(views)
        return
    from nodeorch.cli import render_fleet

    alone = not views and not session.client.get("/v1/node")["fleet"]
    render_fleet.homes(views, alone=alone)


@command.command("take")
@click.argument("name", type=NAME)
@click.option("--force", is_flag=True, help="Also where it is not certain that its home is gone.")
@dry_run
@pass_session
def take(session: Session, name: str, force: bool, dry_run: bool) -> None:
    """Make this host the home of a workload whose home is gone for good."""
    body = {"force": force}
    view = session.client.post(f"/v1/homes/{name}/take", body, {"dry_run": dry_run})
    if session.json:
        session.print_json(view)
        return
    from nodeorch.cli import render_fleet

    render_fleet.said(view)
