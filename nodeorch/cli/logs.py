"""nodeorch logs"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

import click

from nodeorch.cli.args import COUNT, NAME, PATTERN, SINCE
from nodeorch.cli.session import Session, pass_session

Line = dict[str, Any]

WAITING = 1000
"""Lines that one reader may be ahead of the terminal, while several are followed."""


@click.command("logs")
@click.argument("names", type=NAME, nargs=-1, required=True, metavar="NAME...")
@click.option("-f", "--follow", is_flag=True, help="Wait for more, also after a restart.")
@click.option("--tail", type=COUNT, help="Only the last lines of each instance.")
@click.option("--since", type=SINCE, help='Since then: "10m" ago, or "2024-05-01T10:00:00Z".')
@click.option("--grep", type=PATTERN, help="Only lines in which this (Python's re) is found.")
@click.option("--instance", help='Only this one: "web.1", or in full.')
@pass_session
def command(
    session: Session,
    names: Sequence[str],
    follow: bool,
    tail: int | None,
    since: str | None,
    grep: re.Pattern[str] | None,
    instance: str | None,
) -> None:
    """Print what the instances of workloads wrote, in the order of time.

    --grep looks at the lines that --tail and --since leave. It runs here, not in the daemon.
    """
    from nodeorch.cli import render

    names = list(dict.fromkeys(names))
    query = {"follow": follow or None, "tail": tail, "since": since, "instance": instance}
    meant = {name: _instances(session, name, instance) for name in names}
    # When none has it, the daemon says so.
    names = [name for name in names if meant[name] or instance is None] or names
    known = [name for found in meant.values() for name in found]
    prefixes = render.Prefixes(known)
    alone = known if len(names) == len(known) == 1 else []
    for line in _lines(session, names, query, follow):
        trouble = line["stream"] == "error"
        if grep is not None and not trouble and grep.search(line["text"]) is None:
            continue
        if session.json:
            session.print_line(line)
            continue
        who = "" if line["instance"] in alone and not trouble else prefixes.of(line["instance"])
        render.say(who + render.log_text(line["text"]), now=follow)


def _instances(session: Session, workload: str, asked: str | None) -> list[str]:
    from nodeorch.client.unix import ApiError, ClientError

    try:
        view = session.client.get("/v1/status", {"name": workload})[0]
    except ApiError as error:
        if error.code != "NotFound":
            raise
        words = str(error).partition(": ")[2]
        raise ClientError(f"cannot show the logs of {workload}: {words}") from None
    if view["state"] == "elsewhere" and not view["instances"]:
        raise ClientError(f"cannot show the logs of {workload}: it {view['reason']}; look there")
    names = [instance["name"] for instance in view["instances"]]
    return [n for n in names if asked is None or asked in (n, n.rpartition(".")[0])]


def _lines(
    session: Session, names: Sequence[str], query: dict[str, Any], follow: bool
) -> Iterator[Line]:
    """Of all; sorted by time, but when they are followed: then as they come."""
    if len(names) == 1:
        return _stream(session, names[0], query)
    streams = [_stream(session, name, query) for name in names]
    if follow:
        return _as_they_come(streams)
    from heapq import merge

    # Engines leave trailing zeros of a fraction away; without the Z it sorts as time does.
    return merge(*streams, key=lambda line: line["at"].rstrip("Z"))


def _stream(session: Session, name: str, query: dict[str, Any]) -> Iterator[Line]:
    """Over a connection of its own."""
    from nodeorch.client.unix import Client

    return Client(session.socket).stream(f"/v1/workloads/{name}/logs", query)


def _as_they_come(streams: Sequence[Iterator[Line]]) -> Iterator[Line]:
    """A thread a stream: an answer of the daemon can be waited for in no other way."""
    import threading
    from queue import Queue

    queue: Queue[Line | Exception | None] = Queue(WAITING)

    def read(stream: Iterator[Line]) -> None:
        try:
            for line in stream:
                queue.put(line)
        except Exception as error:
            queue.put(error)
        else:
            queue.put(None)

    for stream in streams:
        threading.Thread(target=read, args=[stream], daemon=True).start()
    left = len(streams)
    while left:
        got = queue.get()
        if isinstance(got, Exception):
            raise got
        if got is None:
            left -= 1
        else:
            yield got
