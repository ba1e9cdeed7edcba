"""Which first processes to watch and which probes to run, for one workload.

Reads its instances. Promises: nothing is probed before its post-start hook and its startup
probe have passed, and nothing is watched that does not run.
"""

from __future__ import annotations

from nodeorch.decide.ready import awaited_hook, own_workload
from nodeorch.model.world import Instance, State, WorkloadState
from nodeorch.ports import ProbeTarget


def processes(state: WorkloadState) -> dict[str, tuple[str, int]]:
    """instance → (container id, pid of its first process)."""
    return {
        name: (i.record.container_id, i.pid)
        for name, i in state.instances.items()
        if i.running and i.pid and i.died_at is None
    }


def probes(state: WorkloadState) -> dict[tuple[str, str], ProbeTarget]:
    """(instance, kind) → what to probe."""
    wanted: dict[tuple[str, str], ProbeTarget] = {}
    for instance in state.instances.values():
        if instance.state is not State.RUNNING or instance.died_at is not None:
            continue
        for target in _targets(state, instance):
            wanted[instance.name, target.kind] = target
    return wanted


def _targets(state: WorkloadState, instance: Instance) -> list[ProbeTarget]:
    if awaited_hook(state, instance) is not None:
        return []
    probes = own_workload(state, instance).probes
    if probes.startup is not None and not instance.record.startup_passed:
        kinds = {"startup": probes.startup}
    else:
        kinds = {
            kind: probe
            for kind, probe in (("readiness", probes.readiness), ("liveness", probes.liveness))
            if probe is not None
        }
    return [
        ProbeTarget(
            instance=instance.name,
            container_id=instance.record.container_id,
            kind=kind,
            address=instance.address or "",
            probe=probe,
            run=str(instance.running_since),
        )
        for kind, probe in kinds.items()
        if probe.exec is not None or instance.address
    ]
