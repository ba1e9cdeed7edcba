"""nodeorch apply"""

from __future__ import annotations

import click

from nodeorch.cli.args import dry_run, waiting
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
    from nodeorch.cli import render
    from nodeorch.cli.sources import gather

    body = {"files": gather(paths), "force": force}
    view = session.client.post("/v1/apply", body, {"dry_run": dry_run})
    if session.json:
        session.print_json(view)
    else:
        render.mutation(view)
    if wait and not dry_run:
        from nodeorch.cli.follow import until_done

        until_done(session, view["change"], timeout)
