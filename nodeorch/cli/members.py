"""nodeorch members"""

from __future__ import annotations

import click

from nodeorch.cli.session import Session, pass_session


@click.command("members")
@pass_session
def command(session: Session) -> None:
    """Show the hosts of the fleet, as this one sees them."""
    views = session.client.get("/v1/members")
    if session.json:
        session.print_json(views)
        return
    from nodeorch.cli import render, render_fleet

    render_fleet.members(views)
    render.troubles(session.client.get("/v1/node")["fleet_warnings"])
