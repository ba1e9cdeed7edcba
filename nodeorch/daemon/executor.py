"""One action → engine calls → a fact. No decisions: an action says all that is to be done."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from msgspec.structs import replace

from nodeorch.daemon.laid import lay, with_files
from nodeorch.daemon.oomwatch import OomWatch
from nodeorch.daemon.prestop import before_stop
from nodeorch.decide.size import size
from nodeorch.files import refused_place
from nodeorch.model import labels
from nodeorch.model.actions import (
    Action,
    CreateContainer,
    EnsureImage,
    InspectContainer,
    ListContainers,
    RemoveContainer,
    RunHook,
    StartContainer,
    StopContainer,
    UnpauseContainer,
    UpdateLimits,
)
from nodeorch.model.facts import Done, Fact, Failed, Listed
from nodeorch.model.world import Container, State
from nodeorch.ports import Cgroups, Clock, Deaths, Engine, EngineError, HookRunner, Seal, Shelf

KILL_PATIENCE = 10.0
"""Seconds from SIGKILL until an instance is reported as one that will not die."""
CONFIRM_PATIENCE = 3.0
"""Seconds for the engine to notice a death that the kernel has reported."""
CONFIRM_PAUSE = 0.004
CLEAN_PATIENCE = 5.0
"""Seconds for the engine to tear down the network of an ended container."""
CLEAN_PAUSE = 0.01

NEEDS_RECORD = (CreateContainer, RemoveContainer)
"""Not done unless its intent is on disk: it makes or ends an identity."""


class Executor:
    def __init__(
        self,
        engine: Engine,
        cgroups: Cgroups,
        deaths: Deaths,
        seal: Seal,
        hooks: HookRunner,
        shelf: Shelf,
        clock: Clock,
        inbox: Callable[[Fact], None],
        allowed: tuple[str, ...] = (),
        guarded: tuple[str, ...] = (),
    ) -> None:
        self._engine = engine
        self._cgroups = cgroups
        self._deaths = deaths
        self._seal = seal
        self._hooks = hooks
        self._shelf = shelf
        self._clock = clock
        self._inbox = inbox
        self._allowed = allowed
        self._guarded = guarded
        self._acts: Mapping[type, Callable[[Any], Awaitable[Done]]] = {
            ListContainers: self._list,
            EnsureImage: self._image,
            CreateContainer: self._create,
            StartContainer: self._start,
            StopContainer: self._stop,
            RemoveContainer: self._remove,
            UpdateLimits: self._update,
            RunHook: self._hook,
            UnpauseContainer: self._unpause,
            InspectContainer: self._inspect,
        }

    async def run(self, action: Action) -> Fact:
        """Do it; Done or Failed, never an exception of the engine's."""
        try:
            return await self._acts[type(action)](action)
        except EngineError as error:
            if error.kind == "not_found":
                await self._end_orphans(getattr(action, "container_id", ""))
            return Failed(action=action, kind=error.kind, words=error.words)
        except Exception as error:  # a bug here must not leave the key busy for ever
            words = f"internal error: {type(error).__name__}: {error}"
            return Failed(action=action, kind="refused", words=words)

    async def _list(self, action: ListContainers) -> Done:
        begun = self._clock.now()
        containers = await self._engine.list()
        known = tuple([self._known(c) for c in containers])
        self._cgroups.sweep({c.id for c in containers})
        self._inbox(Listed(containers=known, begun=begun))
        return Done(action=action)

    async def _image(self, action: EnsureImage) -> Done:
        image_id, digest = await self._engine.ensure_image(action.image, action.policy)
        return Done(action=action, image_id=image_id, image_digest=digest)

    async def _create(self, action: CreateContainer) -> Done:
        spec = action.spec
        for volume in spec.volumes:
            if volume.source is not None:
                self._check_source(volume.source)
        marks = {
            **spec.main.labels,
            labels.WORKLOAD: spec.name,
            labels.SLOT: str(action.slot),
            labels.GENERATION: str(action.generation),
            labels.TEMPLATE: action.template,
            labels.SERIAL: str(action.serial),
            labels.SEAL: self._seal.seal(action.key, action.serial),
        }
        created = await self._engine.create(
            action.key, await with_files(self._shelf, spec), action.image_id, marks, spec.resources
        )
        container = Container(
            id=created, name=action.key, state=State.CREATED, labels=marks, sealed=True
        )
        return Done(action=action, container=container)

    async def _start(self, action: StartContainer) -> Done:
        for source in action.sources:
            self._check_source(source)
        await lay(self._shelf, action.workload, action.files)
        for container_id in action.after:
            await self._until_cleaned(container_id)
        async with OomWatch(lambda: self._cgroups.oom_kills(action.container_id)) as watch:
            try:
                container = self._known(await self._engine.start(action.container_id, urgent=True))
            except EngineError as error:
                raise await self._buried(action.container_id, error) from error
        return self._looked(action, container, watch.kills)

    async def _buried(self, container_id: str, error: EngineError) -> EngineError:
        """The error, and with it an end of what stood in the way of a refused start.

        An engine that is killed in the middle of a start leaves processes of which it knows
        nothing, and refuses each later start because of them.
        """
        if error.kind != "refused":
            return error
        container = await self._engine.inspect(container_id)
        if container.state not in (State.CREATED, State.EXITED):
            return error
        killed = self._cgroups.kill(container_id)
        if not killed:
            return error
        words = f"killed {killed} processes that a start which was cut short had left"
        return EngineError("refused", f"{error.words}; {words}")

    async def _until_cleaned(self, container_id: str) -> None:
        """Until the engine has torn down what an ended container held.

        Raises EngineError("refused") where it does not in time: the port would lead nowhere.
        """
        deadline = self._clock.now() + CLEAN_PATIENCE
        while True:
            try:
                container = await self._engine.inspect(container_id)
            except EngineError as error:
                if error.kind == "not_found":
                    return
                raise
            if container.cleaned:
                return
            if self._clock.now() >= deadline:
                words = f"{container.name} has ended, and the engine still holds its host port"
                raise EngineError("refused", words)
            await asyncio.sleep(CLEAN_PAUSE)

    async def _stop(self, action: StopContainer) -> Done:
        container = await self._engine.inspect(action.container_id)
        if container.state is State.PAUSED:  # a frozen process takes no signal
            await self._engine.unpause(action.container_id)
        hook = None
        alive = container.state in (State.RUNNING, State.PAUSED, State.STOPPING) and container.pid
        if alive:
            if action.pre_stop is not None:
                hook = await before_stop(self._hooks, self._deaths, container, action.pre_stop)
            for signal, patience in ((action.signal, action.grace), ("KILL", KILL_PATIENCE)):
                await self._signal(action.container_id, signal)
                if await self._deaths.wait(container.pid, patience):
                    break
            else:
                words = f"it did not die within {KILL_PATIENCE:g} s of SIGKILL"
                raise EngineError("refused", words)
        container = await self._until_dead(action.container_id)
        return Done(action=action, container=container, hook=hook, signalled=bool(alive))

    async def _hook(self, action: RunHook) -> Done:
        end = await self._hooks.run(action.hook, action.container_id, action.address)
        return Done(action=action, hook=end)

    async def _signal(self, container_id: str, signal: str) -> None:
        try:
            await self._engine.kill(container_id, signal)
        except EngineError as error:
            if error.kind != "refused":  # refused: it is already gone, as the wait will tell
                raise

    async def _inspect(self, action: InspectContainer) -> Done:
        if action.until_dead:
            container = await self._until_dead(action.container_id)
        else:
            container = self._known(await self._engine.inspect(action.container_id))
        return self._looked(action, container)

    def _looked(self, action: Action, container: Container, kills: int | None = None) -> Done:
        """With what the kernel knows of it: its limits, or what killed it."""
        limits = None
        if container.state is State.RUNNING:
            limits = self._cgroups.limits(container.pid, container.id)
        elif container.state is State.EXITED:
            kills = self._cgroups.oom_kills(container.id) or kills
        return Done(action=action, container=container, limits=limits, oom_kills=kills)

    async def _until_dead(self, container_id: str) -> Container:
        """Inspect until the engine knows of the death, or shows a new, living process.

        What nobody will tell the engine of has ended for us; asked twice, for the telling
        may have come between the inspection and the look for who tells.
        """
        deadline = self._clock.now() + CONFIRM_PATIENCE
        untold = False
        while True:
            container = self._known(await self._engine.inspect(container_id))
            if container.state not in (State.RUNNING, State.STOPPING):
                return container
            if container.state is State.RUNNING and not await self._deaths.wait(container.pid, 0):
                return container
            if untold and not container.monitored:
                return replace(container, state=State.EXITED, pid=0, spent=True)
            untold = not container.monitored
            if self._clock.now() >= deadline:
                raise EngineError("refused", "the engine still calls a dead container running")
            await asyncio.sleep(CONFIRM_PAUSE)

    async def _remove(self, action: RemoveContainer) -> Done:
        await self._engine.remove(action.container_id)
        await self._end_orphans(action.container_id)
        return Done(action=action)

    async def _end_orphans(self, container_id: str) -> None:
        """What runs in the cgroup of a container that the engine does not have any more.

        An engine that died in the middle of a start calls it ended, and removes it, while its
        processes live on: beside their successors, if nobody ended them.
        """
        deadline = self._clock.now() + CLEAN_PATIENCE
        while container_id and self._cgroups.kill(container_id):
            if self._clock.now() >= deadline:
                break
            await asyncio.sleep(CLEAN_PAUSE)

    async def _unpause(self, action: UnpauseContainer) -> Done:
        await self._engine.unpause(action.container_id)
        container = self._known(await self._engine.inspect(action.container_id))
        return Done(action=action, container=container)

    async def _update(self, action: UpdateLimits) -> Done:
        wanted = action.resources.memory
        usage = self._cgroups.usage(action.pid, action.container_id)
        used = usage.memory if usage else None
        if wanted is not None and used is not None and used > wanted and not action.forced:
            raise EngineError(
                "refused",
                f"memory limit {size(wanted)} is below the {size(used)} in use; "
                "free memory, raise the limit, or `nodeorch apply --force` its file",
            )
        await self._engine.update(action.container_id, action.resources)
        limits = self._cgroups.limits(action.pid, action.container_id)
        return Done(action=action, limits=limits)

    def _check_source(self, source: str) -> None:
        why = refused_place(source, self._allowed, self._guarded)
        if why is not None:
            raise EngineError("refused", f"cannot mount {source}: it {why}")
        if not os.path.exists(source):
            raise EngineError("refused", f"cannot mount {source}: no such path; create it first")

    def _known(self, container: Container) -> Container:
        """What only the daemon can tell of a container: its seal, its start in boot time."""
        marks = container.labels
        serial = marks.get(labels.SERIAL, "")
        started = self._deaths.started(container.pid) if container.pid else None
        return replace(
            container,
            started=started or 0.0,
            sealed=serial.isdigit()
            and self._seal.verify(container.name, int(serial), marks.get(labels.SEAL, "")),
        )
