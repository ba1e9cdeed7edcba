"""A storm: the pretended engine with everything that can go wrong between asking and knowing.

An action is begun, takes effect and is answered at three moments; between them anything may
happen: the answer can be lost, the act can happen late or never, the daemon can be killed and
the host restarted. After each event the safety rules hold, whatever was lost.
"""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec.structs import replace

from nodeorch.decide.absorb import absorb
from nodeorch.decide.plan import plan
from nodeorch.decide.ready import own_workload
from nodeorch.decide.replicas import shared_between
from nodeorch.model.actions import (
    Action,
    CreateContainer,
    EnsureImage,
    ListContainers,
    Plan,
    StartContainer,
    StopContainer,
    UpdateLimits,
)
from nodeorch.model.facts import Done, EngineSeen, Fact, Failed, Listed, Loaded
from nodeorch.model.workload import Workload
from nodeorch.model.world import Container, State, World
from tests.decide.story import Story

ALIVE = (State.RUNNING, State.PAUSED)


class Flight:
    """An action between its begin and its answer."""

    def __init__(self, action: Action) -> None:
        self.action = action
        self.facts: list[Fact] | None = None
        """What the engine will say; None: it has not acted yet."""


class Storm(Story):
    def __init__(self, *specs: Workload, **more: Any) -> None:
        super().__init__(*specs, **more)
        self.flight: list[Flight] = []
        self.late: list[Action] = []
        """Asked for, given up by the daemon, and yet to happen in the engine."""
        self.made_of: dict[str, Workload] = {}
        """Container id → the spec it was created from."""
        self.admitted: dict[str, int] = {}
        """Container id → bytes of memory that it was started or last limited with."""
        self.images_gone = False
        self.meddled = False
        """Something ran or was limited without the daemon's asking: it cannot prevent all."""
        self.failures: dict[tuple[str, str], list[float]] = {}

    # the daemon ---------------------------------------------------------------------------

    def tell(self, fact: Fact) -> Story:
        before = msgspec.json.encode(self.world.workloads)
        after = absorb(self.world, fact, self.now)
        assert msgspec.json.encode(self.world.workloads) == before, "absorb changed its input"
        self.world = after
        self._drain()
        return self

    def plan(self) -> Plan:
        """What is planned; the same again; and the same when nothing is passed by as settled."""
        first = super().plan()
        assert plan(self.world, self.now) == first, "plan is not pure"
        states = {n: replace(s, settled=False) for n, s in self.world.workloads.items()}
        full = plan(replace(self.world, workloads=states), self.now)
        assert (full.actions, full.wake_at) == (first.actions, first.wake_at), "not settled"
        if self.world.engine.answering:
            assert full.holds == first.holds
        return first

    def step(self) -> tuple[Action, ...]:
        actions = self.plan().actions
        for action in actions:
            if isinstance(action, StartContainer):
                self._may_start(action)
                self._admit(action)
        begun = super().step()
        self.flight += [Flight(a) for a in begun]
        if not self.meddled:
            self._memory_is_not_promised_twice()
        return begun

    def restart_daemon(self, *, boot_id: str | None = None, now: float | None = None) -> None:
        """Killed at this moment; the next daemon knows what was on disk, and nothing else."""
        states = self.world.workloads
        desired = {n: s.record for n, s in states.items()}
        instances = {i.name: i.record for s in states.values() for i in s.instances.values()}
        node = replace(self.world.node, boot_id=boot_id or self.world.node.boot_id)
        serial = self.world.serial
        self.flight.clear()
        self.failures.clear()
        self.world = World(node=node)
        self.now = self.now + 1 if now is None else now
        self.tell(Loaded(desired=desired, instances=instances, serial=serial))
        self.specs()
        self.tell(EngineSeen(answering=True, words="answers"))

    def reboot(self, boot: int, created: bool) -> None:
        """Nothing that was asked happens any more; containers lie as the engine finds them."""
        self.late.clear()
        for own, c in self.containers.items():
            state = State.CREATED if created else State.EXITED
            never = c.state is State.CREATED
            self.containers[own] = replace(
                c, state=State.CREATED if never else state, pid=0, exit_code=0
            )
        self.restart_daemon(boot_id=f"boot-{boot}", now=20.0 + boot)

    # the engine ---------------------------------------------------------------------------

    def effect(self, flight: Flight) -> None:
        """The engine acts; its answer is on its way."""
        self.now += 0.001
        if flight.facts is None:
            flight.facts = self._acted(flight.action)

    def deliver(self, flight: Flight) -> None:
        self.effect(flight)
        self.flight.remove(flight)
        self.done.append(flight.action)
        for fact in flight.facts or ():
            if isinstance(fact, Failed):
                self._count_failure(flight.action)
            self.tell(fact)

    def lose(self, flight: Flight, kind: str, acts: str) -> None:
        """An answer of that kind instead of the true one; ``acts``: now | late | never."""
        if acts == "now":
            self.effect(flight)
        elif acts == "late" and flight.facts is None:
            self.late.append(flight.action)
        self.flight.remove(flight)
        self._count_failure(flight.action)
        self.tell(Failed(action=flight.action, kind=kind, words=f"{kind}!"))

    def fly(self, verb: str, number: int) -> Flight | None:
        """Do or answer one that is under way; it is given back when it is to be lost instead."""
        if not self.flight:
            self.step()
            return None
        flight = self.flight[number % len(self.flight)]
        if verb == "effect":
            self.effect(flight)
        elif verb == "answer":
            self.deliver(flight)
        else:
            return flight
        return None

    def happen_late(self) -> None:
        if self.late:
            self.meddled = True
            self._acted(self.late.pop(0))

    def obey(self, action: Action) -> Story:
        flight = next(f for f in self.flight if f.action is action)
        self.deliver(flight)
        return self

    def _acted(self, action: Action) -> list[Fact]:
        if isinstance(action, ListContainers):
            told = tuple(replace(c, address=None) for c in self.containers.values())
            return [Listed(containers=told, begun=self.now), Done(action=action)]
        return [self.answer(action)]

    def _image(self, action: Action) -> Fact:
        self.images_gone = False  # it was pulled again
        return super()._image(action)

    def _create(self, action: Action) -> Fact:
        assert isinstance(action, CreateContainer)
        if self.images_gone:
            return Failed(action=action, kind="no_image", words="no such image")
        fact = super()._create(action)
        if isinstance(fact, Done) and fact.container:
            self.made_of[fact.container.id] = action.spec
        return fact

    def _start(self, action: Action) -> Fact:
        assert isinstance(action, StartContainer)
        mine = self.ports[action.container_id]
        if self.containers[action.container_id].state not in ALIVE:
            for other in self.containers.values():
                if other.state in ALIVE and mine & self.ports.get(other.id, set()):
                    return Failed(action=action, kind="refused", words="port is taken")
        return super()._start(action)

    def _stop(self, action: Action) -> Fact:
        assert isinstance(action, StopContainer)
        container = self.containers[action.container_id]
        if container.state not in ALIVE:
            return Done(action=action, container=container)
        return super()._stop(action)

    def add_stranger(self, name: str) -> None:
        if not any(c.name == name for c in self.containers.values()):
            self._ids += 1
            own = f"x{self._ids}"
            self.containers[own] = Container(id=own, name=name, state=State.EXITED)
            self.ports[own] = set()

    # the rules ----------------------------------------------------------------------------

    def check(self) -> None:
        """What holds at every moment as long as nobody meddles."""
        self.plan()
        if self.meddled:
            return
        alive = [c for c in self.containers.values() if c.state in ALIVE]
        slots: dict[str, list[Container]] = {}
        for container in alive:
            slots.setdefault(container.name.rpartition(".")[0], []).append(container)
        for held in slots.values():
            assert len(held) <= 2, f"{[c.name for c in held]} run in one slot"
            if len(held) == 2:
                shared = shared_between(self.made_of[held[0].id], self.made_of[held[1].id])
                assert shared is None, f"{[c.name for c in held]}: {shared}"
        total = sum(self.admitted[c.id] for c in alive)
        assert total <= self.world.node.memory, f"{total} bytes of memory are given away"

    def _may_start(self, action: StartContainer) -> None:
        """As far as the daemon knows: nothing that shares with it runs, or is being started."""
        state = self.world.workloads[action.workload]
        own = state.instances[action.key]
        for other in state.instances.values():
            if other is own or other.record.slot != own.record.slot:
                continue
            if other.running or other.record.up:
                one = self.made_of[own.record.container_id]
                shared = shared_between(one, self.made_of[other.record.container_id])
                assert shared is None, f"{own.name} starts beside {other.name}: {shared}"

    def _admit(self, action: StartContainer) -> None:
        """A limit lowered since its creation counts from the start, and is applied after it."""
        state = self.world.workloads[action.workload]
        ask = own_workload(state, state.instances[action.key]).resources.memory or 0
        held = self.limits[action.container_id].memory or 0
        self.admitted[action.container_id] = min(held, ask)

    def _update(self, action: Action) -> Fact:
        fact = super()._update(action)
        assert isinstance(action, UpdateLimits)
        self.admitted[action.container_id] = self.limits[action.container_id].memory or 0
        return fact

    def _memory_is_not_promised_twice(self) -> None:
        """What runs, what is being started and raises under way fit together."""
        held = {c.id: self.admitted[c.id] for c in self.containers.values() if c.state in ALIVE}
        for flight in self.flight:
            action = flight.action
            if isinstance(action, StartContainer) and action.container_id in self.containers:
                held[action.container_id] = self.admitted[action.container_id]
            elif isinstance(action, UpdateLimits):
                asked = action.resources.memory or 0
                held[action.container_id] = max(asked, held.get(action.container_id, 0))
        assert sum(held.values()) <= self.world.node.memory, f"promised twice: {held}"

    def _count_failure(self, action: Action) -> None:
        """What fails is not tried again and again without a pause."""
        if isinstance(action, EnsureImage) and "missing" not in action.image:
            return
        at = self.failures.setdefault((type(action).__name__, action.key), [])
        at.append(self.now)
        if len(at) >= 4:
            assert at[-1] - at[-4] > 0.05, f"{type(action).__name__} {action.key} is hot: {at}"
