"""nodeorch logs"""

from __future__ import annotations

import click

from nodeorch.cli.args import DURATION, NAME
from nodeorch.cli.session import Session, pass_session


@click.command("logs")
@click.argument("name", type=NAME)
@click.option("-f", "--follow", is_flag=True, help="Wait for more, also after a restart.")
@click.option("--tail", type=click.IntRange(0), help="Only the last lines of each instance.")
@click.option("--since", type=DURATION, help='Only this far back: "10m".')
@click.option("--instance", help="Only this one.")
@pass_session
def command(
    session: Session,
    name: str,
    follow: bool,
    tail: int | None,
    since: float | None,
    instance: str | None,
) -> None:
    """Print what a workload's instances wrote."""
    from datetime import UTC, datetime, timedelta

    from nodeorch.cli import render

    start = None if since is None else (datetime.now(UTC) - timedelta(seconds=since)).isoformat()
    query = {"follow": follow or None, "tail": tail, "since": start, "instance": instance}
    several = len(session.client.get("/v1/status", {"name": name})[0]["instances"]) > 1
    for line in session.client.stream(f"/v1/workloads/{name}/logs", query):
        if session.json:
            session.print_line(line)
            continue
        who = f"{line['instance']} | " if several or line["stream"] == "error" else ""
        render.say(render.clean(who) + render.log_text(line["text"]), now=True)
