"""nodeorch exec"""

from __future__ import annotations

import json
import os
from typing import Any

import click

from nodeorch.cli.args import TARGET, dry_run
from nodeorch.cli.session import Session, pass_session


@click.command("exec")
@click.option("-i", "--stdin", is_flag=True, help="Pass our input on to the command.")
@click.option("-t", "--tty", is_flag=True, help="Give it a terminal: ours.")
@click.option("-u", "--user", default="", metavar="USER", help="Run as USER[:GROUP].")
@click.option("-w", "--workdir", default="", metavar="DIR", help="Run in DIR.")
@click.option("-e", "--env", multiple=True, metavar="KEY=VALUE", help="Add to its environment.")
@click.option("-v", "--verbose", is_flag=True, help="Say which instance it is.")
@dry_run
@click.argument("target", type=TARGET, metavar="NAME|INSTANCE")
@click.argument("words", nargs=-1, required=True, metavar="COMMAND...")
@pass_session
def command(
    session: Session,
    stdin: bool,
    tty: bool,
    user: str,
    workdir: str,
    env: tuple[str, ...],
    verbose: bool,
    dry_run: bool,
    target: tuple[str, str | None],
    words: tuple[str, ...],
) -> int:
    """Run a command inside an instance; its exit code is ours. Write -- before COMMAND.

    NAME is its first instance that is ready, INSTANCE one of them: web.1, or web.1.g3.
    """
    from nodeorch.cli import attached
    from nodeorch.client.duplex import Duplex
    from nodeorch.model import frames

    if tty and not (dry_run or os.isatty(attached.STDIN)):
        raise click.UsageError("-t needs a terminal, and our input is none; leave it away")
    name, instance = target
    rows, columns = attached.window() if tty else (0, 0)
    asked = {
        "command": words,
        "tty": tty,
        "stdin": stdin,
        "user": user,
        "workdir": workdir,
        "env": _environment(env, tty),
        "rows": rows,
        "columns": columns,
    }
    query = {"instance": instance, "dry_run": dry_run or None}
    path = f"/v1/workloads/{name}/exec"
    first = frames.frame(frames.BEGIN, json.dumps(asked).encode())
    if dry_run:
        return _preview(session, session.client.upload(path, query, lambda send: send(first)))
    running = Duplex(session.client, path, query, first)
    try:
        return attached.Attached(running, stdin=stdin, tty=tty, say=verbose).run()
    except attached.Interrupted as interrupted:
        return interrupted.code
    finally:
        running.close()


def _preview(session: Session, view: Any) -> int:
    from nodeorch.cli import render

    if session.json:
        session.print_line(view)
    else:
        render.mutation(view)
    return 0


def _environment(given: tuple[str, ...], tty: bool) -> dict[str, str]:
    env = {"TERM": os.environ.get("TERM", "xterm")} if tty else {}
    for pair in given:
        key, found, value = pair.partition("=")
        if not key or not found:
            raise click.UsageError(f"{pair!a} is no variable; write KEY=VALUE")
        env[key] = value
    return env
