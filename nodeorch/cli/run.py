"""nodeorch run"""

from __future__ import annotations

import time
from typing import Any

import click

from nodeorch.cli import exits
from nodeorch.cli.args import DURATION, NAME
from nodeorch.cli.args import dry_run as dry_run_option
from nodeorch.cli.session import Session, pass_session

STEP = 5.0
"""Seconds of one long poll."""


@click.command("run")
@click.argument("name", type=NAME, metavar="JOB")
@click.argument("args", nargs=-1, type=click.UNPROCESSED, metavar="[-- ARGS...]")
@dry_run_option
@click.option("--wait", "wait", is_flag=True, help="Until it has ended; exits with its code.")
@click.option("--timeout", type=DURATION, help="For --wait; then it runs on. Default: none.")
@pass_session
def command(
    session: Session,
    name: str,
    args: tuple[str, ...],
    dry_run: bool,
    wait: bool,
    timeout: float | None,
) -> int:
    """Begin a run of a job now; ARGS replace the job's own for this run."""
    from nodeorch.cli import render

    body = {"args": list(args)} if args else {}
    view = session.client.post(f"/v1/workloads/{name}/run", body, {"dry_run": dry_run})
    if session.json:
        session.print_line(view)
    else:
        render.mutation(view)
    if dry_run or not wait:
        return exits.OK
    ended = _ended(session, name, view["run"], timeout)
    if session.json:
        session.print_line(ended)
    else:
        from nodeorch.cli.render_runs import outcome

        outcome(name, ended)
    if ended["state"] == "succeeded":
        return exits.OK
    code = ended["exit_code"]
    return code if code and 0 < code < 256 else exits.REFUSED


def _ended(session: Session, name: str, number: int, timeout: float | None) -> dict[str, Any]:
    """The run when it has ended. Raises ApiError with code Timeout."""
    from nodeorch.client.unix import ApiError

    began = time.monotonic()
    while True:
        left = STEP if timeout is None else timeout - (time.monotonic() - began)
        step = max(0.0, min(STEP, left))
        query: dict[str, str | int | float | bool | None] = {
            "number": number,
            "timeout": f"{step:.3f}",
        }
        path = f"/v1/workloads/{name}/runs"
        view: dict[str, Any] = session.client.get(path, query, timeout=step + 30.0)[0]
        if view["ended_at"]:
            return view
        if left <= 0:
            why = f": {view['reason']}" if view["reason"] else ""
            words = f"cannot wait longer: run {number} of {name} is {view['state']}{why}"
            raise ApiError(408, f"{words}; see `nodeorch runs {name}`", "Timeout", [])
