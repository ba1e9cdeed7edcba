"""What the verbs share that tell the daemon to do something with a workload."""

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
    from nodeorch.cli import render

    path = f"/v1/workloads/{name}/{verb}"
    view = session.client.post(path, body, {"dry_run": dry_run})
    if session.json:
        session.print_line(view)
    else:
        render.mutation(view)
    if wait and not dry_run:
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
