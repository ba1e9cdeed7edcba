"""Streams that outlive the daemon: it may restart while somebody reads."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import click

from nodeorch.cli.session import Session
from nodeorch.client.unix import DaemonUnreachable

PATIENCE = 30.0
"""Seconds that a daemon may be away before we give up."""

PAUSE = 0.3

View = dict[str, Any]


def resumed(
    session: Session, connect: Callable[[], Iterator[View]], whence: Callable[[], str]
) -> Iterator[View]:
    """The lines of ``connect()``, and of the next one whenever a stream breaks or ends.

    ``whence``: from where on the next one goes, for people. Raises DaemonUnreachable when the
    first cannot be had, or when the daemon stays away for PATIENCE.
    """
    first = True
    while True:
        if not first:
            _await_daemon(session)
            _say(f"nodeorchd answers again; going on {whence()}")
        try:
            for view in connect():
                first = False
                yield view
        except DaemonUnreachable:
            if first:
                raise
        first = False
        _say(f"the stream ended; trying for {PATIENCE:g}s to go on")


def patiently(session: Session, ask: Callable[[], Any]) -> Any:
    """The answer; asked again when the daemon goes away meanwhile. Raises as ``ask`` does."""
    while True:
        try:
            return ask()
        except DaemonUnreachable:
            _await_daemon(session)


def _await_daemon(session: Session) -> None:
    began = time.monotonic()
    while True:
        try:
            session.client.get("/v1/version")
            return
        except DaemonUnreachable:
            if time.monotonic() - began > PATIENCE:
                raise
        time.sleep(PAUSE)


def _say(words: str) -> None:
    click.echo(f"nodeorch: {words}", err=True)
