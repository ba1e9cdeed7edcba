"""What adapters saw: listings, inspections, deaths, probes, limits.

Reads the instances by container id. Promises: a container is ours by its id, or by the
name, serial and seal of a creation that was written down; labels alone never make it so.
A listing proves nothing about what was touched after it began.
"""

from __future__ import annotations

from msgspec.structs import replace

from nodeorch.decide.edit import (
    drop_instance,
    find,
    find_id,
    note,
    put,
    put_instance,
    record,
    say,
)
from nodeorch.decide.ready import own_workload
from nodeorch.decide.restart import ended, rebooted
from nodeorch.model.facts import (
    Died,
    Hint,
    LimitsSeen,
    Listed,
    OomSeen,
    ProbeSeen,
)
from nodeorch.model.labels import GENERATION, SERIAL, SLOT, TEMPLATE, WORKLOAD
from nodeorch.model.workload import OomPolicy
from nodeorch.model.world import Code, Container, Instance, InstanceRecord, State, Why, World

LIST_EVERY = 30.0
ODD_RETRY = 5.0
"""Seconds until a container in a passing state is looked at again."""
HINT_DEAF = 1.0
"""Seconds after our own act in which an event may be its echo, and is looked at later."""


def listed(world: World, fact: Listed, now: float) -> World:
    engine = replace(world.engine, listed_at=fact.begun, list_due=now + LIST_EVERY, list_error="")
    world = replace(world, engine=engine)
    by_id = {c.id: c for c in fact.containers}
    by_name = {c.name: c for c in fact.containers}
    for state in list(world.workloads.values()):
        for instance in state.instances.values():
            if instance.name in world.busy or instance.touched >= fact.begun:
                continue
            if instance.record.pruned:
                continue
            own = instance.record.container_id
            container = by_id.get(own) if own else _created(world, by_name, instance)
            if container is not None:
                world = seen(world, instance, container, now)
            elif own:  # a listing can miss one: look before it is believed gone
                world = put_instance(world, replace(instance, stale=True))
            else:
                world = _gone(world, instance)
    return _rebuild(world, fact, now) if world.rebuilding else _leftovers(world, fact)


def hinted(world: World, fact: Hint, now: float) -> World:
    if not fact.container_id:  # its stream has just begun: what came before is in a listing
        return replace(world, engine=replace(world.engine, list_due=now))
    instance = find_id(world, fact.container_id)
    if instance is None:
        return world
    ours = instance.name in world.busy or now - instance.touched < HINT_DEAF
    if not ours:
        return put_instance(world, replace(instance, stale=True))
    return put_instance(world, replace(instance, look_at=now + HINT_DEAF))


def died(world: World, fact: Died, now: float) -> World:
    instance = find(world, fact.instance)
    if instance is None or instance.record.container_id != fact.container_id:
        return world
    if instance.pid != fact.pid or not instance.running:
        return world
    instance, _ = count_oom(instance, fact.oom_kills, now)
    return put_instance(world, replace(instance, died_at=now, retry_at=None))


def oom_seen(world: World, fact: OomSeen, now: float) -> World:
    instance = find(world, fact.instance)
    if instance is None or instance.record.container_id != fact.container_id:
        return world
    instance, killed = count_oom(instance, fact.oom_kills, now)
    if not killed:
        return world
    words = f"out of memory: the kernel killed {killed} of its processes"
    why = Why(code=Code.OOM_KILLED, words=words)
    workload = world.workloads[instance.record.workload].workload
    if workload.resources.oom is OomPolicy.RESTART and instance.running:
        instance = replace(instance, doom=instance.doom or why)
    world = put_instance(world, instance)
    return note(world, why, instance.record.workload, instance.name, kills=killed)


def limits_seen(world: World, fact: LimitsSeen, now: float) -> World:
    instance = find(world, fact.instance)
    if instance is None or instance.record.container_id != fact.container_id:
        return world
    if not instance.running or instance.limits == fact.limits:
        return world
    return put_instance(world, replace(instance, limits=fact.limits))


def probe_seen(world: World, fact: ProbeSeen, now: float) -> World:
    instance = find(world, fact.instance)
    if instance is None or instance.record.container_id != fact.container_id:
        return world
    if not instance.running or instance.died_at is not None:
        return world
    why = Why(code=Code.PROBE_FAILED, words=f"{fact.probe} probe failed: {fact.words}")
    if fact.probe == "readiness":
        instance = replace(instance, readiness=fact.passed)
    elif fact.probe == "startup" and instance.record.startup_passed:
        return world  # one passed is enough
    elif fact.probe == "startup" and fact.passed:
        instance = record(instance, startup_passed=True)
    elif fact.probe == "startup":
        instance = replace(instance, doom=instance.doom or why)
    else:
        instance = replace(
            instance,
            liveness_passed=instance.liveness_passed or fact.passed,
            liveness_failed=None if fact.passed else why.words,
        )
    world = put_instance(world, instance)
    if not fact.passed:
        took = None if fact.latency is None else round(fact.latency * 1000, 2)
        details = {"probe": fact.probe, "latency_ms": took}
        world = note(world, why, instance.record.workload, instance.name, **details)
    return world


def seen(world: World, instance: Instance, container: Container, now: float) -> World:
    """Lay what the engine says of a container over what is known of the instance."""
    if instance.record.pruned or _as_known(world, instance, container):
        return world
    instance = replace(instance, look_at=None)
    if instance.record.container_id != container.id:
        instance = record(instance, container_id=container.id)
        world = put_instance(world, instance)
    if instance.record.boot_id != world.node.boot_id:
        world = rebooted(world, instance, now)
        instance = world.workloads[instance.record.workload].instances[instance.name]
    world, instance = _renamed(world, instance, container)
    if container.state in (State.RUNNING, State.PAUSED) and container.pid:
        return _runs(world, instance, container, now)
    if container.state is State.STOPPING or container.state is State.UNKNOWN:
        words = f"the engine calls its container neither running nor ended ({container.state})"
        odd = replace(instance, state=container.state, stuck=words, retry_at=now + ODD_RETRY)
        return _keep(world, odd)
    if instance.record.up and not instance.running and _never_ran(instance, container):
        runs = max(0, instance.record.runs - 1)
        instance = record(instance, up=False, runs=runs, stopping=None)
    elif instance.running or instance.record.up:
        began = container.started_wall
        if began and int(began) != int(instance.started_wall):  # it never was seen to run
            instance = replace(instance, started_wall=began)
        world = ended(world, instance, now, container.exit_code, container.oom_killed)
        instance = world.workloads[instance.record.workload].instances[instance.name]
    quiet = replace(
        instance, state=container.state, exit_code=container.exit_code, pid=0, stale=False
    )
    if container.spent and not instance.record.removing:
        return _spent(world, quiet)
    return _keep(world, quiet)


def _spent(world: World, instance: Instance) -> World:
    """Another container has to take its place."""
    words = (
        "the engine cannot start it again: what watched over it was killed with it, "
        "or its removal was cut short"
    )
    world = put_instance(world, record(instance, pruned=True))
    return say(world, Code.STUCK, words, instance.record.workload, instance.name)


def _as_known(world: World, instance: Instance, container: Container) -> bool:
    """Whether it still runs as it did: nothing to lay over, as of most in a listing."""
    record = instance.record
    return (
        container.state is State.RUNNING
        and container.address is None
        and instance.state is State.RUNNING
        and container.pid == instance.pid
        and container.id == record.container_id
        and container.name == (instance.name_seen or instance.name)
        and record.up
        and record.started_once
        and record.boot_id == world.node.boot_id
        and instance.exit_code is None
        and instance.look_at is None
        and not instance.stale
        and instance.stuck is None
        and instance.retry_at is None
    )


def _never_ran(instance: Instance, container: Container) -> bool:
    """Whether a start that was begun did not happen: its answer was lost, or the daemon."""
    if container.state is State.CREATED:
        return True
    return bool(instance.record.booked) and int(container.started_wall) == instance.record.booked


def _runs(world: World, instance: Instance, container: Container, now: float) -> World:
    new_run = not instance.running or instance.pid != container.pid
    if new_run and instance.running:  # it ended and was started behind our back
        world = ended(world, instance, now, None)
        instance = world.workloads[instance.record.workload].instances[instance.name]
    adopted = new_run and instance.record.up and instance.state is State.UNKNOWN
    exact = container.address is not None
    own = own_workload(world.workloads[instance.record.workload], instance)
    hook_due = own.hooks.post_start is not None if new_run and not adopted else None
    address = container.address if exact else instance.address
    after = replace(
        record(
            instance,
            up=True,
            started_once=True,
            hook_due=instance.record.hook_due if hook_due is None else hook_due,
            stopping=None if instance.state is State.UNKNOWN else instance.record.stopping,
        ),
        state=container.state,
        pid=container.pid,
        exit_code=None,
        # Listings tell whole seconds, and no address.
        started_wall=container.started_wall if new_run or exact else instance.started_wall,
        address=None if new_run and container.address is None else address,
        running_since=min(container.started or now, now) if new_run else instance.running_since,
        watched_since=now if new_run else instance.watched_since,
        limits=None if new_run else instance.limits,
        stale=False,
        stuck=None,
        retry_at=None,
    )
    if new_run and after.address is None:
        after = replace(after, stale=True)  # listings do not tell addresses
    world = _keep(world, after)
    if adopted:
        words = f"adopted: runs since before this daemon, pid {container.pid}"
        world = say(world, Code.ADOPTED, words, after.record.workload, after.name)
    elif container.state is State.PAUSED and instance.state is not State.PAUSED:
        words = "it was paused outside nodeorch"
        world = say(world, Code.PAUSED_OUTSIDE, words, after.record.workload, after.name)
    return world


def _keep(world: World, instance: Instance) -> World:
    if world.workloads[instance.record.workload].instances.get(instance.name) == instance:
        return world
    return put_instance(world, instance)


def _renamed(world: World, instance: Instance, container: Container) -> tuple[World, Instance]:
    if container.name == (instance.name_seen or instance.name):
        return world, instance
    instance = replace(instance, name_seen=container.name)
    words = f"its container was renamed to {container.name} outside nodeorch; it stays ours by id"
    world = put_instance(world, instance)
    return say(
        world, Code.RENAMED_OUTSIDE, words, instance.record.workload, instance.name
    ), instance


def _created(world: World, by_name: dict[str, Container], instance: Instance) -> Container | None:
    """The container of a creation that was begun and whose answer was lost.

    Perhaps of an earlier try with another serial; then nobody else may hold it, and it has
    to be made of the same template and image.
    """
    own = instance.record
    container = by_name.get(instance.name)
    if container is None or not container.sealed:
        return None
    if container.labels.get(SERIAL) == str(own.serial):
        return container
    image = world.workloads[own.workload].record.image_id
    same = container.labels.get(TEMPLATE) == own.template and container.image_id == image
    return container if same and find_id(world, container.id) is None else None


def _gone(world: World, instance: Instance) -> World:
    world = drop_instance(world, instance)
    own = instance.record
    if own.removing or not own.container_id:
        return world
    words = f"container {own.container_id[:12]} was removed outside nodeorch"
    return say(world, Code.REMOVED_OUTSIDE, words, own.workload, own.name)


def count_oom(instance: Instance, kills: int | None, now: float) -> tuple[Instance, int]:
    """The instance with the OOM kills of this run counted, and how many are new."""
    new = kills - instance.record.oom_run if kills is not None else 0
    if kills is None or new <= 0:
        return instance, 0
    counted = record(instance, oom_kills=instance.record.oom_kills + new, oom_run=kills)
    return replace(counted, oom_at=now), new


def _rebuild(world: World, fact: Listed, now: float) -> World:
    """Take sealed containers back after the database was lost."""
    for container in fact.containers:
        labels = container.labels
        state = world.workloads.get(labels.get(WORKLOAD, ""))
        if not container.sealed or state is None or container.name in state.instances:
            continue
        if find_id(world, container.id) is not None:
            continue
        own = _from_labels(container, world.node.boot_id)
        world = _renumber(world, own)
        world = replace(world, serial=max(world.serial, own.serial))
        instance = Instance(record=own)
        world = put_instance(world, instance)
        world = seen(world, instance, container, now)
    return world


def _from_labels(container: Container, boot_id: str) -> InstanceRecord:
    labels = container.labels
    return InstanceRecord(
        name=container.name,
        workload=labels[WORKLOAD],
        slot=int(labels[SLOT]),
        generation=int(labels[GENERATION]),
        template=labels[TEMPLATE],
        serial=int(labels[SERIAL]),
        container_id=container.id,
        boot_id=boot_id,
        runs=1,
        up=container.state is State.RUNNING,
        image_digest=container.image_id,
    )


def _leftovers(world: World, fact: Listed) -> World:
    """Remove what was created after its creation had been given up: sealed, never started."""
    idle = [c for c in fact.containers if c.state is State.CREATED and c.sealed]
    for container in idle:
        state = world.workloads.get(container.labels.get(WORKLOAD, ""))
        if state is None or container.name in state.instances:
            continue
        if find_id(world, container.id) is not None:
            continue
        own = replace(_from_labels(container, world.node.boot_id), runs=0, removing=True)
        world = put_instance(world, Instance(record=own, state=State.CREATED))
    return world


def _renumber(world: World, own: InstanceRecord) -> World:
    """Generations were lost with the database: go on from those on the containers."""
    state = world.workloads[own.workload]
    old = state.record
    latest = max(old.latest, own.generation)
    same = own.template == old.target.template
    generation = own.generation if same else latest + 1
    if not same and old.target.generation > own.generation:
        generation = old.target.generation
    target = replace(old.target, generation=generation)
    fresh = replace(old, target=target, latest=max(latest, generation))
    return put(world, replace(state, record=fresh))
