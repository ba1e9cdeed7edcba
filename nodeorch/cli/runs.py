"""nodeorch runs"""

from __future__ import annotations

import click

from nodeorch.cli.args import NAME
from nodeorch.cli.session import Session, pass_session


@click.command("runs")
@click.argument("name", type=NAME, metavar="JOB")
@pass_session
def command(session: Session, name: str) -> None:
    """Show a job's runs, newest first."""
    views = session.client.get(f"/v1/workloads/{name}/runs")
    if session.json:
        session.print_json(views)
        return
    from nodeorch.cli.render_runs import runs

    runs(views)
