"""Properties over random streams of events: something bad never happens."""

from __future__ import annotations

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from nodeorch.decide.plan import plan
from nodeorch.model.actions import CreateContainer, StartContainer
from nodeorch.model.facts import EngineSeen, Failed
from nodeorch.model.workload import Port, Probe, Probes, Resources, Tcp
from nodeorch.model.world import State
from tests.decide.story import MIB, Story, workload

NAMES = ("a", "b", "c")
READINESS = Probes(readiness=Probe(tcp=Tcp(port=1), interval=1.0))

events = st.lists(
    st.tuples(
        st.sampled_from(
            [
                "die", "remove", "pause", "stop", "probe+", "probe-", "edit", "port", "limits",
                "scale", "op-stop", "op-start", "op-restart", "engine", "lose", "wait", "relist",
                "gone", "tick",
            ]
        ),
        st.integers(0, 9),
    ),
    max_size=30,
)  # fmt: skip


def spec(name: str, kind: int):  # type: ignore[no-untyped-def]
    return workload(
        name,
        env={"V": str(kind % 3)},
        replicas=1 if kind % 4 == 1 else kind % 3,
        ports=(Port(container=80, host=8000 + ord(name)),) if kind % 4 == 1 else (),
        probes=READINESS if kind % 2 else Probes(),
        resources=Resources(memory=(32 + 32 * (kind % 2)) * MIB),
    )


def play(story: Story, event: str, number: int) -> None:
    name = NAMES[number % 3]
    running = sorted(story.running())
    one = running[number % len(running)] if running else None
    ids = {c.name: c.id for c in story.containers.values()}
    if event == "die" and one:
        story.die(one, code=number)
    elif event == "remove" and ids:
        story.containers.pop(sorted(ids.values())[number % len(ids)])
    elif event in ("pause", "stop") and one:
        state = State.PAUSED if event == "pause" else State.EXITED
        container = story.containers[ids[one]]
        pid = container.pid if event == "pause" else 0
        story.containers[ids[one]] = replace(container, state=state, pid=pid, exit_code=1)
    elif event in ("probe+", "probe-") and one and one.partition(".")[0] in story.world.workloads:
        story.probe(one, event == "probe+")
    elif event in ("edit", "port", "limits"):
        story.specs(spec(name, number + len(event)))
    elif event == "gone":
        story.files.pop(name, None)
        story.specs(deleted=(name,))
    elif event == "scale":
        story.command("scale", name, replicas=number % 3)
    elif event.startswith("op-"):
        story.command(event[3:], name)
    elif event == "engine":
        story.tell(EngineSeen(answering=number % 2 == 0, words="x"))
    elif event == "lose":
        for action in story.step():
            done = number % 2 and story.answer(action)
            del done
            story.tell(Failed(action=action, kind="timeout", words="late"))
    elif event == "wait":
        story.wait(number * 7.0)
    elif event == "relist":
        story.relist()
    else:
        for action in story.step():
            story.obey(action)


def converge(story: Story) -> None:
    """The world stops moving, the engine obeys, probes pass: declared becomes real."""
    story.tell(EngineSeen(answering=False, words="off"))
    story.tell(EngineSeen(answering=True, words="on"))
    for _ in range(12):
        story.wait(31.0).relist().settle()
        for name in sorted(story.running()):
            instance = story.world.workloads.get(name.partition(".")[0])
            if instance and name in instance.instances and instance.instances[name].running:
                story.probe(name, True)
        story.settle()


def declared(story: Story) -> set[tuple[str, int]]:
    return {
        (name, slot)
        for name, state in story.world.workloads.items()
        if not state.record.stopped
        for slot in range(state.replicas)
    }


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(events)
def test_it_converges_to_what_is_declared_and_then_rests(stream: list[tuple[str, int]]) -> None:
    story = Story(*(spec(n, i) for i, n in enumerate(NAMES))).up()
    for event, number in stream:
        play(story, event, number)
    converge(story)
    real = {(n.split(".")[0], int(n.split(".")[1])) for n in story.running()}
    assert real == declared(story)
    assert len(story.running()) == len(real), "a slot has two running instances"
    live = {c for s in story.world.workloads.values() for c in s.instances}
    assert {c.name for c in story.containers.values()} == live, "an orphan, or a phantom"
    since = len(story.done)
    story.wait(1.0).settle()
    assert [a for a in story.done[since:] if not a.key.startswith("#")] == []


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(events)
def test_a_settled_workload_is_one_for_which_nothing_would_be_done(
    stream: list[tuple[str, int]],
) -> None:
    story = Story(*(spec(n, i) for i, n in enumerate(NAMES))).up()
    for event, number in stream:
        play(story, event, number)
        restless = {n: replace(s, settled=False) for n, s in story.world.workloads.items()}
        full = plan(replace(story.world, workloads=restless), story.now)
        quick = plan(story.world, story.now)
        assert full.actions == quick.actions
        if story.world.engine.answering:  # else every restless one is held
            assert full.holds == quick.holds
        assert full.wake_at == quick.wake_at


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(events)
def test_a_running_ready_instance_of_the_target_is_never_recreated(
    stream: list[tuple[str, int]],
) -> None:
    story = Story(workload("bystander"), *(spec(n, i) for i, n in enumerate(NAMES))).up()
    before = story.instance("bystander.0.g1").pid
    harmless = [(e, n) for e, n in stream if e not in ("die", "remove", "pause", "stop", "lose")]
    for event, number in harmless:
        play(story, event, number)
    converge(story)
    assert story.instance("bystander.0.g1").pid == before
    assert story.took(CreateContainer).count("bystander.0.g1") == 1
    assert story.took(StartContainer).count("bystander.0.g1") == 1
