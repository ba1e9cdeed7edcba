"""What the verbs share that tell the daemon to do something with a workload."""

from __future__ import annotations

from typing import Any

from nodeorch.cli.session import Session


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
