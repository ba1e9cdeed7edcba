"""nodeorch version"""

from __future__ import annotations

import click

from nodeorch import __version__
from nodeorch.cli.session import Session, pass_session


@click.command("version")
@pass_session
def command(session: Session) -> None:
    """Show the versions of this command and of the daemon."""
    from nodeorch.client.unix import ClientError

    view = {"client": __version__, "daemon": None, "api": None}
    trouble = ""
    try:
        answer = session.client.get("/v1/version")
        view |= {"daemon": answer["version"], "api": answer["api"]}
    except ClientError as error:
        trouble = str(error)
    if session.json:
        session.print_json(view)
        return
    from nodeorch.cli import render

    render.say(f"nodeorch   {__version__}")
    render.say(f"nodeorchd  {render.clean(view['daemon'] or trouble)}")
