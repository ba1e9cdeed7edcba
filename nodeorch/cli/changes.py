"""nodeorch changes"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import click

from nodeorch.cli import exits
from nodeorch.cli.args import CHANGE, COUNT, NAME
from nodeorch.cli.session import Session, pass_session


@click.command("changes")
@click.argument("number", type=CHANGE, required=False, metavar="[ID]")
@click.option("-f", "--follow", is_flag=True, help="Until it has ended. Needs an ID.")
@click.option("--workload", type=NAME, help="Only those of this workload.")
@click.option("--last", type=COUNT, default=20, show_default=True, help="So many.")
@pass_session
def command(
    session: Session, number: int | None, follow: bool, workload: str | None, last: int
) -> int:
    """Show what operators asked for, and what became of it.

    With -f it exits 0 when the change is done, 1 when it failed or was superseded.
    """
    from nodeorch.cli import render_changes as render

    if number is None:
        if follow:
            raise click.UsageError("which change shall be followed? Give its ID")
        views = session.client.get("/v1/changes", {"workload": workload, "last": last})
        session.print_json(views) if session.json else render.table_of(views)
        return exits.OK
    path = f"/v1/changes/{number}"
    if not follow:
        view = session.client.get(path)
        session.print_json(view) if session.json else render.one(view)
        return exits.OK
    for view in _lines(session, path):
        session.print_line(view) if session.json else render.progress(view)
    return exits.OK if view["state"] == "done" else exits.REFUSED


def _lines(session: Session, path: str) -> Iterator[dict[str, Any]]:
    from nodeorch.cli.again import resumed

    shown = None
    for view in resumed(session, lambda: session.client.stream(f"{path}/follow"), lambda: path):
        if view != shown:
            yield view
        shown = view
        if view["state"] != "doing":
            return
