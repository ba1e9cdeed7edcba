"""nodeorch start"""

from __future__ import annotations

import click

from nodeorch.cli.args import NAME, dry_run, waiting
from nodeorch.cli.operate import operate
from nodeorch.cli.session import Session, pass_session


@click.command("start")
@click.argument("names", type=NAME, nargs=-1, required=True, metavar="NAME...")
@dry_run
@waiting
@pass_session
def command(
    session: Session, names: tuple[str, ...], dry_run: bool, wait: bool, timeout: float
) -> None:
    """Start stopped workloads; try failing ones again now."""
    goal = "ready" if wait else None
    for name in names:
        operate(session, name, "start", dry_run=dry_run, goal=goal, timeout=timeout)
