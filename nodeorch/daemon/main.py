"""``nodeorchd``: puts the parts together, and their order of starting and stopping.

start   settings, lock, database, specs, engine link, loop, API; READY when the engine was
        listed once (or is known not to answer)
stop    API, loop, probes, database. No container is touched: the next daemon adopts them
"""

from __future__ import annotations

import argparse
import asyncio
import fcntl
import gc
import logging
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from nodeorch import __version__
from nodeorch.adapters.cgroup import CgroupReader
from nodeorch.adapters.clock import SystemClock
from nodeorch.adapters.deaths import PidfdDeaths
from nodeorch.adapters.inotify import DirectoryWatch
from nodeorch.adapters.podman import PodmanEngine
from nodeorch.adapters.pressure import PressureWatch
from nodeorch.adapters.probes import HookCaller, ProbeRunner
from nodeorch.adapters.process import own_process
from nodeorch.adapters.seal import Seal
from nodeorch.adapters.shelf import FileShelf
from nodeorch.adapters.sqlite import SchemaTooNew, SqliteStore
from nodeorch.adapters.systemd import Systemd
from nodeorch.adapters.usage import UsageSampler
from nodeorch.api.port import keep_listening
from nodeorch.api.server import serve
from nodeorch.daemon.enginelink import EngineLink
from nodeorch.daemon.executor import Executor
from nodeorch.daemon.fleetdesk import FleetDesk
from nodeorch.daemon.front import Front
from nodeorch.daemon.history import History
from nodeorch.daemon.laid import MirroredShelf
from nodeorch.daemon.reread import reread
from nodeorch.daemon.settings import EXIT_CONFIG, BadSettings, read_settings
from nodeorch.daemon.specfiles import SpecFiles, own_workloads
from nodeorch.daemon.stats import Stats
from nodeorch.daemon.supervisor import Supervisor
from nodeorch.daemon.watches import Watches
from nodeorch.decide.edit import say
from nodeorch.files import read_regular
from nodeorch.meters import Meters
from nodeorch.model.facts import Fact
from nodeorch.model.fleet import Fleet
from nodeorch.model.pressure import PressureRules
from nodeorch.model.world import Code, Node, World
from nodeorch.ports import Shelf, StoreError
from nodeorch.spec.settings import Settings

if TYPE_CHECKING:
    from nodeorch.daemon.fleetparts import FleetParts

DEFAULT_CONFIG = "/etc/nodeorch/nodeorch.toml"
READY_PATIENCE = 15.0
"""Seconds to wait for the first listing before systemd is told READY all the same."""

log = logging.getLogger("nodeorch")


def main() -> None:
    parser = argparse.ArgumentParser(prog="nodeorchd", description="the nodeorch daemon")
    parser.add_argument("--config", default=DEFAULT_CONFIG, metavar="FILE")
    parser.add_argument("--version", action="version", version=f"nodeorchd {__version__}")
    arguments = parser.parse_args()
    logging.basicConfig(format="%(message)s", level=logging.INFO, stream=sys.stderr)
    logging.getLogger("asyncio").setLevel(logging.WARNING)
    try:
        config = Path(arguments.config)
        sys.exit(run(read_settings(config), config))
    except (BadSettings, SchemaTooNew) as error:
        print(f"cannot start nodeorchd: {error}", file=sys.stderr)
        sys.exit(EXIT_CONFIG)
    except (StoreError, OSError) as error:
        print(f"cannot start nodeorchd: {error}", file=sys.stderr)
        sys.exit(1)


def run(settings: Settings, config: Path) -> int:
    state = Path(settings.paths.state)
    state.mkdir(mode=0o700, parents=True, exist_ok=True)
    Path(settings.paths.workloads).mkdir(mode=0o755, parents=True, exist_ok=True)
    with (state / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print(
                f"cannot start nodeorchd: another one already runs on {state}; "
                "stop it, or set another [paths] state",
                file=sys.stderr,
            )
            return 1
        asyncio.run(_Daemon(settings, config).run())
    return 0


class _Daemon:
    def __init__(self, settings: Settings, config: Path) -> None:
        self.settings = settings
        self.config = config
        self.clock = SystemClock()
        self.systemd = Systemd()
        self.stop = asyncio.Event()

    async def run(self) -> None:
        settings, state = self.settings, Path(self.settings.paths.state)
        store = SqliteStore(state / "nodeorch.db", keep=settings.journal.keep)
        await store.open()
        cgroups = CgroupReader()
        engine = PodmanEngine(settings.podman.socket)
        prober = ProbeRunner(self._put, engine.exec, read_regular)
        history = History()
        usages = UsageSampler(cgroups, self.clock, self._put, history.add)
        deaths = PidfdDeaths(self._put, cgroups.oom_kills, cgroups.belongs)
        watches = Watches(deaths, prober, usages)
        self.supervisor = Supervisor(_first_world(settings), store, self.clock, watches)
        feed = self.supervisor.on_step = self._feed_watchdog()
        rebuilt = await self.supervisor.load()
        parts = self._fleet(feed)
        shelf: Shelf = FileShelf(state / "files", read_regular)
        shelf = MirroredShelf(shelf, parts.mirror) if parts else shelf
        files = _spec_files(settings, shelf)
        files.remember(own_workloads(self.supervisor.world))
        places = (settings.volumes.allowed, settings.guarded)
        hooks = HookCaller(engine.exec, read_regular)
        executor = Executor(
            engine, cgroups, deaths, Seal(state), hooks, shelf, self.clock, self._put, *places
        )
        stats = Stats(usages.watched, cgroups.host, history)
        shown = (usages.samples, stats, self._meters(engine, prober, store), shelf)
        desk = parts.desk if parts else self._alone()
        front = Front(self.supervisor, settings, files, engine, prober, *shown, desk)
        link = EngineLink(engine, self._put)
        self.supervisor.on_silence = link.doubt
        pressure = self._pressure_watch()
        loop_task = asyncio.create_task(self.supervisor.run(executor))
        await _quietly(front.reload())
        link_task = asyncio.create_task(link.run())
        watch = DirectoryWatch(Path(settings.paths.workloads), self._reloader(front))
        api = await serve(front, Path(settings.paths.socket), settings.api.group)
        self._signals(front, parts)
        asides = [link_task, *self._asides(front, rebuilt)]
        asides += parts.asides(usages.samples) if parts else ()
        asides.append(asyncio.create_task(reread(files, front.reload)))
        gc.collect()
        gc.freeze()  # what start-up made stays: no later collection walks it
        await _first_of(self.stop, loop_task, link_task)
        self.systemd.stopping()
        for task in asides:
            task.cancel()
        await _close(watch, api)
        loop_task.cancel()
        await asyncio.gather(loop_task, *asides, return_exceptions=True)
        await _close(parts, prober, usages, pressure, deaths, engine, store)

    def _fleet(self, feed: Callable[[], None]) -> FleetParts | None:
        if not self.supervisor.world.fleet.on:
            return None
        from nodeorch.daemon.fleetparts import FleetParts  # most hosts are alone: 4 MB

        parts = FleetParts(self.settings, self.config, self.supervisor, self.clock)

        def step() -> None:
            feed()
            parts.sync()

        self.supervisor.on_step = step
        return parts

    def _pressure_watch(self) -> PressureWatch | None:
        rules = self.supervisor.world.node.pressure
        return PressureWatch(self._put) if rules.memory or rules.io else None

    def _alone(self) -> FleetDesk:
        world, submit = (lambda: self.supervisor.world), self.supervisor.submit
        return FleetDesk(self.settings, world, submit, self.clock, None, None)

    def _meters(self, engine: PodmanEngine, prober: ProbeRunner, store: SqliteStore) -> Meters:
        return Meters(
            loop=self.supervisor.meter,
            workloads=self.supervisor.befell,
            engine=engine.calls,
            probes=prober.meter,
            store=store.calls,
            process=own_process,
            store_bytes=store.size,
            waiting=lambda: self.supervisor.waiting,
        )

    def _asides(self, front: Front, rebuilt: bool) -> list[asyncio.Task[None]]:
        tasks = [asyncio.create_task(self._tell_ready(rebuilt))]
        address = self.settings.metrics.listen
        if address is not None:
            tasks.append(asyncio.create_task(keep_listening(front, address)))
        return tasks

    def _put(self, fact: Fact) -> None:
        self.supervisor.put(fact)

    def _signals(self, front: Front, parts: FleetParts | None) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.stop.set)
        reload = self._reloader(front)

        def reread() -> None:
            reload()
            if parts is not None:
                parts.reload()

        loop.add_signal_handler(signal.SIGHUP, reread)

    def _reloader(self, front: Front) -> Callable[[], None]:
        tasks: set[asyncio.Task[None]] = set()

        def reload() -> None:
            task = asyncio.ensure_future(_quietly(front.reload()))
            tasks.add(task)
            task.add_done_callback(tasks.discard)

        return reload

    def _feed_watchdog(self) -> Callable[[], None]:
        """Fed by the loop's own steps: a loop that hangs feeds nothing."""
        interval = self.systemd.watchdog_interval
        last = 0.0

        def step() -> None:
            nonlocal last
            if interval is not None and self.clock.now() - last >= interval:
                last = self.clock.now()
                self.systemd.alive()

        return step

    async def _tell_ready(self, rebuilt: bool) -> None:
        await self.supervisor.until(_looked, READY_PATIENCE)
        world = self.supervisor.world
        words = f"{len(world.workloads)} workloads; engine: {world.engine.words}"
        self.systemd.ready(words)
        log.info("nodeorchd %s is ready: %s", __version__, words)


def _first_world(settings: Settings) -> World:
    total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    free = max(0, total - settings.node.memory_reserve)
    boot_id = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    node = Node(
        name=settings.node.name or "localhost",
        boot_id=boot_id,
        memory=int(free * settings.node.overcommit),
        pressure=PressureRules(
            memory=settings.pressure.memory,
            io=settings.pressure.io,
            below=settings.pressure.below,
            rest=settings.pressure.rest,
        ),
        labels=settings.node.labels,
    )
    fleet = Fleet()
    if settings.cluster.name is not None:
        fleet = Fleet(
            me=node.name,
            address=settings.cluster.address or "",
            version=__version__,
            links=settings.cluster.links,
        )
    words = f"nodeorchd {__version__} started, pid {os.getpid()}"
    return say(World(node=node, fleet=fleet), Code.DAEMON_STARTED, words)


def _spec_files(settings: Settings, shelf: Shelf) -> SpecFiles:
    return SpecFiles(
        Path(settings.paths.workloads),
        settings.defaults.memory,
        settings.volumes.allowed,
        settings.guarded,
        shelf.keep,
        settings.known_labels,
    )


def _looked(world: World) -> bool:
    return world.engine.listed_at is not None or bool(world.engine.since)


class _Part(Protocol):
    def close(self) -> Awaitable[None] | None: ...


async def _close(*parts: _Part | None) -> None:
    """One after the other; some have to be waited for."""
    for part in parts:
        closing = part.close() if part is not None else None
        if closing is not None:
            await closing


async def _quietly(reload: Awaitable[None]) -> None:
    """The database that takes no writes is reported elsewhere."""
    try:
        await reload
    except StoreError as error:
        log.error("%s", error)


async def _first_of(stop: asyncio.Event, *tasks: asyncio.Task[None]) -> None:
    """Until a signal, or until a task that should never end does: then its error is raised."""
    waiting = asyncio.create_task(stop.wait())
    done, _ = await asyncio.wait({waiting, *tasks}, return_when=asyncio.FIRST_COMPLETED)
    waiting.cancel()
    for task in done:
        if task is not waiting:
            task.result()


if __name__ == "__main__":
    main()
