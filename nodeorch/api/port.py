"""The open port: the routes that need no name, on an address such as 127.0.0.1:9464.

Whoever can connect may ask, so only routes of Role.NONE are answered: the dispatcher knows
nobody here, and authorize() denies the rest.
"""

from __future__ import annotations

import asyncio
import logging

from nodeorch.api.dispatch import Dispatcher
from nodeorch.api.server import BACKLOG, HEADER_TIMEOUT, Connections
from nodeorch.api.state import Supervisor

log = logging.getLogger(__name__)

MOST = 64
"""Connections; a scraper needs one."""
AGAIN = 5.0
"""Seconds until a port that could not be had is tried again."""


async def keep_listening(supervisor: Supervisor, address: str, again: float = AGAIN) -> None:
    """Until cancelled. A port that is taken is no reason not to supervise: it is tried again."""
    host, _, port = address.rpartition(":")
    connections = Connections(Dispatcher(supervisor, -1), HEADER_TIMEOUT, MOST)
    loop = asyncio.get_running_loop()
    told = ""
    while True:
        try:
            listener = await loop.create_server(
                connections, host.strip("[]"), int(port), backlog=BACKLOG
            )
            break
        except OSError as error:
            words = f"cannot listen on {address} for metrics: {error.strerror or error}"
            if words != told:
                log.error("%s; free it or choose another [metrics] listen", words)
            told = words
            await asyncio.sleep(again)
    log.info("metrics on http://%s/metrics", address)
    try:
        await asyncio.Event().wait()
    finally:
        listener.close()
        await connections.shutdown(0.2)
