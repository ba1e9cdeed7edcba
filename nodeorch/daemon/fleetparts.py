"""The parts of a daemon that is one of a fleet, put together; none of them where it is alone."""

from __future__ import annotations

import asyncio
import logging
import secrets
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

from nodeorch import __version__
from nodeorch.adapters.mirror import FileMirror
from nodeorch.adapters.peers import Identity, TlsPeers
from nodeorch.adapters.serf import ALONE, POLL, SerfMembers
from nodeorch.adapters.shelf import FileShelf
from nodeorch.daemon.fleetdesk import FleetDesk
from nodeorch.daemon.fleetlink import FleetLink, watch_quiet
from nodeorch.daemon.supervisor import Supervisor
from nodeorch.decide.status import Sample
from nodeorch.files import read_regular
from nodeorch.model.fleet import View, movable
from nodeorch.ports import Clock
from nodeorch.spec.settings import Settings

AGAIN = 5.0
"""Seconds until the port is tried again."""
RENEW = 24 * 3600.0
"""Seconds between two looks at how long our certificate is good for."""
SOON = 600.0
"""Seconds until the first: a daemon that is restarted every day has to look, too."""

TIDY = 600.0
"""Seconds between two looks at what of the mirrored files nobody needs any more."""

log = logging.getLogger("nodeorch")


class FleetParts:
    """Made inside the running loop. ``close`` ends all of it."""

    def __init__(
        self, settings: Settings, config: Path, supervisor: Supervisor, clock: Clock
    ) -> None:
        cluster, state = settings.cluster, Path(settings.paths.state)
        files, run = Path(cluster.files), secrets.token_hex(4)
        mirrored = state / "mirror"
        self.mirror = FileMirror(
            mirrored, FileShelf(mirrored, read_regular), state / "files", read_regular
        )
        every = POLL if cluster.links else ALONE
        self._members = SerfMembers(cluster.serf, files / "rpc.key", supervisor.put, every)
        self.desk = FleetDesk(
            settings,
            lambda: supervisor.world,
            supervisor.submit,
            clock,
            self._members,
            self.mirror,
        )
        fleet = supervisor.world.fleet
        identity = Identity(
            host=fleet.me,
            cluster=cluster.name or "",
            address=cluster.address or "",
            port=cluster.port,
            lineage=fleet.record.lineage,
            run=run,
            boot=supervisor.world.node.boot_id,
            version=__version__,
            files=files,
        )
        self._peers = TlsPeers(
            identity, supervisor.put, self.mirror, self.desk.join, self.desk.renew, clock
        )
        self._link = FleetLink(self._members, self._peers, run, cluster.port, __version__)
        self._supervisor = supervisor
        self._clock = clock
        self._config = config
        self._listening = False

    def sync(self) -> None:
        if self._listening:
            self._link.sync(self._supervisor.world)

    async def _listen(self) -> None:
        """Until it succeeds. What runs here is looked after meanwhile, as on a host alone."""
        said = ""
        while not self._listening:
            try:
                await self._peers.start()
                self._listening = True
                self.sync()
            except OSError as error:  # ssl.SSLError is one
                words = f"cannot listen for the other hosts: {error}; tried again every {AGAIN:g} s"
                if words != said:
                    log.error("%s", words)
                said = words
                await asyncio.sleep(AGAIN)

    def reload(self) -> None:
        """Read the certificate again; one that does not fit is told, and the former stays."""
        try:
            self._peers.reload()
        except OSError as error:  # ssl.SSLError is one
            log.error("cannot use the new certificate: %s; the former one stays", error)

    def asides(self, samples: Callable[[], Mapping[str, Sample]]) -> Iterator[asyncio.Task[None]]:
        quiet = watch_quiet(
            lambda: self._supervisor.world, samples, self._clock, self._supervisor.put
        )
        yield asyncio.create_task(self._listen())
        yield asyncio.create_task(quiet)
        yield asyncio.create_task(self._renew())
        yield asyncio.create_task(self._tidy())

    async def _renew(self) -> None:
        """The certificate is renewed by a command of its own, when a third of its life is left."""
        await asyncio.sleep(SOON)
        while True:
            command = ["-P", "-m", "nodeorch.cli.main", "cluster", "rotate", "certificate"]
            process = await asyncio.create_subprocess_exec(
                sys.executable, *command, "--if-due", "--config", str(self._config)
            )
            if await process.wait() != 0:
                log.error("cannot renew the certificate; it is tried again tomorrow")
            await asyncio.sleep(RENEW)

    async def _tidy(self) -> None:
        """Contents of config files that no view needs any more go."""
        while True:
            await asyncio.sleep(TIDY)
            kept = needed(self._supervisor.world.fleet.views.values())
            try:
                await asyncio.to_thread(self.mirror.tidy, kept)
            except OSError as error:
                log.error("cannot tidy what is mirrored: %s", error)

    async def close(self) -> None:
        if self._listening:
            await self._peers.close()
        await self._members.close()


def needed(views: Iterable[View]) -> dict[str, set[str]]:
    """Workload → digests of the config files that it needs, should it come to run here."""
    found: dict[str, set[str]] = {}
    for view in views:
        for one in view.all:
            if movable(one.workload):
                digests = (file.digest for file in one.workload.files)
                found.setdefault(one.workload.name, set()).update(digests)
    return found
