"""nodeorch scale"""

from __future__ import annotations

import click

from nodeorch.cli.args import NAME, Whole, dry_run, waiting
from nodeorch.cli.operate import operate
from nodeorch.cli.session import Session, pass_session


@click.command("scale")
@click.argument("name", type=NAME)
@click.argument("replicas", type=Whole(0, 1000))
@dry_run
@waiting
@pass_session
def command(
    session: Session, name: str, replicas: int, dry_run: bool, wait: bool, timeout: float
) -> None:
    """Run so many replicas of a workload, until its file changes."""
    body = {"replicas": replicas}
    operate(session, name, "scale", body, dry_run=dry_run, wait=wait, timeout=timeout)
