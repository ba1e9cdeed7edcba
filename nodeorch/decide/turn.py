"""One turn of planning: the world it looks at, and what it has decided so far."""

from __future__ import annotations

from nodeorch.decide.hostports import HostPorts
from nodeorch.decide.room import Room
from nodeorch.model.actions import Action, Hold, Plan
from nodeorch.model.world import Why, World


class Turn:
    """Collects actions, holds and the earliest wake-up; local to one call of ``plan``."""

    def __init__(self, world: World, now: float) -> None:
        self.world = world
        self.now = now
        self.serial = world.serial
        self._room: Room | None = None
        self._host_ports: HostPorts | None = None
        self._actions: dict[str, Action] = {}
        self._holds: list[Hold] = []
        self._wake_at: float | None = None

    @property
    def room(self) -> Room:
        """Looked at only where somebody asks for it: it reads all instances."""
        if self._room is None:
            self._room = Room(self.world)
        return self._room

    @property
    def host_ports(self) -> HostPorts:
        """Looked at only where something starts."""
        if self._host_ports is None:
            self._host_ports = HostPorts(self.world)
        return self._host_ports

    def busy(self, key: str) -> bool:
        return key in self.world.busy or key in self._actions

    def hooks(self, workload: str) -> int:
        """Hooks of a workload that are under way."""
        keys = (*self.world.busy, *self._actions)
        return sum(1 for key in keys if "#hook" in key and key.startswith(workload + "."))

    def act(self, action: Action) -> None:
        assert not self.busy(action.key), f"two actions for {action.key}"
        self._actions[action.key] = action

    def hold(self, workload: str, instance: str, why: Why, until: float | None = None) -> None:
        self._holds.append(Hold(workload=workload, instance=instance, why=why, until=until))
        if until is not None:
            self.wake(until)

    def wake(self, at: float) -> None:
        if self._wake_at is None or at < self._wake_at:
            self._wake_at = at

    def next_serial(self) -> int:
        self.serial += 1
        return self.serial

    def result(self) -> Plan:
        return Plan(
            actions=tuple(self._actions.values()),
            holds=tuple(self._holds),
            wake_at=self._wake_at,
        )
