"""nodeorch wait"""

from __future__ import annotations

import click

from nodeorch.cli.args import DURATION, NAME
from nodeorch.cli.session import Session, pass_session


@click.command("wait")
@click.argument("name", type=NAME)
@click.option(
    "--for",
    "goal",
    type=click.Choice(["ready", "stopped", "gone"]),
    default="ready",
    show_default=True,
)
@click.option("--timeout", type=DURATION, default="30s", show_default=True)
@pass_session
def command(session: Session, name: str, goal: str, timeout: float) -> None:
    """Wait until a workload is ready, stopped or gone. Exits 75 when it is not in time."""
    from nodeorch.cli.follow import until

    views = until(session, name, goal, timeout)
    if session.json:
        session.print_json(views)
