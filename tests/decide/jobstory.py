"""A story of a job: with a wall clock that can be set, and a daemon that wakes when it asked to."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from msgspec.structs import replace

from nodeorch.model.facts import ClockSeen, EngineSeen, Loaded, Tick
from nodeorch.model.job import JobRecord, Outcome, Run
from nodeorch.model.workload import Job, Kind, Workload
from nodeorch.model.world import State, World
from tests.decide.story import Story, workload

NOON = datetime(2026, 6, 1, 12, 0, 0, tzinfo=UTC).timestamp()


def job(name: str = "job", **parts: Any) -> Workload:
    """``Job``'s fields and a workload's."""
    own = {k: parts.pop(k) for k in list(parts) if k in Job.__struct_fields__}
    return workload(name, kind=Kind.JOB, job=Job(**own), **parts)


class JobStory(Story):
    def __init__(self, *specs: Workload, wall: float = NOON, **more: Any) -> None:
        super().__init__(*specs, **more)
        self.ahead = wall - self.now
        self.brief = False
        """Whether each run's process exits at once, with code 0."""
        self.tell(ClockSeen(self.ahead))

    @property
    def wall(self) -> float:
        return self.now + self.ahead

    def set_clock(self, seconds: float) -> JobStory:
        """Forward, or back with a negative number."""
        self.ahead += seconds
        self.tell(ClockSeen(self.ahead))
        self.settle()
        return self

    def live(self, seconds: float) -> JobStory:
        """Time passes; the daemon looks whenever it said it would."""
        end = self.now + seconds
        self.settle()
        while True:
            wake = self.plan().wake_at
            if wake is None or wake >= end:
                break
            self.now = max(self.now, wake) + 0.001
            self._look()
        self.now = end
        return self._look()

    def _look(self) -> JobStory:
        self.tell(Tick())
        self.settle()
        if self.brief:
            for run in self.record().active:
                self.finish(run.number)
        return self

    def finish(self, number: int, code: int = 0, name: str = "job") -> JobStory:
        """The run's process exits."""
        found = next(n for n in self.running() if n.startswith(f"{name}.{number}."))
        self.die(found, code).settle()
        return self

    def restart_daemon(self, boot_id: str | None = None, **more: float) -> JobStory:
        """Killed at this moment; the next daemon knows what was on disk, and nothing else."""
        states = self.world.workloads
        desired = {n: s.record for n, s in states.items()}
        instances = {i.name: i.record for s in states.values() for i in s.instances.values()}
        self.world = World(
            node=replace(self.world.node, boot_id=boot_id or self.world.node.boot_id)
        )
        if boot_id:
            self.ahead += self.now - 20.0
            self.now = 20.0
            for own, c in self.containers.items():
                state = State.CREATED if c.state is State.CREATED else State.EXITED
                self.containers[own] = replace(c, state=state, pid=0, exit_code=0)
        down = more.get("down", 1.0)
        self.now += down
        self.tell(Loaded(desired=desired, instances=instances, serial=len(self.containers) + 100))
        self.tell(ClockSeen(self.ahead))
        self.specs()
        self.tell(EngineSeen(answering=True, words="answers"))
        self.settle()
        return self

    # looking ------------------------------------------------------------------------------

    def record(self, name: str = "job") -> JobRecord:
        found = self.world.workloads[name].record.job
        assert found is not None
        return found

    def run(self, number: int, name: str = "job") -> Run:
        found = self.record(name).run(number)
        assert found is not None, f"no run {number}"
        return found

    def outcomes(self, name: str = "job") -> list[Outcome | None]:
        return [r.outcome for r in self.record(name).runs]

    def dues(self, name: str = "job") -> list[str]:
        """Of the runs that are remembered, as wall times in UTC."""
        return [
            datetime.fromtimestamp(r.due, UTC).strftime("%d %H:%M")
            for r in self.record(name).runs
            if r.due is not None
        ]

    def said(self, code: str) -> list[str]:
        return [w.partition(": ")[2] for w in self.words if w.startswith(f"{code}: ")]


def wall_of(text: str, zone: str = "UTC") -> float:
    from zoneinfo import ZoneInfo

    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).timestamp()
