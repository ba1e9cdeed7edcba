"""ports.Deaths: first processes watched by pidfd, the fastest word of a death there is."""

from __future__ import annotations

import asyncio
import logging
import os
import select
from collections.abc import Callable, Mapping

from msgspec import Struct

from nodeorch.model.facts import Died
from nodeorch.ports import Inbox

log = logging.getLogger(__name__)

TICKS = os.sysconf("SC_CLK_TCK")


class _Watch(Struct):
    container_id: str
    pid: int
    handle: int = -1
    """A pidfd; -1: dead and told, or not watchable."""


class PidfdDeaths:
    """Lives in one event loop.

    ``oom_kills`` counts a container's OOM kills, by its id; ``belongs`` tells whether
    a pid is in a container's cgroup: pids are used again.
    """

    def __init__(
        self,
        inbox: Inbox,
        oom_kills: Callable[[str], int | None],
        belongs: Callable[[int, str], bool],
    ) -> None:
        self._inbox = inbox
        self._oom_kills = oom_kills
        self._belongs = belongs
        self._watches: dict[str, _Watch] = {}

    def sync(self, wanted: Mapping[str, tuple[str, int]]) -> None:
        """A process that is dead already, or whose pid is another's now, is told at once.

        Each death is told once, as long as the same is wanted.
        """
        for instance, watch in list(self._watches.items()):
            if wanted.get(instance) != (watch.container_id, watch.pid):
                self._drop(watch)
                del self._watches[instance]
        for instance, (container_id, pid) in wanted.items():
            if pid > 0 and instance not in self._watches:
                self._watches[instance] = watch = _Watch(container_id, pid)
                self._begin(instance, watch)

    def _begin(self, instance: str, watch: _Watch) -> None:
        try:
            watch.handle = os.pidfd_open(watch.pid)
        except ProcessLookupError:
            self._tell(instance, watch)
            return
        except OSError as error:
            log.warning("cannot watch process %d of %s: %s", watch.pid, instance, error)
            return
        # Asked after the handle is open: from here on it cannot become another's.
        if not self._belongs(watch.pid, watch.container_id):
            self._tell(instance, watch)
            return
        asyncio.get_running_loop().add_reader(watch.handle, self._tell, instance, watch)

    def _tell(self, instance: str, watch: _Watch) -> None:
        self._drop(watch)
        kills = self._oom_kills(watch.container_id)
        self._inbox(Died(instance, watch.container_id, watch.pid, kills))

    def _drop(self, watch: _Watch) -> None:
        if watch.handle >= 0:
            asyncio.get_running_loop().remove_reader(watch.handle)
            os.close(watch.handle)
            watch.handle = -1

    async def wait(self, pid: int, timeout: float) -> bool:
        handle = self._handle(pid)
        if handle is None:
            return True
        loop = asyncio.get_running_loop()
        dead = asyncio.Event()
        loop.add_reader(handle, dead.set)
        try:
            if select.select([handle], [], [], 0)[0]:
                return True
            await asyncio.wait_for(dead.wait(), timeout)
        except TimeoutError:
            return False
        finally:
            loop.remove_reader(handle)
            os.close(handle)
        return True

    def _handle(self, pid: int) -> int | None:
        """A pidfd to wait with; None: dead. A pid that is another's now is dead, too."""
        watch = next((watch for watch in self._watches.values() if watch.pid == pid), None)
        if watch is not None and watch.handle >= 0:
            return os.dup(watch.handle)
        try:
            handle = os.pidfd_open(pid)
        except ProcessLookupError:
            return None
        if watch is not None and not self._belongs(pid, watch.container_id):
            os.close(handle)
            return None
        return handle

    def started(self, pid: int) -> float | None:
        """By the kernel: no step of the wall clock moves it. proc_pid_stat(5), field 22."""
        try:
            with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as file:
                ticks = file.read().rpartition(")")[2].split()[19]
        except OSError:
            return None
        return int(ticks) / TICKS

    def close(self) -> None:
        for watch in self._watches.values():
            self._drop(watch)
        self._watches.clear()
