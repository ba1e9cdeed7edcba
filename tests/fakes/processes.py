"""ports.Deaths and ports.Cgroups over the processes of a FakeEngine."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from collections.abc import Set as AbstractSet

from nodeorch.model.facts import Died
from nodeorch.model.world import Limits
from nodeorch.ports import Inbox, Usage
from tests.fakes.engine import Box, FakeEngine


class FakeDeaths:
    """ports.Deaths over the fake's processes."""

    def __init__(self, inbox: Inbox, engine: FakeEngine) -> None:
        self._inbox = inbox
        self._engine = engine
        self._wanted: dict[str, tuple[str, int]] = {}
        self._told: set[tuple[str, str, int]] = set()
        engine.on_death.append(self._died)

    def sync(self, wanted: Mapping[str, tuple[str, int]]) -> None:
        self._wanted = dict(wanted)
        self._told = {told for told in self._told if self._wanted.get(told[0]) == told[1:]}
        for instance, (container_id, pid) in self._wanted.items():
            if pid > 0 and not self._lives(pid):
                self._tell(instance, container_id, pid)

    async def wait(self, pid: int, timeout: float) -> bool:
        box = next((b for b in self._engine.boxes.values() if b.container.pid == pid), None)
        if box is None or box.dead.is_set():
            return True
        try:
            await asyncio.wait_for(box.dead.wait(), timeout)
        except TimeoutError:
            return False
        return True

    def started(self, pid: int) -> float | None:
        return None  # then a run begins when it is seen

    def close(self) -> None:
        self._wanted.clear()
        self._engine.on_death.remove(self._died)

    def _lives(self, pid: int) -> bool:
        boxes = self._engine.boxes.values()
        return any(b.container.pid == pid and not b.dead.is_set() for b in boxes)

    def _died(self, container_id: str, pid: int) -> None:
        for instance, wanted in self._wanted.items():
            if wanted == (container_id, pid):
                self._tell(instance, container_id, pid)

    def _tell(self, instance: str, container_id: str, pid: int) -> None:
        if (instance, container_id, pid) not in self._told:
            self._told.add((instance, container_id, pid))
            box = self._engine.boxes.get(container_id)
            kills = box.oom_kills if box else None
            self._inbox(Died(instance, container_id, pid, kills))


class FakeCgroups:
    """ports.Cgroups over the fake's containers. ``memory`` is what all of them use."""

    def __init__(self, engine: FakeEngine, now: Callable[[], float] = time.monotonic) -> None:
        self._engine = engine
        self._now = now
        self.memory = 1 << 20
        self.swept: list[AbstractSet[str]] = []
        self.left: dict[str, int] = {}
        """Container → processes of which the engine knows nothing."""

    def _box(self, pid: int, container_id: str) -> Box | None:
        box = self._engine.boxes.get(container_id)
        return box if box and box.container.pid == pid and not box.dead.is_set() else None

    def limits(self, pid: int, container_id: str) -> Limits | None:
        box = self._box(pid, container_id)
        return box.limits if box else None

    def usage(self, pid: int, container_id: str) -> Usage | None:
        box = self._box(pid, container_id)
        return Usage(self.memory, 0.0, box.oom_kills, self._now()) if box else None

    def oom_kills(self, container_id: str) -> int | None:
        box = self._engine.boxes.get(container_id)
        return box.oom_kills if box else None

    def kill(self, container_id: str) -> int:
        return self.left.pop(container_id, 0)

    def sweep(self, left: AbstractSet[str]) -> None:
        self.swept.append(left)

    def belongs(self, pid: int, container_id: str) -> bool:
        return self._box(pid, container_id) is not None
