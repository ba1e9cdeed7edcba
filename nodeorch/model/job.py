"""The runs of a job, as they are remembered."""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct

from nodeorch.model.workload import Workload


class Cause(StrEnum):
    """Why a run was made."""

    SCHEDULE = "schedule"
    DECLARED = "declared"
    OPERATOR = "operator"
    FOUND = "found"
    """Its container was taken back after the database had been lost."""


class Outcome(StrEnum):
    """How a run ended; of the last three also why it is being ended."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"
    DEADLINE = "deadline"
    REPLACED = "replaced"
    STOPPED = "stopped"


class Run(Struct, frozen=True, omit_defaults=True):
    """One run of a job: one container, in the slot of the run's number, with its retries."""

    number: int
    """From 1, rising; also the slot of its container."""
    cause: Cause
    template: str
    """Of the target when it was made."""
    made_wall: float
    began: float = 0.0
    """Boot time of its making: its deadline counts from here."""
    boot_id: str = ""
    due: float | None = None
    """Wall time that its schedule named."""
    by: str = ""
    change: int = 0
    """The number of the request that asked for it."""
    args: tuple[str, ...] | None = None
    """In place of the workload's args."""
    generation: int = 0
    attempts: int = 0
    started_wall: float = 0.0
    ended_wall: float = 0.0
    exit_code: int | None = None
    ending: Outcome | None = None
    """It is being stopped, and why."""
    outcome: Outcome | None = None
    """None: it has not ended."""
    words: str = ""
    """Why it is being stopped, or how it ended."""


class JobRecord(Struct, frozen=True, omit_defaults=True):
    """What is remembered of a job; written before a run's container is created."""

    runs: tuple[Run, ...] = ()
    """Oldest first: all that have not ended, and the last that have."""
    last: int = 0
    """The highest number ever given out."""
    spent: tuple[tuple[float, float], ...] = ()
    """Stretches of wall time whose due times have been dealt with (see decide/due.py)."""
    schedule: str = ""
    """What they are of: the expression and its zone."""
    ran: str = ""
    """Without a schedule: the template that has had its run."""
    skipped: str = ""
    """The last due time that did not run, and why."""
    older: dict[str, Workload] = {}
    """Template → the version before the target by which a run that has not ended still goes."""

    def run(self, number: int) -> Run | None:
        return next((r for r in self.runs if r.number == number), None)

    @property
    def active(self) -> tuple[Run, ...]:
        return tuple(r for r in self.runs if r.outcome is None)
