"""What befell the workloads between two worlds: restarts, ends, OOM kills, updates.

Reads both worlds' workloads and nothing else; a workload whose state is the same object costs
one comparison. Promises: an adopted instance has not been restarted, whatever ran before this
daemon did; what is told is told once.
"""

from __future__ import annotations

from collections.abc import Iterator

from nodeorch.decide.restart import NOT_ITS_FAULT
from nodeorch.model.happened import Happened
from nodeorch.model.world import Code, Instance, State, WorkloadState, World


def happened(before: World, after: World) -> Iterator[Happened]:
    old, new = before.workloads, after.workloads
    if old is new:
        return
    for name, state in new.items():
        was = old.get(name)
        if was is None or was is state:
            continue
        yield from _update(name, was, state)
        for key, instance in state.instances.items():
            earlier = was.instances.get(key)
            if earlier is not None and earlier is not instance:
                yield from _instance(name, earlier, instance)


def _update(name: str, was: WorkloadState, state: WorkloadState) -> Iterator[Happened]:
    old, new = was.record, state.record
    if old is new:
        return
    gave_up = new.failed is not None and new.failed.code is Code.UPDATE_FAILED
    if gave_up and new.failed is not old.failed:
        yield Happened(name, "update", "failed")
    elif old.previous is not None and new.previous is None and old.target is new.target:
        yield Happened(name, "update", "ok")


def _instance(name: str, was: Instance, now: Instance) -> Iterator[Happened]:
    old, new = was.record, now.record
    if new.oom_kills > old.oom_kills:
        yield Happened(name, "oom", count=new.oom_kills - old.oom_kills)
    if new.last_exit is not None and new.last_exit is not old.last_exit:
        yield Happened(name, "exit", new.last_exit.why.code.value)
    begun = now.running_since is not None and now.running_since != was.running_since
    if begun and was.state is not State.UNKNOWN and new.runs > 1:
        yield Happened(name, "restart", down=_down(was, now))


def _down(was: Instance, now: Instance) -> float | None:
    end = now.record.last_exit
    # Before it ran since the boot, an end's time may be one of the boot before.
    if end is None or end.why.code in NOT_ITS_FAULT or not was.record.started_once:
        return None
    assert now.running_since is not None
    return max(0.0, now.running_since - end.at)
