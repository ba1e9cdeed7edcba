"""nodeorch why"""

from __future__ import annotations

import click

from nodeorch.cli.args import NAME, Whole
from nodeorch.cli.session import Session, pass_session


@click.command("why")
@click.argument("name", type=NAME)
@click.option("--last", type=Whole(1, 10000), default=50, show_default=True)
@pass_session
def command(session: Session, name: str, last: int) -> None:
    """Explain a workload: what was seen, decided and done."""
    view = session.client.get(f"/v1/workloads/{name}/why", {"last": last})
    if session.json:
        session.print_json(view)
        return
    from nodeorch.cli import render

    render.why(name, view)
