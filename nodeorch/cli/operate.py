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
    goal: str | None = None,
    timeout: float = 0.0,
) -> None:
    """Ask, print the answer, and wait for ``goal`` when there is one."""
    from nodeorch.cli import render

    path = f"/v1/workloads/{name}/{verb}"
    view = session.client.post(path, body, {"dry_run": dry_run})
    if session.json:
        session.print_line(view)
    else:
        render.mutation(view)
    if goal is not None and not dry_run:
        from nodeorch.cli.follow import until

        until(session, name, goal, timeout)


def operation(verb: str, goal: str, help: str) -> click.Command:
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
            until = goal if wait else None
            operate(session, name, verb, dry_run=dry_run, goal=until, timeout=timeout)

    return command
