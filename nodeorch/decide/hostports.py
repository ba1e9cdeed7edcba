"""Host ports: who must have let go of one before the next can have it.

Reads every instance's host ports. Promises: an instance does not start beside one that is
about to give up its port, and is told which ended ones may still hold it. An engine tears
the network of an ended container down some time after its death: netavark's rules of two
containers on one network and port are in part the same, so that a late teardown takes
away the successor's, whose port then leads nowhere.
"""

from __future__ import annotations

from nodeorch.decide.ready import own_workload
from nodeorch.model.workload import Protocol, Workload
from nodeorch.model.world import Instance, WorkloadState, World

Key = tuple[int, Protocol]


def host_ports(workload: Workload) -> set[Key]:
    return {(p.host, p.protocol) for p in workload.ports if p.host}


class HostPorts:
    """The node's host ports in one turn of planning."""

    def __init__(self, world: World) -> None:
        self._holders: dict[Key, list[tuple[WorkloadState, Instance]]] = {}
        for state in world.workloads.values():
            for instance in state.instances.values():
                for key in host_ports(own_workload(state, instance)):
                    self._holders.setdefault(key, []).append((state, instance))

    def leaving(self, state: WorkloadState, instance: Instance) -> Instance | None:
        """One that still runs on a port of this instance's, and is to be stopped."""
        for key in host_ports(own_workload(state, instance)):
            for theirs, other in self._holders.get(key, ()):
                alive = other.running or other.record.up
                if other is not instance and alive and _is_to_stop(theirs, other):
                    return other
        return None

    def ended(self, state: WorkloadState, instance: Instance) -> tuple[str, ...]:
        """Containers that do not run and may still hold a port of this instance's."""
        keys = host_ports(own_workload(state, instance))
        if not keys:
            return ()
        # Of a version that was given up the ports are not remembered: it counts, too.
        others = {i.name: i for i in state.instances.values()}
        others |= {i.name: i for key in keys for _, i in self._holders.get(key, ())}
        del others[instance.name]
        return tuple(
            i.record.container_id for i in others.values() if i.record.runs and not i.running
        )


def _is_to_stop(state: WorkloadState, instance: Instance) -> bool:
    own = instance.record
    given_up = state.record.deleting or state.record.stopped or own.removing
    return given_up or own.stopping is not None or instance.doom is not None
