"""The entry point. Verbs are imported when called: ``nodeorch status`` starts fast."""

from __future__ import annotations

import os
import sys
from importlib import import_module
from typing import Any

import click

from nodeorch import __version__
from nodeorch.cli import exits
from nodeorch.cli.session import DEFAULT_SOCKET, Session

VERBS = (
    "apply", "changes", "check", "cluster", "confirm", "cp", "delete", "doctor", "events", "exec",
    "history", "home", "init", "logs", "members", "plan", "restart", "rollback", "run", "runs",
    "scale", "schema", "shutdown", "start", "stats", "status", "stop", "top", "version", "wait",
    "why",
)  # fmt: skip


def _set_json(context: click.Context, parameter: click.Parameter, value: bool) -> None:
    if value:
        context.find_object(Session).json = True  # type: ignore[union-attr]


def _json_option() -> click.Option:
    return click.Option(
        ["--json"],
        is_flag=True,
        expose_value=False,
        callback=_set_json,
        help="Print JSON. Also before the verb.",
    )


def _with_json(command: click.Command) -> None:
    """Of a verb that has verbs of its own, each takes it."""
    if not any("--json" in parameter.opts for parameter in command.params):
        command.params.append(_json_option())
    if isinstance(command, click.Group):
        for verb in command.commands.values():
            _with_json(verb)


class Verbs(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in VERBS:
            return None
        command: click.Command = import_module(f"nodeorch.cli.{cmd_name}").command
        _with_json(command)
        return command

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except BrokenPipeError as error:
            raise ReaderGone from error


class ReaderGone(Exception):
    """Whoever read our output has gone. In place of BrokenPipeError, of which click makes exit
    code 1."""


@click.command(cls=Verbs, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--socket",
    default=DEFAULT_SOCKET,
    envvar="NODEORCH_SOCKET",
    show_default=True,
    show_envvar=True,
    help="The daemon's socket.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON. Also after the verb.")
@click.version_option(__version__, prog_name="nodeorch")
@click.pass_context
def cli(context: click.Context, socket: str, as_json: bool) -> None:
    """Show, explain and change what nodeorchd keeps running."""
    context.obj = Session(socket, as_json)


def main() -> None:
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    sys.exit(run(sys.argv[1:]))


def run(arguments: list[str]) -> int:
    """The exit code. Errors are told on stderr, in one shape."""
    try:
        result = cli.main(arguments, prog_name="nodeorch", standalone_mode=False)
        sys.stdout.flush()
        return result if isinstance(result, int) else 0
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        return 130
    except (BrokenPipeError, ReaderGone):
        # The reader has gone. What is still buffered must not raise anew at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except Exception as error:
        return exits.tell(error)


if __name__ == "__main__":
    main()
