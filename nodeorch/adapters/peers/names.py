"""Whether two hosts that live at the same time use one name."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable

from nodeorch.model.facts import NameTaken
from nodeorch.ports import Inbox

log = logging.getLogger(__name__)

RUNS = 8
"""Former daemons of one name that are remembered."""
TAKEN = 60.0
"""Seconds after which a name counts as free again, when the other has not been seen."""


class Names:
    """A host that restarts never has a former daemon's run again. Two hosts that take each other's
    link do: then one comes back that had been replaced.
    """

    def __init__(self, put: Inbox, now: Callable[[], float]) -> None:
        self._put = put
        self._now = now
        self._runs: dict[str, deque[str]] = {}
        self._taken: dict[tuple[str, str], float] = {}

    def replaced(self, host: str, former: str, run: str, address: str) -> None:
        """A link of ``host`` takes the place of one that still stood; the runs of both."""
        if former == run:
            return
        runs = self._runs.setdefault(host, deque(maxlen=RUNS))
        if run in runs:
            self.taken(host, address)
        if former not in runs:
            runs.append(former)

    def taken(self, host: str, address: str) -> None:
        """Somebody else, at that address, uses the name."""
        seen = (host, address) in self._taken
        self._taken[host, address] = self._now()
        if not seen:
            log.error("another host, at %s, uses the name %s as well", address, host)
            self._put(NameTaken(host, address))

    def tick(self) -> None:
        for (host, address), when in list(self._taken.items()):
            if self._now() - when > TAKEN:
                del self._taken[host, address]
                if not any(name == host for name, _ in self._taken):
                    self._put(NameTaken(host, ""))
