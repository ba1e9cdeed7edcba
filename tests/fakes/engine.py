"""ports.Engine in memory, with the processes behind it, and faults as a test scripts them.

engine = FakeEngine()
deaths, cgroups = FakeDeaths(inbox, engine), FakeCgroups(engine)
engine.faults.fail("start", nth=2)      gate = engine.faults.hang("kill")
engine.behave("db", ignores={"TERM"})   engine.die(container_id, code=1)
"""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field

from msgspec.structs import replace

from nodeorch.model.workload import Pull, Resources, Workload
from nodeorch.model.world import Container, Limits, State
from nodeorch.ports import Attach, EngineError, LogLine, PathStat
from tests.fakes.faults import Faults
from tests.fakes.files import FakeFiles
from tests.fakes.terminal import FakeTerminal

LABEL = "nodeorch.workload"
SIGNALS = {"HUP": 1, "INT": 2, "QUIT": 3, "KILL": 9, "TERM": 15}
VERSION = "fake-1"


@dataclass
class Behaviour:
    """How a workload's processes behave."""

    ignores: frozenset[str] = frozenset()
    exit_after: float | None = None
    """Seconds after its start; None: never by itself."""
    exit_code: int = 0


@dataclass
class Box:
    """One container and the process in it."""

    container: Container
    resources: Resources
    limits: Limits
    behaviour: Behaviour
    dead: asyncio.Event = field(default_factory=asyncio.Event)
    oom_kills: int = 0
    output: list[LogLine] = field(default_factory=list)
    files: FakeFiles = field(default_factory=FakeFiles)
    timer: asyncio.TimerHandle | None = None
    unnoticed: int | None = None
    """Exit code of a death that the engine has not noticed yet."""


def limits_of(resources: Resources) -> Limits:
    return Limits(
        memory=resources.memory,
        memory_high=resources.memory_high,
        swap=None if resources.memory is None else resources.swap or 0,
        cpu=resources.cpu,
        cpu_weight=resources.cpu_weight or 100,
        cpuset=resources.cpuset,
        pids=resources.pids,
        io_weight=resources.io_weight,
    )


class FakeEngine:
    def __init__(self, wall: Callable[[], float] = time.time) -> None:
        self.faults = Faults()
        self.images = {"localhost/bb:1": ("a" * 64, "sha256:" + "b" * 64)}
        """What is here: reference → (id, digest)."""
        self.registry: dict[str, tuple[str, str]] = {}
        """What can be pulled."""
        self.calls: list[tuple[str, str]] = []
        """(operation, container's or image's name), in order of their begin."""
        self.boxes: dict[str, Box] = {}
        self.made: dict[str, Workload] = {}
        """Container's name → what it was last made from."""
        self.on_death: list[Callable[[str, int], None]] = []
        self._wall = wall
        self._numbers = itertools.count(1)
        self._pids = itertools.count(100_000)
        self._behaviours: dict[str, Behaviour] = {}
        self._listeners: set[asyncio.Queue[str | None]] = set()

    # -- what a test does ----------------------------------------------------------

    def behave(
        self,
        workload: str,
        *,
        ignores: set[str] | frozenset[str] = frozenset(),
        exit_after: float | None = None,
        exit_code: int = 0,
    ) -> None:
        """From the workload's next creation on."""
        self._behaviours[workload] = Behaviour(frozenset(ignores), exit_after, exit_code)

    def die(
        self, container_id: str, code: int = 137, *, oom: bool = False, late: bool = False
    ) -> None:
        """The first process ends. ``late``: the engine calls it running until ``notice``."""
        box = self.boxes[container_id]
        if box.dead.is_set() or not box.container.pid:
            return
        if box.timer is not None:
            box.timer.cancel()
        box.oom_kills += oom
        pid = box.container.pid
        box.dead.set()
        box.unnoticed = code
        if not late:
            self.notice(container_id)
        for tell in list(self.on_death):
            tell(container_id, pid)

    def notice(self, container_id: str) -> None:
        box = self.boxes[container_id]
        if box.unnoticed is None:
            return
        code, box.unnoticed = box.unnoticed, None
        self._set(box, state=State.EXITED, exit_code=code, pid=0, address="", oom_killed=False)

    def pause(self, container_id: str) -> None:
        self._set(self.boxes[container_id], state=State.PAUSED)

    def vanish(self, container_id: str) -> None:
        """Removed by hand."""
        self.die(container_id)
        del self.boxes[container_id]
        self._tell(container_id)

    def add(self, name: str, labels: Mapping[str, str], *, state: State = State.RUNNING) -> str:
        """A container that was made by hand."""
        box = self._box(name, "", labels, Resources(), Behaviour())
        if state is State.RUNNING:
            self._run(box)
        return box.container.id

    def by_name(self, name: str) -> Container:
        return next(b.container for b in self.boxes.values() if b.container.name == name)

    def lose_power(self) -> None:
        """As after a reboot: all processes gone, every container reads "created"."""
        for box in self.boxes.values():
            box.dead.set()
            box.container = replace(
                box.container, state=State.CREATED, pid=0, exit_code=None, address=""
            )

    def break_streams(self) -> None:
        for queue in list(self._listeners):
            queue.put_nowait(None)

    # -- inside --------------------------------------------------------------------

    def _box(
        self,
        name: str,
        image_id: str,
        labels: Mapping[str, str],
        resources: Resources,
        behaviour: Behaviour,
    ) -> Box:
        container = Container(
            id=f"{next(self._numbers):064x}",
            name=name,
            state=State.CREATED,
            image_id=image_id,
            address="",
            labels=dict(labels),
        )
        box = Box(container, resources, limits_of(resources), behaviour)
        self.boxes[container.id] = box
        self._tell(container.id)
        return box

    def _run(self, box: Box) -> None:
        box.dead = asyncio.Event()
        box.limits = limits_of(box.resources)
        pid = next(self._pids)
        address = f"10.0.0.{pid % 250 + 2}"
        now = self._wall()
        self._set(
            box, state=State.RUNNING, pid=pid, exit_code=None, started_wall=now, address=address
        )
        if box.behaviour.exit_after is not None:
            loop = asyncio.get_running_loop()
            later = box.behaviour.exit_after
            code = box.behaviour.exit_code
            box.timer = loop.call_later(later, self.die, box.container.id, code)

    def _set(self, box: Box, **changes: object) -> None:
        box.container = replace(box.container, **changes)
        self._tell(box.container.id)

    def _tell(self, container_id: str) -> None:
        if not self.faults.events_lost:
            for queue in self._listeners:
                queue.put_nowait(container_id)

    async def _begin(self, operation: str, name: str = "") -> None:
        box = self.boxes.get(name)
        self.calls.append((operation, box.container.name if box else name))
        await self.faults.meet(operation)

    def _find(self, container_id: str) -> Box:
        if container_id not in self.boxes:
            raise EngineError("not_found", f"no container {container_id}")
        return self.boxes[container_id]

    def _alive(self, container_id: str) -> Box:
        box = self._find(container_id)
        if box.container.state is not State.RUNNING:
            raise EngineError("refused", f"{box.container.name} does not run")
        return box

    # -- ports.Engine --------------------------------------------------------------

    async def ping(self) -> str:
        await self._begin("ping")
        return VERSION

    async def list(self) -> tuple[Container, ...]:
        await self._begin("list")
        boxes = [box.container for box in self.boxes.values() if LABEL in box.container.labels]
        return self.faults.told(tuple(replace(c, address=None) for c in boxes))

    async def inspect(self, container_id: str) -> Container:
        await self._begin("inspect", container_id)
        return self._find(container_id).container

    async def ensure_image(
        self, image: str, policy: Pull, progress: Callable[[str], None] | None = None
    ) -> tuple[str, str]:
        await self._begin("ensure_image", image)
        if policy is not Pull.ALWAYS and image in self.images:
            return self.images[image]
        if policy is Pull.NEVER or image not in self.registry:
            raise EngineError("no_image", f"cannot pull {image}: nobody has it")
        if progress is not None:
            progress(f"pulling {image}")
        self.images[image] = self.registry[image]
        return self.images[image]

    async def create(
        self,
        name: str,
        workload: Workload,
        image_id: str,
        labels: Mapping[str, str],
        resources: Resources,
    ) -> str:
        await self._begin("create", name)
        if any(box.container.name == name for box in self.boxes.values()):
            raise EngineError("name_in_use", f"the name {name} is in use")
        if image_id not in {known for known, _ in self.images.values()}:
            raise EngineError("no_image", f"no image {image_id}")
        self.made[name] = workload
        behaviour = self._behaviours.get(workload.name, Behaviour())
        marks = {**workload.main.labels, **labels}
        return self._box(name, image_id, marks, resources, behaviour).container.id

    async def start(self, container_id: str, *, urgent: bool = False) -> Container:
        await self._begin("start", container_id)
        box = self._find(container_id)
        self.notice(container_id)
        if box.container.state is not State.RUNNING:
            self._run(box)
        return box.container

    async def kill(self, container_id: str, signal: str) -> None:
        await self._begin("kill", container_id)
        box, name = self._find(container_id), signal.removeprefix("SIG")
        if name not in box.behaviour.ignores:
            self.die(container_id, 128 + SIGNALS[name])

    async def remove(self, container_id: str) -> None:
        await self._begin("remove", container_id)
        if container_id in self.boxes:
            self.vanish(container_id)

    async def update(self, container_id: str, resources: Resources) -> None:
        await self._begin("update", container_id)
        self._alive(container_id).limits = limits_of(resources)

    async def unpause(self, container_id: str) -> None:
        await self._begin("unpause", container_id)
        box = self._find(container_id)
        if box.container.state is not State.PAUSED:
            raise EngineError("refused", f"{box.container.name} is not paused")
        self._set(box, state=State.RUNNING)

    async def rename(self, container_id: str, name: str) -> None:
        await self._begin("rename", container_id)
        self._set(self._find(container_id), name=name)

    async def events(self) -> AsyncIterator[str]:
        await self._begin("events")
        queue: asyncio.Queue[str | None] = asyncio.Queue()
        self._listeners.add(queue)
        try:
            yield ""
            while (container_id := await queue.get()) is not None:
                yield container_id
        finally:
            self._listeners.discard(queue)
        raise EngineError("unreachable", "the stream of events ended")

    async def logs(
        self, container_id: str, instance: str, *, follow: bool, tail: int | None, since: str | None
    ) -> AsyncIterator[LogLine]:
        await self._begin("logs", container_id)
        box = self._find(container_id)
        lines = [line for line in box.output if since is None or line.at >= since]
        for line in lines if tail is None else lines[max(len(lines) - tail, 0) :]:
            yield replace(line, instance=instance)
        if follow:
            await box.dead.wait()

    async def exec(
        self, container_id: str, command: Sequence[str], timeout: float
    ) -> tuple[int, str]:
        """``true``, ``false``, ``echo WORDS``, and ``sleep SECONDS`` are known."""
        await self._begin("exec", container_id)
        self._alive(container_id)
        match list(command):
            case ["echo", *words]:
                return 0, " ".join(words) + "\n"
            case ["sleep", seconds] if float(seconds) > timeout:
                await asyncio.sleep(timeout)
                return 124, ""
            case ["sleep", seconds]:
                await asyncio.sleep(float(seconds))
                return 0, ""
            case ["true"] | ["false"]:
                return int(command[0] == "false"), ""
        return 127, f"{command[0]}: not found"

    async def terminal(self, container_id: str, attach: Attach) -> FakeTerminal:
        await self._begin("terminal", container_id)
        self._alive(container_id)
        return FakeTerminal(attach)

    async def stat(self, container_id: str, path: str) -> PathStat | None:
        await self._begin("stat", container_id)
        return self._find(container_id).files.stat(path)

    async def read_archive(self, container_id: str, path: str) -> AsyncIterator[bytes]:
        await self._begin("read_archive", container_id)
        async for piece in self._find(container_id).files.read(path):
            yield piece

    async def write_archive(self, container_id: str, path: str, data: AsyncIterator[bytes]) -> None:
        await self._begin("write_archive", container_id)
        await self._find(container_id).files.write(path, data)

    async def close(self) -> None:
        self.break_streams()
        for box in self.boxes.values():
            if box.timer is not None:
                box.timer.cancel()
