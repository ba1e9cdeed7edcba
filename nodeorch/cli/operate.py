"""What the verbs share that tell the daemon to change something."""

from __future__ import annotations

from typing import Any

import click

from nodeorch.cli.args import NAME, dry_run, waiting
from nodeorch.cli.session import Session, pass_session


def operate(
    session: Session,
    name: str,
    verb: str,
    body: Any = None,
    *,
    dry_run: bool,
    wait: bool,
    timeout: float,
) -> None:
    """Ask, print the answer, and wait until it is real when that is wanted."""
    path = f"/v1/workloads/{name}/{verb}"
    view = session.client.post(path, body, {"dry_run": dry_run})
    answered(session, view, wait=wait, timeout=timeout)


def answered(
    session: Session, view: Any, *, wait: bool, timeout: float, alone: bool = False
) -> None:
    """Print what a mutation answered, and wait until it is real. ``alone``: there is one answer."""
    from nodeorch.cli import render

    if not session.json:
        render.mutation(view)
    elif alone:
        session.print_json(view)
    else:
        session.print_line(view)
    if wait and view["change"] is not None:
        from nodeorch.cli.follow import until_done

        until_done(session, view["change"], timeout)


def operation(verb: str, help: str) -> click.Command:
    """A verb on one or more workloads that needs nothing but their names."""

    @click.command(verb, help=help)
    @click.argument("names", type=NAME, nargs=-1, required=True, metavar="NAME...")
    @dry_run
    @waiting
    @pass_session
    def command(
        session: Session, names: tuple[str, ...], dry_run: bool, wait: bool, timeout: float
    ) -> None:
        for name in names:
            operate(session, name, verb, dry_run=dry_run, wait=wait, timeout=timeout)

    return command
