"""nodeorch doctor"""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from nodeorch.cli.session import DEFAULT_SOCKET, Session, pass_session

if TYPE_CHECKING:
    from nodeorch.doctor.examine import Told

DEFAULT_CONFIG = "/etc/nodeorch/nodeorch.toml"
WIDTH = 96
COLOURS = {"error": "red", "warning": "yellow", "note": "bright_black"}


@click.command("doctor")
@click.option(
    "--config",
    default=DEFAULT_CONFIG,
    show_default=True,
    metavar="FILE",
    help="The daemon's configuration: it names the folders and sockets.",
)
@click.option("--strict", is_flag=True, help="Warnings fail, too.")
@click.option("--deep", is_flag=True, help="Also start a container in a bridge network.")
@click.option("--no-trial", is_flag=True, help="Start no container; only look.")
@click.pass_context
@pass_session
def command(
    session: Session,
    context: click.Context,
    /,
    config: str,
    strict: bool,
    deep: bool,
    no_trial: bool,
) -> None:
    """Look for what is wrong with this host, and print the fix.

    Needs no daemon. Run it as root: others see less, and are told what. To see whether containers
    start here, two are started that end at once and are removed. Exits with 0 when there is no
    error, 1 when there is.
    """
    from nodeorch.doctor import trial
    from nodeorch.doctor.examine import CHECKS, examine, failed
    from nodeorch.doctor.read import read

    trials = () if no_trial else tuple(trial.TRIALS) if deep else trial.QUICK
    chosen = session.socket if session.socket != DEFAULT_SOCKET else None
    facts = read(config, chosen, trials)
    told = examine(facts)
    bad = failed(told, strict)
    if session.json:
        import msgspec

        view = {"ok": not bad, "findings": told, "unseen": facts.unseen}
        session.print_json(msgspec.to_builtins(view))
    else:
        _print(told, facts.unseen, len(CHECKS))
    context.exit(1 if bad else 0)


def _print(told: list[Told], unseen: tuple[str, ...], checks: int) -> None:
    from textwrap import fill

    from nodeorch.cli.render import clean, paint, say

    for each in told:
        say(f"{paint(each.severity, COLOURS[each.severity])}[{each.code}]: {clean(each.found)}")
        say(fill(each.means, WIDTH, initial_indent="  ", subsequent_indent="  "))
        say("  fix:")
        for line in each.fix.split("\n"):
            say(f"    {clean(line)}")
        say()
    for words in unseen:
        say(f"not seen: {clean(words)}")
    counts = [
        f"{n} {kind}{'' if n == 1 else 's'}"
        for kind in COLOURS
        if (n := sum(each.severity == kind for each in told))
    ]
    say(f"{checks} checks: {', '.join(counts) or 'all is well'}")
