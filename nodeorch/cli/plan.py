"""nodeorch plan"""

from __future__ import annotations

import click

from nodeorch.cli import exits
from nodeorch.cli.session import Session, pass_session


@click.command("plan")
@click.argument("paths", nargs=-1, metavar="[FILE|DIR|-]...")
@click.option("--force", is_flag=True, help="As for apply.")
@pass_session
@click.pass_context
def command(context: click.Context, session: Session, paths: tuple[str, ...], force: bool) -> None:
    """Show what comes next, or what applying a file would change.

    Exits 0 when there is nothing to do, 2 when there is something.
    """
    from nodeorch.cli import render

    if paths:
        from nodeorch.cli.sources import gather

        body = {"files": gather(paths), "force": force}
        view = session.client.post("/v1/apply", body, {"dry_run": True})
        show = render.mutation
    else:
        view = session.client.get("/v1/plan")
        show = render.plan
    if session.json:
        session.print_json(view)
    else:
        show(view)
    pending = any(plan["verb"] != "none" for plan in view["workloads"])
    context.exit(exits.CHANGES if pending or view.get("actions") else exits.OK)
