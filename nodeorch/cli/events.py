"""nodeorch events"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import click

from nodeorch.cli.args import NAME
from nodeorch.cli.session import Session, pass_session

PATIENCE = 30.0
"""Seconds that a daemon may be away (it restarts) before following it ends."""

PAUSE = 0.3


@click.command("events")
@click.argument("name", type=NAME, required=False)
@click.option("-f", "--follow", is_flag=True, help="Wait for more.")
@click.option("--after", type=click.IntRange(0), help="Those after this number.")
@click.option("--last", type=click.IntRange(0), help="Only so many.  [default: 100]")
@pass_session
def command(
    session: Session, name: str | None, follow: bool, after: int | None, last: int | None
) -> None:
    """Show the journal: what was seen, decided and done, oldest first."""
    from nodeorch.cli import render

    query = {"workload": name, "after": after, "last": last}
    lines = _follow(session, query) if follow else session.client.stream("/v1/events", query)
    for view in lines:
        if session.json:
            session.print_line(view)
        else:
            render.event(view)


def _follow(session: Session, query: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Without an end, a gap or a repetition, also over a restart of the daemon."""
    from nodeorch.client.unix import DaemonUnreachable

    heard = None
    while True:
        try:
            for view in session.client.stream("/v1/events", {**query, "follow": True}):
                heard = time.monotonic()
                if "seq" in view:
                    yield view
                    query = {**query, "after": view["seq"], "last": None}
            heard = time.monotonic()
        except DaemonUnreachable:
            if heard is None or time.monotonic() - heard > PATIENCE:
                raise
        time.sleep(PAUSE)
