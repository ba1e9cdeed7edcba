"""Exit codes, after sysexits.h, and the one way in which an error is told."""

from __future__ import annotations

import click

OK = 0
REFUSED = 1
CHANGES = 2
"""Of ``plan`` alone."""
UNREACHABLE = 69
TIMEOUT = 75
NO_PERMISSION = 77


def tell(error: Exception) -> int:
    """Print an error of the client and return its exit code; raises what is not one."""
    from nodeorch.cli.render import clean
    from nodeorch.client.unix import ApiError, ClientError, DaemonUnreachable, NoPermission

    if not isinstance(error, ClientError):
        raise error
    click.echo(f"nodeorch: {clean(str(error))}", err=True)
    if isinstance(error, ApiError):
        for problem in error.problems:
            click.echo("\n".join(clean(line) for line in problem.split("\n")), err=True)
        return TIMEOUT if error.code == "Timeout" else REFUSED
    if isinstance(error, DaemonUnreachable):
        return UNREACHABLE
    return NO_PERMISSION if isinstance(error, NoPermission) else REFUSED
