"""Random storms: nothing bad happens in them, and after them the declared becomes real.

Always the same ones; ``STORMS=5000`` in the environment asks for so many others.
"""

from __future__ import annotations

import os
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from nodeorch.decide.ready import own_workload
from nodeorch.decide.restart import forbids_restart
from nodeorch.decide.room import own_request, request
from nodeorch.model.actions import CreateContainer, EnsureImage
from nodeorch.model.facts import EngineSeen, Hint
from nodeorch.model.workload import (
    Hooks,
    OnFailure,
    Port,
    PostStart,
    Probe,
    Probes,
    Resources,
    Restart,
    RestartPolicy,
    Tcp,
    Update,
    Volume,
    Workload,
)
from nodeorch.model.world import Code, State, WorkloadState
from tests.decide.storm import ALIVE, Storm
from tests.decide.story import MIB, workload

NAMES = ("a", "b", "c")
READINESS = Probes(readiness=Probe(tcp=Tcp(port=1), interval=1.0))
HOOKS = {
    "good": PostStart(exec=("good",)),
    "bad": PostStart(exec=("bad",), on_failure=OnFailure.IGNORE),
}
SMALL = 200 * MIB
WAITS = (0.02, 0.3, 1.1, 6.0, 31.0, 700.0)
Event = tuple[str, int, int]

shapes = st.builds(
    lambda **parts: parts,
    image=st.sampled_from(["1", "1", "2", "3", "missing"]),
    replicas=st.integers(0, 2),
    holds=st.sampled_from(["", "", "port", "other port", "volume"]),
    memory=st.sampled_from([32, 64, 128]),
    ready=st.booleans(),
    policy=st.sampled_from([RestartPolicy.ALWAYS, RestartPolicy.ALWAYS, *RestartPolicy]),
    after=st.booleans(),
    priority=st.integers(0, 2),
    hook=st.sampled_from(["", "", "good", "bad"]),
)


def spec(name: str, shape: dict) -> Workload:  # type: ignore[type-arg]
    holds, replicas = shape["holds"], shape["replicas"]
    host = 8000 + ord(name) + (100 if holds == "other port" else 0)
    return workload(
        name,
        image=f"localhost/web:{shape['image']}",
        replicas=min(replicas, 1) if "port" in holds else replicas,
        ports=(Port(container=80, host=host),) if "port" in holds else (),
        volumes=(Volume(name=f"data-{name}", target="/d"),) if holds == "volume" else (),
        probes=READINESS if shape["ready"] else Probes(),
        restart=Restart(policy=shape["policy"]),
        update=Update(deadline=5.0),
        resources=Resources(memory=shape["memory"] * MIB),
        after=("a",) if shape["after"] and name != "a" else (),
        priority=shape["priority"],
        hooks=Hooks(post_start=HOOKS.get(shape["hook"])),
    )


numbers = st.integers(0, 11)
edits = st.tuples(st.just("edit"), st.sampled_from(NAMES), shapes)
flights = st.tuples(
    st.sampled_from(["effect", "answer", "answer", "plan", "settle"]), numbers, numbers
)
losses = st.tuples(st.just("lose"), numbers, numbers)
engine = st.tuples(
    st.sampled_from(
        ["die", "die quietly", "remove", "pause", "images", "stranger", "late", "engine", "hint"]
    ),
    numbers,
    numbers,
)
times = st.tuples(st.sampled_from(["wait", "wait", "wait", "daemon", "reboot"]), numbers, numbers)
verbs = st.tuples(
    st.sampled_from(["stop", "start", "restart", "scale", "rollback", "gone", "probe+", "probe-"]),
    numbers,
    numbers,
)
events = st.lists(st.one_of(edits, flights, flights, losses, engine, times, verbs), max_size=40)


def play(storm: Storm, event: tuple) -> None:  # type: ignore[type-arg]
    verb, number, extra = event
    storm.now += 0.003
    if verb == "edit":
        storm.failures.clear()
        storm.specs(spec(number, extra))
    elif verb in ("plan", "settle"):
        storm.step() if verb == "plan" else storm.settle()
    elif verb in ("effect", "answer", "lose"):
        _fly(storm, verb, number, extra)
    elif verb in ("wait", "daemon", "reboot"):
        _pass(storm, verb, number, extra)
    elif verb in ("stop", "start", "restart", "scale", "rollback", "gone"):
        _command(storm, verb, NAMES[number % 3], extra)
    else:
        _engine(storm, verb, number, extra)


def _fly(storm: Storm, verb: str, number: int, extra: int) -> None:
    flight = storm.fly(verb, number)
    if flight is not None:
        kind = ("refused", "unreachable", "timeout", "store")[extra % 4]
        if kind == "store" and not isinstance(flight.action, CreateContainer):
            kind = "timeout"
        if flight.facts is not None and kind in ("refused", "store"):
            storm.deliver(flight)  # it was done: the engine does not lie
            return
        acts = "never" if kind in ("refused", "store") else ("now", "late", "never")[extra // 4]
        storm.lose(flight, kind, acts)
    storm.now += 0.003


def _pass(storm: Storm, verb: str, number: int, extra: int) -> None:
    if verb == "wait":
        storm.wait(WAITS[number % len(WAITS)])
    elif verb == "reboot":
        storm.reboot(extra + 2, created=number % 2 == 0)
    else:
        for i, flight in enumerate(list(storm.flight)):
            if (number + i) % 3 == 0:
                storm.effect(flight)
            elif (number + i) % 3 == 1 and flight.facts is None:
                storm.late.append(flight.action)
        storm.restart_daemon()


def _command(storm: Storm, verb: str, name: str, extra: int) -> None:
    state = storm.world.workloads.get(name)
    storm.failures.clear()
    if verb == "gone":
        storm.files.pop(name, None)
        storm.specs(deleted=(name,))
    elif verb == "rollback" and state and state.record.previous:
        storm.command("rollback", name, version=state.record.previous)
    elif verb == "scale" and state and not (extra % 3 > 1 and state.workload.ports):
        storm.command("scale", name, replicas=extra % 3)
    elif verb in ("stop", "start", "restart"):
        storm.command(verb, name)


def _engine(storm: Storm, verb: str, number: int, extra: int) -> None:
    alive = sorted(c.id for c in storm.containers.values() if c.state is State.RUNNING)
    one = storm.containers[alive[number % len(alive)]] if alive else None
    if verb == "late":
        storm.happen_late()
    elif verb == "images":
        storm.images_gone = True
    elif verb == "stranger":
        storm.add_stranger(f"{NAMES[number % 3]}.{extra % 2}.g{extra}")
    elif verb == "engine":
        storm.tell(EngineSeen(answering=number % 3 > 0, words="as it is"))
    elif one is None:
        return
    elif verb == "die" and storm_knows(storm, one.id):
        storm.die(one.name, code=(0, 1, 137)[extra % 3], oom=extra == 2)
    elif verb in ("die", "die quietly"):
        storm.containers[one.id] = replace(one, state=State.EXITED, pid=0, exit_code=extra % 2)
    elif verb == "remove":
        del storm.containers[one.id]
    elif verb == "pause":
        storm.containers[one.id] = replace(one, state=State.PAUSED)
    elif verb == "hint":
        storm.tell(Hint(container_id=one.id))
    elif verb in ("probe+", "probe-"):
        storm.probe(one.name, verb == "probe+")


def storm_knows(storm: Storm, container_id: str) -> bool:
    states = storm.world.workloads.values()
    ids = {i.record.container_id for s in states for i in s.instances.values()}
    return container_id in ids


def calm(storm: Storm) -> None:
    """The world stops moving, the engine obeys, probes pass."""
    while storm.late:
        storm.happen_late()
    for own in [c.id for c in storm.containers.values() if c.id.startswith("x")]:
        del storm.containers[own]
    storm.images_gone = False
    storm.tell(EngineSeen(answering=True, words="answers"))
    for flight in list(storm.flight):
        storm.deliver(flight)
    for wait in (1.0, 6.0, *[31.0] * 12, 700.0, *[31.0] * 3):
        storm.failures.clear()
        storm.wait(wait).settle()
        for _ in range(4):
            for name in sorted(storm.running()):
                state = storm.world.workloads.get(name.partition(".")[0])
                if (
                    state
                    and name in state.instances
                    and state.instances[name].readiness is not True
                ):
                    storm.probe(name, True)
            storm.settle()


def missing(storm: Storm) -> list[str]:
    """What of the declared does not run and has no good reason for it."""
    wrong = []
    for state in storm.world.workloads.values():
        for slot in range(0 if state.record.stopped else state.replicas):
            reasons = _reasons(storm, state, slot)
            if reasons is not None:
                wrong.append(f"{state.workload.name}.{slot}: {reasons}")
    return wrong


def _reasons(storm: Storm, state: WorkloadState, slot: int) -> str | None:
    """None: exactly one runs, of the target, or something known keeps it from that."""
    name, held = state.workload.name, storm.plan().holds
    alive = {c.id for c in storm.containers.values() if c.state in ALIVE}
    mine = [i for i in state.instances.values() if i.record.slot == slot]
    up = [i for i in mine if i.record.container_id in alive]
    of_target = [i for i in up if i.record.template == state.record.target.template]
    if len(up) == 1 and of_target:
        return None
    whys = [h.why for h in held if h.workload == name]
    own = [h.why for h in held if h.instance.startswith(f"{name}.{slot}.")]
    used = sum(storm.limits[c].memory or 0 for c in alive)
    used -= sum(storm.limits[i.record.container_id].memory or 0 for i in up)
    asks = [own_request(state, i) for i in mine if not i.record.removing] or [request(state)]
    full = used + (request(state) if up else min(asks)) > storm.world.node.memory
    known = {Code.DEPENDENCY, Code.IMAGE_FAILED} | ({Code.NO_ROOM} if full else set())
    ended = [i for i in mine if forbids_restart(own_workload(state, i).restart.policy, i)]
    waits_in_turn = bool(of_target == [] and slot and up and whys)
    if len(up) <= 1 and (known & {w.code for w in (own or whys)} or waits_in_turn):
        return None
    if ended and not up:
        return None
    return f"{[i.name for i in up]} run, {whys}"


@settings(
    max_examples=int(os.environ.get("STORMS", "800")),
    derandomize="STORMS" not in os.environ,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
@given(st.lists(shapes, min_size=3, max_size=3), st.booleans(), events)
def test_nothing_bad_happens_and_what_is_declared_becomes_real(
    first: list[Any],
    small: bool,
    stream: list[Any],
) -> None:
    specs = [spec(n, s) for n, s in zip(NAMES, first, strict=True)]
    storm = Storm(*specs, memory=SMALL if small else 1 << 40)
    storm.up()
    for event in stream:
        play(storm, event)
        storm.check()
    calm(storm)
    assert missing(storm) == []
    known = {
        i.record.container_id for s in storm.world.workloads.values() for i in s.instances.values()
    }
    names = storm.world.workloads.keys()
    left = {
        c.name
        for c in storm.containers.values()
        if c.id not in known and c.name.partition(".")[0] in names
    }
    assert not left, f"orphans: {left}"
    pruned = {
        i.record.container_id
        for s in storm.world.workloads.values()
        for i in s.instances.values()
        if i.record.pruned
    }
    assert known <= storm.containers.keys() | pruned, "phantoms"
    since = len(storm.done)
    storm.wait(1.0).settle()
    rest = [
        a
        for a in storm.done[since:]
        if not a.key.startswith("#") and not isinstance(a, EnsureImage)
    ]
    assert rest == []
