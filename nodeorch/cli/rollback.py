"""nodeorch rollback"""

from __future__ import annotations

import click

from nodeorch.cli.args import NAME, Whole, dry_run, waiting
from nodeorch.cli.operate import operate
from nodeorch.cli.session import Session, pass_session


@click.command("rollback")
@click.argument("name", type=NAME)
@click.option("--to", "generation", type=Whole(1), help="Default: the one before.")
@dry_run
@waiting
@pass_session
def command(
    session: Session,
    name: str,
    generation: int | None,
    dry_run: bool,
    wait: bool,
    timeout: float,
) -> None:
    """Go back to an earlier generation, until the file changes."""
    body = {"generation": generation}
    operate(session, name, "rollback", body, dry_run=dry_run, wait=wait, timeout=timeout)
