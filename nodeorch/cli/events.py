"""nodeorch events"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import click

from nodeorch.cli.args import COUNT, NAME
from nodeorch.cli.session import Session, pass_session

View = dict[str, Any]


@click.command("events")
@click.argument("name", type=NAME, required=False)
@click.option("-f", "--follow", is_flag=True, help="Wait for more, also over daemon restarts.")
@click.option("--after", type=COUNT, help="Those after this number.")
@click.option("--last", type=COUNT, help="Only so many.  [default: 100]")
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
        elif "seq" in view:
            render.event(view)
        else:
            click.echo(f"nodeorch: {render.clean(view.get('gap') or view['error'])}", err=True)


def _follow(session: Session, query: dict[str, Any]) -> Iterator[View]:
    """Without an end, a loss or a repetition, also over a restart of the daemon."""
    from nodeorch.cli.again import resumed

    more = {"workload": query["workload"], "after": _newest(session), "follow": True}
    for view in session.client.stream("/v1/events", query):
        more["after"] = max(more["after"], view.get("seq", 0))
        yield view
    for view in resumed(
        session,
        lambda: session.client.stream("/v1/events", more),
        lambda: f"after {more['after']}",
    ):
        more["after"] = view.get("seq", view.get("first", more["after"] + 1) - 1)
        yield view


def _newest(session: Session) -> int:
    """Following begins after it, or after the last line shown: nothing falls between."""
    return max(
        (view["seq"] for view in session.client.stream("/v1/events", {"last": 1})), default=0
    )
