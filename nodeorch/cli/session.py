"""What a verb gets: the client, and how to print."""

from __future__ import annotations

import json
from functools import cached_property
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from nodeorch.client.unix import Client

DEFAULT_SOCKET = "/run/nodeorch/nodeorch.sock"


class Session:
    def __init__(self, socket: str, as_json: bool) -> None:
        self.socket = socket
        self.json = as_json

    @cached_property
    def client(self) -> Client:
        from nodeorch.client.unix import Client  # check and init need none

        return Client(self.socket)

    def print_json(self, view: Any) -> None:
        print(json.dumps(view, indent=2))

    def print_line(self, view: Any) -> None:
        """One of many: newline-delimited JSON."""
        print(json.dumps(view), flush=True)


pass_session = click.make_pass_decorator(Session)
