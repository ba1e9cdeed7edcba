"""nodeorch apply"""

from __future__ import annotations

import click

from nodeorch.cli.args import dry_run, waiting
from nodeorch.cli.operate import answered
from nodeorch.cli.session import Session, pass_session


@click.command("apply")
@click.argument("paths", nargs=-1, required=True, metavar="FILE|DIR|-...")
@click.option("--force", is_flag=True, help="Lower a memory limit below what is in use.")
@dry_run
@waiting
@pass_session
def command(
    session: Session,
    paths: tuple[str, ...],
    force: bool,
    dry_run: bool,
    wait: bool,
    timeout: float,
) -> None:
    """Declare workloads from spec files.

    They are checked and put into the daemon's directory: all of them or, when one has a
    problem, none.
    """
    from nodeorch.cli.sources import gather

    body = {"files": gather(paths), "force": force}
    view = session.client.post("/v1/apply", body, {"dry_run": dry_run})
    answered(session, view, wait=wait, timeout=timeout, alone=True)
