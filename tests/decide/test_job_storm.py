"""Random storms over jobs: answers are lost, daemons killed, hosts rebooted, clocks set.

What holds: runs of a job that forbids it never overlap; a run has one container; and after the
storm every run comes to an end, and what is left is what was promised.
"""

from __future__ import annotations

from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nodeorch.model.facts import ClockSeen, EngineSeen
from nodeorch.model.job import JobRecord
from nodeorch.model.workload import Concurrency, Job, Kind, Workload
from nodeorch.model.world import State
from tests.decide.jobstory import NOON
from tests.decide.storm import ALIVE, Storm
from tests.decide.story import workload

NAMES = ("a", "b", "c")
WAITS = (0.02, 0.3, 6.0, 31.0, 61.0, 700.0)

shapes = st.builds(
    lambda **parts: parts,
    image=st.sampled_from(["1", "1", "2", "missing"]),
    schedule=st.sampled_from([None, "* * * * *", "*/5 * * * *"]),
    concurrency=st.sampled_from(Concurrency),
    deadline=st.sampled_from([None, 45.0]),
    retries=st.integers(0, 2),
)
numbers = st.integers(0, 11)
events = st.lists(
    st.one_of(
        st.tuples(st.just("edit"), st.sampled_from(NAMES), shapes),
        st.tuples(
            st.sampled_from(
                ["effect", "answer", "answer", "plan", "settle", "lose", "die", "die", "live",
                 "live", "live", "wait", "daemon", "reboot", "clock", "run", "stop", "start",
                 "gone", "prune"]
            ),
            numbers,
            numbers,
        ),
    ),
    max_size=40,
)  # fmt: skip


def spec(name: str, shape: dict[str, Any]) -> Workload:
    terms = {k: v for k, v in shape.items() if k != "image"}
    image = f"localhost/web:{shape['image']}"
    return workload(name, image=image, kind=Kind.JOB, job=Job(**terms))


class JobStorm(Storm):
    def __init__(self, *specs: Workload) -> None:
        super().__init__(*specs)
        self.ahead = NOON - self.now
        self.allowed: set[str] = set()
        """Jobs that were allowed to overlap at some time: old runs may still do."""
        self.tell(ClockSeen(self.ahead))

    def restart_daemon(self, **more: Any) -> None:
        before = self.now
        super().restart_daemon(**more)
        self.ahead += max(0.0, before + 1 - self.now)  # a boot begins at nought
        self.tell(ClockSeen(self.ahead))

    def job(self, name: str) -> JobRecord:
        state = self.world.workloads.get(name)
        return (state.record.job if state else None) or JobRecord()

    def check(self) -> None:
        self.plan()
        for name in NAMES:
            alive = [c.name for c in self.containers.values() if c.state in ALIVE]
            mine = [n for n in alive if n.startswith(f"{name}.")]
            slots = [n.split(".")[1] for n in mine]
            if self.meddled:
                continue
            assert len(slots) == len(set(slots)), f"a run has two processes: {mine}"
            runs = [self.job(name).run(int(slot)) for slot in slots]
            overlap = [r for r in runs if r is not None and r.outcome is None]
            state = self.world.workloads.get(name)
            if state is not None and name not in self.allowed:
                assert len(overlap) <= 1, f"{mine} run at once"


def play(storm: JobStorm, event: Any) -> None:
    verb, number, extra = event
    storm.now += 0.003
    if verb == "edit":
        storm.failures.clear()
        if extra["concurrency"] is Concurrency.ALLOW:
            storm.allowed.add(number)
        storm.specs(spec(number, extra))
    elif verb == "plan":
        storm.step()
    elif verb == "settle":
        storm.settle()
    elif verb in ("effect", "answer", "lose"):
        _fly(storm, verb, number, extra)
    elif verb == "live":
        storm.wait(61.0).settle()
    elif verb == "wait":
        storm.wait(WAITS[number % len(WAITS)])
    elif verb == "daemon":
        for flight in list(storm.flight)[: number % 3]:
            storm.effect(flight)
        storm.restart_daemon()
    elif verb == "reboot":
        storm.reboot(extra + 2, created=number % 2 == 0)
    elif verb == "clock":
        storm.ahead += (number - 5) * 400.0
        storm.tell(ClockSeen(storm.ahead))
    elif verb in ("run", "stop", "start"):
        storm.failures.clear()
        storm.command(verb, NAMES[number % 3])
    elif verb == "gone":
        storm.files.pop(NAMES[number % 3], None)
        storm.specs(deleted=(NAMES[number % 3],))
    else:
        _meddle(storm, verb, number, extra)


def _fly(storm: JobStorm, verb: str, number: int, extra: int) -> None:
    flight = storm.fly(verb, number)
    if flight is not None:
        storm.lose(flight, ("timeout", "unreachable")[extra % 2], ("now", "never")[extra % 3 == 0])


def _meddle(storm: JobStorm, verb: str, number: int, extra: int) -> None:
    names = sorted(storm.running())
    if verb == "die" and names:
        name = names[number % len(names)]
        state = storm.world.workloads.get(name.partition(".")[0])
        if state is not None and name in state.instances:
            storm.die(name, code=extra % 3)
    elif verb == "prune":
        for own in [c.id for c in storm.containers.values() if c.state is State.EXITED]:
            del storm.containers[own]


def converge(storm: JobStorm) -> None:
    """The engine obeys, and processes exit with code 0, until nothing is left to run."""
    storm.failures.clear()
    storm.late.clear()
    for flight in list(storm.flight):
        storm.deliver(flight)
    storm.tell(EngineSeen(answering=False, words="off"))
    storm.tell(EngineSeen(answering=True, words="on"))
    for _ in range(60):
        storm.settle()
        for name in sorted(storm.running()):
            state = storm.world.workloads.get(name.partition(".")[0])
            if state is not None and name in state.instances:
                storm.die(name, code=0)
        storm.settle()
        storm.failures.clear()
        if not any(storm.job(n).active for n in NAMES):
            break
        storm.wait(7.0)


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(events)
def test_runs_in_a_storm(stream: list[Any]) -> None:
    first = {"image": "1", "schedule": "* * * * *", "deadline": None, "retries": 1}
    ways = (Concurrency.FORBID, Concurrency.REPLACE)
    storm = JobStorm(
        *(spec(n, {**first, "concurrency": w}) for n, w in zip("ab", ways, strict=True))
    )
    storm.up()
    for event in stream:
        play(storm, event)
        storm.check()
    storm.files = {n: w for n, w in storm.files.items() if "missing" not in w.main.image}
    storm.specs(deleted=NAMES)
    converge(storm)
    for name in NAMES:
        active = storm.job(name).active
        assert not active, f"{name} has a run without an end: {active} {storm.holds()}"
        storm.command("stop", name)
    for _ in range(3):
        storm.wait(31.0).settle()
    for name in NAMES:
        job, state = storm.job(name), storm.world.workloads.get(name)
        kept = state.instances if state is not None else {}
        mine = {c.name for c in storm.containers.values() if c.name.startswith(f"{name}.")}
        assert mine == set(kept), f"{name}: an orphan, or a phantom"
        assert len(kept) <= 3
        numbers = [r.number for r in job.runs]
        assert numbers == sorted(set(numbers)) and all(n <= job.last for n in numbers)
