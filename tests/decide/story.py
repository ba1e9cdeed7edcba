"""A story: facts go in, actions are expected, an obedient (or faulty) pretended engine answers.

``Story`` holds the world, a clock that only moves when told, and containers as the engine
would have them. It refuses impossible worlds: an action for a key that is in flight, a
second container of one name, two running containers that hold one host port.
"""

from __future__ import annotations

from collections.abc import Callable

from msgspec.structs import replace

from nodeorch.decide.absorb import absorb
from nodeorch.decide.plan import plan
from nodeorch.decide.results import begin
from nodeorch.decide.waits import waits_told
from nodeorch.model import labels
from nodeorch.model.actions import (
    Action,
    CreateContainer,
    EnsureImage,
    InspectContainer,
    ListContainers,
    Plan,
    RemoveContainer,
    RunHook,
    StartContainer,
    StopContainer,
    UnpauseContainer,
    UpdateLimits,
)
from nodeorch.model.facts import (
    Command,
    Died,
    Done,
    EngineSeen,
    Fact,
    Failed,
    HookEnd,
    Listed,
    Loaded,
    ProbeSeen,
    SpecsSeen,
    Tick,
)
from nodeorch.model.workload import Main, Resources, Workload
from nodeorch.model.world import Container, Instance, Limits, Node, State, World

MIB = 1 << 20


def workload(name: str = "web", image: str = "localhost/web:1", **parts: object) -> Workload:
    main = {k: parts.pop(k) for k in list(parts) if k in Main.__struct_fields__}
    parts.setdefault("resources", Resources(memory=64 * MIB))
    return Workload(main=Main(name=name, image=image, **main), **parts)  # type: ignore[arg-type]


class Story:
    def __init__(self, *specs: Workload, memory: int = 1 << 40, boot_id: str = "boot-1") -> None:
        self.now = 1000.0
        self.world = World(node=Node(name="h1", boot_id=boot_id, memory=memory))
        self.containers: dict[str, Container] = {}
        self.faults: dict[str, str] = {}
        """Container name → kind of failure of its next start."""
        self.hooks: dict[str, HookEnd] = {}
        """Instance → what comes of its post-start hooks; without, they pass."""
        self.limits: dict[str, Limits] = {}
        self.ports: dict[str, set[int]] = {}
        self.words: list[str] = []
        self.done: list[Action] = []
        self._ids = 0
        self.files = {w.name: w for w in specs}

    # what happens -------------------------------------------------------------------------

    def tell(self, fact: Fact) -> Story:
        self.world = absorb(self.world, fact, self.now)
        self._drain()
        return self

    def specs(self, *specs: Workload, **more: object) -> Story:
        for spec in specs:
            self.files[spec.name] = spec
        return self.tell(SpecsSeen(workloads=dict(self.files), **more))  # type: ignore[arg-type]

    def up(self) -> Story:
        self.tell(Loaded(desired={}, instances={}, serial=0))
        self.specs()
        self.tell(EngineSeen(answering=True, words="answers"))
        return self.settle()

    def command(self, verb: str, name: str = "web", **more: object) -> Story:
        return self.tell(Command(verb=verb, workload=name, by="uid 0", **more))  # type: ignore[arg-type]

    def die(self, name: str, code: int = 137, oom: bool = False) -> Story:
        """The first process dies; the kernel tells."""
        container = self.containers[self._id(name)]
        self.containers[container.id] = replace(
            container, state=State.EXITED, pid=0, exit_code=code, oom_killed=oom
        )
        return self.tell(
            Died(instance=name, container_id=container.id, pid=container.pid, oom_kills=int(oom))
        )

    def probe(self, name: str, passed: bool, kind: str = "readiness") -> Story:
        return self.tell(
            ProbeSeen(
                instance=name,
                container_id=self._id(name),
                probe=kind,
                passed=passed,
                words="" if passed else "connection refused",
            )
        )

    def wait(self, seconds: float) -> Story:
        self.now += seconds
        return self.tell(Tick())

    def relist(self) -> Story:
        self.now += 0.01
        begun = self.now
        self.now += 0.01
        return self.tell(Listed(containers=tuple(self.containers.values()), begun=begun))

    # what is decided ----------------------------------------------------------------------

    def plan(self) -> Plan:
        return plan(self.world, self.now)

    def step(self) -> tuple[Action, ...]:
        """Plan once and begin what was planned, without an answer yet."""
        plan = self.plan()
        self.world = waits_told(self.world, plan, self.now)
        actions = plan.actions
        keys = [a.key for a in actions]
        assert len(set(keys)) == len(keys), "two actions for one key"
        for action in actions:
            assert action.key not in self.world.busy, f"{action.key} is in flight"
            assert action.why.words, "an action without a reason"
            self.world = begin(self.world, action, self.now)
        self._drain()
        return actions

    def settle(self, most: int = 60) -> Story:
        """Plan and obey until nothing more is to be done at this moment."""
        for _ in range(most):
            actions = self.step()
            if not actions:
                return self
            for action in actions:
                self.obey(action)
        raise AssertionError(f"no rest after {most} rounds: {self.step()}")

    def until(self, kind: type) -> Action:
        """Obey until an action of that kind is begun; it stays without an answer."""
        for _ in range(20):
            for action in self.step():
                if isinstance(action, kind):
                    return action
                self.obey(action)
        raise AssertionError(f"no {kind.__name__} was planned")

    def obey(self, action: Action) -> Story:
        """Do as the engine would, and tell."""
        self.now += 0.001
        self.done.append(action)
        return self.tell(self.answer(action))

    def answer(self, action: Action) -> Fact:
        handler: Callable[[Action], Fact] = {
            ListContainers: self._list,
            EnsureImage: self._image,
            CreateContainer: self._create,
            StartContainer: self._start,
            StopContainer: self._stop,
            RemoveContainer: self._remove,
            UpdateLimits: self._update,
            RunHook: self._hook,
            UnpauseContainer: self._inspect,
            InspectContainer: self._inspect,
        }[type(action)]
        own = getattr(action, "container_id", "")
        if own and own not in self.containers and not isinstance(action, RemoveContainer):
            return Failed(action=action, kind="not_found", words="no such container")
        return handler(action)

    # looking ------------------------------------------------------------------------------

    def instance(self, name: str) -> Instance:
        return self.world.workloads[name.partition(".")[0]].instances[name]

    def running(self) -> set[str]:
        return {c.name for c in self.containers.values() if c.state is State.RUNNING}

    def took(self, kind: type, since: int = 0) -> list[str]:
        return [a.key for a in self.done[since:] if isinstance(a, kind)]

    def holds(self) -> list[str]:
        return [
            f"{h.instance or h.workload}: {h.why.code.value}: {h.why.words}"
            for h in self.plan().holds
        ]

    # the pretended engine -----------------------------------------------------------------

    def _id(self, name: str) -> str:
        return next(c.id for c in self.containers.values() if c.name == name)

    def _drain(self) -> None:
        self.words += [f"{n.why.code.value}: {n.why.words}" for n in self.world.notes]
        self.world = replace(self.world, notes=())

    def _list(self, action: Action) -> Fact:
        begun = self.now
        self.now += 0.001
        self.tell(Listed(containers=tuple(self.containers.values()), begun=begun))
        return Done(action=action)

    def _image(self, action: Action) -> Fact:
        assert isinstance(action, EnsureImage)
        if "missing" in action.image:
            return Failed(action=action, kind="no_image", words="manifest unknown")
        return Done(action=action, image_id="id-" + action.image, image_digest="sha256:1")

    def _create(self, action: Action) -> Fact:
        assert isinstance(action, CreateContainer)
        if any(c.name == action.key for c in self.containers.values()):
            return Failed(action=action, kind="name_in_use", words="name is in use")
        self._ids += 1
        container = Container(
            id=f"c{self._ids}",
            name=action.key,
            state=State.CREATED,
            image_id=action.image_id,
            sealed=True,
            labels={
                labels.WORKLOAD: action.workload,
                labels.SLOT: str(action.slot),
                labels.GENERATION: str(action.generation),
                labels.TEMPLATE: action.template,
                labels.SERIAL: str(action.serial),
            },
        )
        self.containers[container.id] = container
        self.ports[container.id] = {p.host for p in action.spec.ports if p.host}
        resources = action.spec.resources
        self.limits[container.id] = Limits(
            memory=resources.memory, cpu=resources.cpu, pids=resources.pids
        )
        return Done(action=action, container=container)

    def _start(self, action: Action) -> Fact:
        assert isinstance(action, StartContainer)
        container = self.containers[action.container_id]
        if container.name in self.faults:
            return Failed(action=action, kind=self.faults[container.name], words="port is taken")
        if container.state is not State.RUNNING:
            self._torn_down_first(container, action.after)
            self._ids += 1
            container = replace(
                container,
                state=State.RUNNING,
                pid=5000 + self._ids,
                exit_code=None,
                oom_killed=False,
                started=self.now,
                started_wall=self.now + 1e9,
                address="10.88.0.2",
            )
            self.containers[container.id] = container
            self._no_two_hold_one_port()
        return Done(action=action, container=container, limits=self.limits[container.id])

    def _stop(self, action: Action) -> Fact:
        assert isinstance(action, StopContainer)
        container = replace(
            self.containers[action.container_id], state=State.EXITED, pid=0, exit_code=143
        )
        self.containers[container.id] = container
        return Done(action=action, container=container)

    def _remove(self, action: Action) -> Fact:
        assert isinstance(action, RemoveContainer)
        self.containers.pop(action.container_id, None)
        return Done(action=action)

    def _update(self, action: Action) -> Fact:
        assert isinstance(action, UpdateLimits)
        r = action.resources
        self.limits[action.container_id] = Limits(memory=r.memory, cpu=r.cpu, pids=r.pids)
        return Done(action=action, limits=self.limits[action.container_id])

    def _hook(self, action: Action) -> Fact:
        assert isinstance(action, RunHook)
        good = action.hook.exec != ("bad",)
        end = self.hooks.get(action.instance, HookEnd(passed=good, words="it ended"))
        return Done(action=action, hook=end)

    def _inspect(self, action: Action) -> Fact:
        assert isinstance(action, InspectContainer | UnpauseContainer)
        container = self.containers[action.container_id]
        if isinstance(action, UnpauseContainer):
            container = replace(container, state=State.RUNNING)
            self.containers[container.id] = container
        limits = self.limits[container.id] if container.pid else None
        return Done(action=action, container=container, limits=limits)

    def _torn_down_first(self, container: Container, after: tuple[str, ...]) -> None:
        """What has run on its port is torn down before it starts."""
        for other in self.containers.values():
            ran = other.state is State.EXITED and other.id != container.id
            if ran and self.ports[other.id] & self.ports[container.id]:
                assert other.id in after, f"{container.name} did not wait for {other.name}"

    def _no_two_hold_one_port(self) -> None:
        held: dict[int, str] = {}
        for container in self.containers.values():
            if container.state is State.RUNNING:
                for port in self.ports[container.id]:
                    assert port not in held, f"{container.name} and {held[port]} share a port"
                    held[port] = container.name
