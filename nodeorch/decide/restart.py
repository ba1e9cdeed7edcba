"""The accounting of deaths, and the backoff.

Reads a workload's restart policy and an instance's record. Promises: the first restart
is immediate; no delay exceeds ``backoff.max``; one workload's failures are counted on
its own instances only; the same input gives the same delay.
"""

from __future__ import annotations

from hashlib import blake2s

from msgspec.structs import replace

from nodeorch.decide.edit import note, put_instance, record
from nodeorch.decide.ready import own_workload
from nodeorch.model.job import Outcome
from nodeorch.model.workload import RestartPolicy, Workload
from nodeorch.model.world import Code, Exit, Instance, State, Why, WorkloadState, World

CRASH_LOOP = 3
"""Ends in a row from which the state is called a crash loop."""

OOM_ECHO = 2.5
"""Seconds within which an OOM kill of any of its processes explains the end of an instance:
the cgroup is looked at every 2 s, and at each death."""

NOT_ITS_FAULT = frozenset(
    {
        Code.OPERATOR,
        Code.UPDATE,
        Code.UPDATED,
        Code.ROLLBACK,
        Code.SURPLUS,
        Code.DELETED,
        Code.SHUTDOWN,
        Code.EVICTED,
        Code.HOST_REBOOTED,
    }
)

SIGNALS = {
    1: "HUP", 2: "INT", 3: "QUIT", 4: "ILL", 6: "ABRT", 7: "BUS", 8: "FPE", 9: "KILL",
    10: "USR1", 11: "SEGV", 12: "USR2", 13: "PIPE", 14: "ALRM", 15: "TERM", 31: "SYS",
}  # fmt: skip


def delay(workload: Workload, instance: str, failures: int) -> float:
    """Seconds to wait before the next start after ``failures`` ends in a row.

    Full jitter (Brooker, AWS 2015) over an exponential, with a hash of (instance,
    attempt) in place of a random number, so that replicas still spread.
    """
    if failures <= 1:
        return 0.0
    backoff = workload.restart.backoff
    ceiling = min(backoff.max, backoff.initial * 2.0 ** min(failures - 2, 60))
    seed = blake2s(f"{instance}/{failures}".encode(), digest_size=4).digest()
    return ceiling * (int.from_bytes(seed, "big") + 1) / (1 << 32)


def cause(instance: Instance, code: int | None, oom: bool) -> Exit:
    """Why an instance that has just ended did so. ``at`` is left for the caller to set."""
    signal = code - 128 if code is not None and 128 < code < 193 else None
    asked = instance.doom or instance.record.stopping
    if asked is not None:
        why = asked
    elif oom:
        why = Why(code=Code.OOM_KILLED, words="out of memory: killed by the kernel")
    elif code is None:
        why = Why(code=Code.EXITED, words="ended; its exit code is not known")
    elif signal is not None:
        name = SIGNALS.get(signal, str(signal))
        why = Why(code=Code.SIGNALED, words=f"killed by signal {signal} ({name})")
    else:
        why = Why(code=Code.EXITED, words=f"exited with code {code}")
    return Exit(why=why, at=0.0, code=code, signal=signal)


def ended(
    world: World, instance: Instance, now: float, code: int | None, oom: bool = False
) -> World:
    """An instance's first process is dead: remember why, and when the next start may be."""
    workload = world.workloads[instance.record.workload].workload
    oom = oom or (instance.oom_at is not None and now - instance.oom_at <= OOM_ECHO)
    end = replace(cause(instance, code, oom), at=now)
    old = instance.record
    ran = now - instance.running_since if instance.running_since is not None else 0.0
    if end.why.code in NOT_ITS_FAULT:
        failures, next_try = 0, None
    else:
        forgotten = ran >= workload.restart.backoff.reset and not workload.is_job
        failures = 1 if forgotten else old.failures + 1
        # A service comes back at once the first time; a job's retry always waits.
        next_try = now + delay(workload, instance.name, failures + workload.is_job)
    own = replace(
        old,
        up=False,
        last_exit=end,
        failures=failures,
        next_try=next_try,
        booked=int(instance.started_wall),
        stopping=None,
        startup_passed=False,
        oom_run=0,
    )
    after = replace(_at_rest(instance), record=own, exit_code=code, touched=now)
    world = put_instance(world, after)
    asked = instance.doom is not None or old.stopping is not None
    said = replace(end.why, words=f"ended: {end.why.words}") if asked else end.why
    return note(
        world, said, old.workload, instance.name,
        exit_code=code, ran_seconds=round(ran, 3), failures=failures,
    )  # fmt: skip


def _at_rest(instance: Instance) -> Instance:
    """Without all that was known of the run that ended."""
    return replace(
        instance,
        state=State.EXITED,
        pid=0,
        running_since=None,
        watched_since=None,
        died_at=None,
        oom_at=None,
        stale=False,
        look_at=None,
        readiness=None,
        liveness_failed=None,
        liveness_passed=False,
        was_ready=False,
        doom=None,
        limits=None,
        left=instance.limits.memory if instance.limits else None,
        limits_error=None,
        limits_retry_at=None,
        stuck=None,
        retry_at=None,
        hook_retry_at=None,
        hook_error="",
    )


def rebooted(world: World, instance: Instance, now: float) -> World:
    """The host went down under it: nothing it did counts, and its dependencies gate it again."""
    why = Why(code=Code.HOST_REBOOTED, words="the host was restarted under it")
    was_up = instance.record.up
    fresh = record(
        instance,
        boot_id=world.node.boot_id,
        started_once=False,
        up=False,
        failures=0,
        next_try=None,
        stopping=None,
        startup_passed=False,
        oom_run=0,
        last_exit=Exit(why=why, at=now) if was_up else instance.record.last_exit,
    )
    world = put_instance(world, replace(fresh, pid=0, running_since=None))
    if not was_up:
        return world
    return note(world, why, instance.record.workload, instance.name)


REFUSALS = 3
"""Refused starts of a run that are not taken for its failure, whatever its retries."""


def stays_down(state: WorkloadState, instance: Instance) -> Why | None:
    """Why an ended instance does not start again of itself; None when it may."""
    workload = own_workload(state, instance)
    if not workload.is_job:
        return forbids_restart(workload.restart.policy, instance)
    end, retries = instance.record.last_exit, state.workload.terms.retries
    job = state.record.job
    run = job.run(instance.record.slot) if job else None
    if run is not None and run.outcome is not None:
        good = run.outcome is Outcome.SUCCEEDED
        return Why(code=Code.COMPLETED if good else Code.POLICY, words=run.words)
    if end is None or end.why.code in NOT_ITS_FAULT:
        return None
    if end.code == 0 and end.why.code is Code.EXITED:
        return Why(code=Code.COMPLETED, words="exited with code 0")
    refused = end.why.code is Code.FAILED
    if instance.record.failures <= (max(retries, REFUSALS - 1) if refused else retries):
        return None
    tried = f", after {retries} {'retry' if retries == 1 else 'retries'}" if retries else ""
    return Why(code=Code.POLICY, words=f"{end.why.words}{tried}")


def forbids_restart(policy: RestartPolicy, instance: Instance) -> Why | None:
    """Why the policy keeps an ended instance down; None when it may start again."""
    end = instance.record.last_exit
    if instance.record.runs == 0 or end is None or end.why.code in NOT_ITS_FAULT:
        return None
    if end.why.code is Code.FAILED:  # the engine refused: it has not run
        return None
    of_itself = end.why.code is Code.EXITED
    if policy is RestartPolicy.NEVER:
        code = Code.COMPLETED if end.code == 0 and of_itself else Code.POLICY
        return Why(code=code, words=f"{end.why.words}; the restart policy is never")
    if policy is RestartPolicy.ON_FAILURE and end.code == 0 and of_itself:
        return Why(code=Code.COMPLETED, words="exited with code 0; the policy is on-failure")
    return None
