"""Keeping one instance up, or taking it down.

Reads one instance, its workload and what it waits for. Promises: nothing is decided on a
guess (an instance that is busy, stale or unlisted is looked at first); a running instance
is stopped only for a reason of its own; an ended one starts at once the first time and
after its backoff later.
"""

from __future__ import annotations

from typing import Any

from nodeorch.decide.hooks import plan_hook
from nodeorch.decide.limits import drift
from nodeorch.decide.pressure import held_back
from nodeorch.decide.ready import is_ready, own_workload, start_deadline, waits_for
from nodeorch.decide.restart import CRASH_LOOP, stays_down
from nodeorch.decide.room import own_request
from nodeorch.decide.turn import Turn
from nodeorch.model.actions import (
    Hold,
    InspectContainer,
    RemoveContainer,
    StartContainer,
    StopContainer,
    UnpauseContainer,
    UpdateLimits,
)
from nodeorch.model.world import Code, Instance, State, Why, WorkloadState

RESTARTED = Why(code=Code.OPERATOR, words="restarted by an operator")


def keep_up(turn: Turn, state: WorkloadState, instance: Instance) -> None:
    if not _known(turn, instance):
        if turn.busy(instance.name) and not instance.record.container_id:
            turn.room.claim(state, instance.record.slot, own_request(state, instance))
        return
    if instance.state is State.PAUSED:
        why = Why(code=Code.PAUSED_OUTSIDE, words="declared running, found paused")
        turn.act(UnpauseContainer(**_on(instance, why)))
    elif instance.running:
        _keep_running(turn, state, instance)
    else:
        _start(turn, state, instance)


def take_down(turn: Turn, state: WorkloadState, instance: Instance, why: Why) -> None:
    """Stop it and keep its container."""
    if _known(turn, instance) and instance.running:
        _stop(turn, state, instance, why)


def retire(turn: Turn, state: WorkloadState, instance: Instance, why: Why) -> None:
    """Stop it and remove its container."""
    if not _known(turn, instance):
        return
    if instance.running and not instance.record.removing:
        _stop(turn, state, instance, why)
    elif not _waits(turn, instance):
        turn.act(RemoveContainer(**_on(instance, why)))


def _known(turn: Turn, instance: Instance) -> bool:
    """Whether enough is known of it to decide; if not, look."""
    if turn.busy(instance.name):
        return False
    if not instance.record.container_id:
        why = Why(code=Code.LOOK, words="its creation has no answer yet; the next listing tells")
        turn.hold(instance.record.workload, instance.name, why)
        return False
    dead = instance.died_at is not None
    due = instance.look_at is not None and instance.look_at <= turn.now
    if instance.look_at is not None and not due:
        turn.wake(instance.look_at)
    if dead or due or instance.stale or instance.state is State.UNKNOWN:
        if _waits(turn, instance):
            return False
        words = "its first process is dead" if dead else "something happened to it"
        why = Why(code=Code.LOOK, words=words)
        turn.act(InspectContainer(**_on(instance, why), until_dead=dead))
        return False
    return True


def _waits(turn: Turn, instance: Instance) -> bool:
    if instance.retry_at is None or instance.retry_at <= turn.now:
        return False
    why = Why(code=Code.STUCK, words=instance.stuck or "")
    turn.hold(instance.record.workload, instance.name, why, instance.retry_at)
    return True


def _keep_running(turn: Turn, state: WorkloadState, instance: Instance) -> None:
    if instance.doom is not None:
        _stop(turn, state, instance, instance.doom)
    elif instance.record.operator_seq < state.record.operator_seq:
        if _may_restart(turn, state, instance):
            _stop(turn, state, instance, RESTARTED)
        else:
            words = "is restarted when the other instances are ready"
            turn.hold(*_who(instance), Why(code=Code.OPERATOR, words=words))
    else:
        plan_hook(turn, state, instance)
        if instance.liveness_failed is not None:
            _wait_for_liveness(turn, state, instance)
        if instance.record.template == state.record.target.template:
            _limits(turn, state, instance)


def _wait_for_liveness(turn: Turn, state: WorkloadState, instance: Instance) -> None:
    since = instance.running_since or turn.now
    words = f"{instance.liveness_failed}; it was never ready, so it has its start deadline"
    deadline = since + start_deadline(state.workload)
    turn.hold(*_who(instance), Why(code=Code.PROBE_FAILED, words=words), deadline)


def _limits(turn: Turn, state: WorkloadState, instance: Instance) -> None:
    resources = state.workload.resources
    if instance.limits is None:
        return
    differs = drift(resources, instance.limits)
    if not differs:
        return
    later = instance.limits_retry_at
    if later is not None and later > turn.now:
        why = Why(code=Code.LIMITS, words=instance.limits_error or "")
        turn.hold(*_who(instance), why, later)
        return
    raise_by = (resources.memory or 0) - (instance.limits.memory or 0)
    if raise_by > 0:
        full = turn.room.lacks(raise_by)
        if full is not None:
            turn.hold(*_who(instance), full)
            return
        turn.room.grow(raise_by)
    turn.act(
        UpdateLimits(
            **_on(instance, Why(code=Code.DRIFT, words="; ".join(differs))),
            pid=instance.pid,
            resources=resources,
            forced=state.record.forced,
        )
    )


def start_blocked(turn: Turn, state: WorkloadState, instance: Instance) -> Hold | None:
    """Why an instance that does not run cannot start at this moment; room apart."""
    own = instance.record
    known = own.container_id and not (instance.stale or instance.state is State.UNKNOWN)
    if not known or turn.busy(instance.name):
        return _hold(instance, Why(code=Code.LOOK, words="its container is not known yet"))
    asked = own.operator_seq < state.record.operator_seq
    forbidden = None if asked else stays_down(state, instance)
    if forbidden is not None:
        return _hold(instance, forbidden)
    waits = None if own.started_once else waits_for(turn.world, state.workload)
    if waits is not None:
        return _hold(instance, waits)
    held = held_back(turn.world, state, turn.now)
    if held is not None:
        return _hold(instance, *held)
    if own.next_try is not None and own.next_try > turn.now:
        return _hold(instance, _backoff(instance), own.next_try)
    return None


def _start(turn: Turn, state: WorkloadState, instance: Instance) -> None:
    blocked = start_blocked(turn, state, instance)
    ask, slot = own_request(state, instance), instance.record.slot
    if blocked is None:
        full = _port_taken(turn, state, instance) or turn.room.refuses(state, slot, ask)
        blocked = _hold(instance, full) if full else None
    if blocked is not None:
        turn.hold(blocked.workload, blocked.instance, blocked.why, blocked.until)
        return
    if instance.record.pruned:  # it runs again, in another container
        turn.act(RemoveContainer(**_on(instance, _start_reason(instance))))
        return
    turn.room.start(state, slot, ask)
    own = own_workload(state, instance)
    sources = tuple(v.source for v in own.volumes if v.source is not None)
    after = turn.host_ports.ended(state, instance)
    on = _on(instance, _start_reason(instance))
    turn.act(StartContainer(**on, sources=sources, files=own.files, after=after))


def _port_taken(turn: Turn, state: WorkloadState, instance: Instance) -> Why | None:
    leaving = turn.host_ports.leaving(state, instance)
    if leaving is None:
        return None
    words = f"starts when {leaving.name}, which is being stopped, has given up its host port"
    return Why(code=Code.UPDATE, words=words)


def _backoff(instance: Instance) -> Why:
    own = instance.record
    code = Code.CRASH_LOOP if own.failures >= CRASH_LOOP else Code.BACKOFF
    end = instance.stuck or (own.last_exit.why.words if own.last_exit else "")
    return Why(code=code, words=f"failed {own.failures} times in a row (last: {end})")


def _start_reason(instance: Instance) -> Why:
    own = instance.record
    if not own.runs:
        return Why(code=Code.MISSING, words="declared to run")
    end = own.last_exit.why.words if own.last_exit else "it is not running"
    return Why(code=Code.RESTART, words=f"restart: {end}")


def _stop(turn: Turn, state: WorkloadState, instance: Instance, why: Why) -> None:
    if _waits(turn, instance):
        return
    own = own_workload(state, instance)
    turn.act(
        StopContainer(
            **_on(instance, why),
            pid=instance.pid,
            signal=own.stop.signal,
            grace=own.stop.grace,
            pre_stop=own.hooks.pre_stop,
        )
    )


def _may_restart(turn: Turn, state: WorkloadState, instance: Instance) -> bool:
    """An operator's restart goes through the instances one by one, and waits for each to
    be ready, but no longer than its start deadline."""
    seq = state.record.operator_seq
    deadline = start_deadline(state.workload)
    for other in state.instances.values():
        if other is instance or is_ready(state, other):
            continue
        untouched = other.record.operator_seq < seq
        if untouched and other.running and other.doom is None:
            continue
        since = other.running_since
        if untouched or (since is not None and turn.now - since < deadline):
            if since is not None:
                turn.wake(since + deadline)
            return False
    left = [i for i in state.instances.values() if i.running and i.record.operator_seq < seq]
    return instance is min(left, key=lambda i: (i.record.slot, i.name), default=instance)


def _hold(instance: Instance, why: Why, until: float | None = None) -> Hold:
    return Hold(workload=instance.record.workload, instance=instance.name, why=why, until=until)


def _who(instance: Instance) -> tuple[str, str]:
    return instance.record.workload, instance.name


def _on(instance: Instance, why: Why) -> dict[str, Any]:
    return {
        "key": instance.name,
        "why": why,
        "workload": instance.record.workload,
        "container_id": instance.record.container_id,
    }
