"""nodeorch confirm"""

from __future__ import annotations

import click

from nodeorch.cli.args import dry_run, waiting
from nodeorch.cli.operate import answered
from nodeorch.cli.session import Session, pass_session


@click.command("confirm")
@dry_run
@waiting
@pass_session
def command(session: Session, dry_run: bool, wait: bool, timeout: float) -> None:
    """Carry out a deletion of many workloads that is held."""
    view = session.client.post("/v1/confirm", None, {"dry_run": dry_run})
    answered(session, view, wait=wait, timeout=timeout, alone=True)
