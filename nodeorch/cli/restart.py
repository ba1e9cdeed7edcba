"""nodeorch restart"""

from __future__ import annotations

import click

from nodeorch.cli.args import NAME, dry_run, waiting
from nodeorch.cli.operate import operate
from nodeorch.cli.session import Session, pass_session


@click.command("restart")
@click.argument("names", type=NAME, nargs=-1, required=True, metavar="NAME...")
@dry_run
@waiting
@pass_session
def command(
    session: Session, names: tuple[str, ...], dry_run: bool, wait: bool, timeout: float
) -> None:
    """Stop and start the instances of workloads."""
    goal = "ready" if wait else None
    for name in names:
        operate(session, name, "restart", dry_run=dry_run, goal=goal, timeout=timeout)
