"""nodeorch top"""

from __future__ import annotations

import os
import sys
import time
from typing import TYPE_CHECKING

import click

from nodeorch.cli.args import DURATION
from nodeorch.cli.session import Session, pass_session

if TYPE_CHECKING:
    from nodeorch.cli.topview import Look, View

LEAST = 0.2
"""Seconds between two refreshes at least."""
PATIENCE = 5.0
"""Seconds for an answer, so that keys are heard."""
WIDE = 1000
"""Columns where nothing has to fit: the output is a file."""


@click.command("top")
@click.option("--once", is_flag=True, help="Print it, and end.")
@click.option("--every", type=DURATION, default="2s", show_default=True, help="Refresh so often.")
@click.option(
    "--sort",
    type=click.Choice(["cpu", "memory", "restarts", "name"]),
    default="cpu",
    show_default=True,
)
@pass_session
def command(session: Session, once: bool, every: float, sort: str) -> None:
    """Show live what instances use: cpu, memory, pressure, restarts, probes.

    On the screen: c, m, r and n sort by cpu, memory, restarts and name; arrows or j and k
    scroll; q ends it.
    """
    if session.json and not once:
        raise click.UsageError("cannot show JSON on a live screen; add --once")
    if not once and not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise click.UsageError("cannot show a live screen: this is no terminal; add --once")
    view = session.client.get("/v1/stats", timeout=PATIENCE)
    if session.json:
        session.print_json(view)
        return
    from nodeorch.cli.render import say
    from nodeorch.cli.topview import Look, frame

    terminal = sys.stdout.isatty()
    look = Look(sort=sort[0], colour=terminal and not os.environ.get("NO_COLOR"))
    if not once:
        _live(session, view, look, max(every, LEAST))
        return
    width = os.get_terminal_size(sys.stdout.fileno()).columns if terminal else WIDE
    for line in frame(view, look, width or WIDE, None):
        say(line)


def _live(session: Session, view: View, look: Look, every: float) -> None:
    from nodeorch.cli.screen import opened
    from nodeorch.cli.topview import SORTS, frame, last_offset
    from nodeorch.client.unix import ClientError

    with opened() as screen:
        due = time.monotonic() + every
        while True:
            width, height = screen.size()
            screen.show(frame(view, look, width, height))
            key = screen.key(due - time.monotonic())
            if key in ("q", "Q"):
                return
            if key in SORTS:
                look = look._replace(sort=key, offset=0)
            elif key in ("j", "k"):
                offset = look.offset + (1 if key == "j" else -1)
                look = look._replace(offset=max(0, min(offset, last_offset(view, height))))
            if time.monotonic() < due:
                continue
            try:
                view = session.client.get("/v1/stats", timeout=PATIENCE)
                look = look._replace(note="")
            except ClientError as error:
                look = look._replace(note=str(error))  # it may restart: what was seen stays
            due = time.monotonic() + every
