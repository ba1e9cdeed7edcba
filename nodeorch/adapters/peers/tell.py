"""What this host says on all its links: beats, its report, and which views it has.

Each is encoded once for all links.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from math import inf

from nodeorch.adapters.peers.link import LIMIT, Link, encode
from nodeorch.model.fleet import Beat, Hearing, Report, Stamp, Told, View

log = logging.getLogger(__name__)

COALESCE = 0.05
"""Seconds between two times that a report or stamps are told: a burst of changes becomes one."""


class Teller:
    """``links`` are those that stand now, by host."""

    def __init__(self, links: Mapping[str, Link]) -> None:
        self._links = links
        self.stamps: dict[str, Stamp] = {}
        self._changed: dict[str, Stamp] = {}
        self._told: Report | None = None
        self._report: Report | None = None
        self._report_bytes = b""
        self._not_before = -inf
        self._beat = Beat()
        self._beat_bytes = encode(self._beat)

    def greet(self, link: Link) -> None:
        """All that one needs to know that has just come."""
        link.beat(self._beat_bytes)
        if self._report_bytes:
            link.tell(self._report_bytes)

    def hears(self, hearing: Mapping[str, Hearing]) -> bool:
        """Whether whom we hear has changed since it was last asked."""
        beat = Beat(
            tuple(h for h, heard in hearing.items() if heard is Hearing.SILENT),
            tuple(h for h, heard in hearing.items() if heard is Hearing.ANSWERS),
            tuple(h for h, heard in hearing.items() if heard is Hearing.HEARD),
        )
        if beat == self._beat:
            return False
        self._beat, self._beat_bytes = beat, encode(beat)
        return True

    def beats(self, loop_now: float) -> None:
        for link in self._links.values():
            if link.stuck(loop_now):
                link.abort("it does not read what is said")
            else:
                link.beat(self._beat_bytes)

    def report(self, report: Report) -> None:
        self._report = report

    def views(self, views: Mapping[str, View]) -> None:
        stamps = {host: view.stamp for host, view in views.items()}
        self._changed |= {h: stamp for h, stamp in stamps.items() if self.stamps.get(h) != stamp}
        self.stamps = stamps

    @property
    def due(self) -> float:
        """When flush() has something to do; inf: there is nothing."""
        return self._not_before if self._changed or self._report != self._told else inf

    def flush(self, now: float) -> None:
        """Tell what has changed; call it when it is due."""
        self._not_before = now + COALESCE
        if self._changed:
            for link in self._links.values():
                link.have(self._changed)
            self._changed = {}
        if self._report is not None and self._report != self._told:
            self._told = self._report
            told = encode(Told(self._report))
            if len(told) > LIMIT:
                log.error("cannot tell other hosts what runs here: it is more than 1 MiB")
                return
            self._report_bytes = told
            for link in self._links.values():
                link.tell(told)
