"""nodeorch status"""

from __future__ import annotations

import click

from nodeorch.cli.args import NAME
from nodeorch.cli.session import Session, pass_session


@click.command("status")
@click.argument("name", type=NAME, required=False)
@pass_session
def command(session: Session, name: str | None) -> None:
    """Show all workloads, or one with its instances and probes."""
    views = session.client.get("/v1/status", {"name": name})
    if session.json:
        session.print_json(views)
        return
    from nodeorch.cli import render

    node = session.client.get("/v1/node")
    if name is None:
        render.workloads(views, fleet=bool(node["fleet"]))
    else:
        render.workload(views[0])
    render.node_troubles(node)
