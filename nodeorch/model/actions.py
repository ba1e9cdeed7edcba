"""Actions: what the daemon shall do. Each has a key (one action at a time per key) and a why."""

from __future__ import annotations

from msgspec import Struct

from nodeorch.model.workload import File, PostStart, PreStop, Pull, Resources, Workload
from nodeorch.model.world import Why


class _Action(Struct, frozen=True, tag=True):
    key: str
    """An instance's name, ``INSTANCE#hookPID``, ``WORKLOAD#image``, or ``#list``."""
    why: Why
    workload: str


class ListContainers(_Action, frozen=True):
    """key ``#list``."""


class EnsureImage(_Action, frozen=True):
    """Make sure that the image is here; pull it when the policy says so. Digest comes back."""

    image: str
    policy: Pull


class CreateContainer(_Action, frozen=True):
    """Create, not start. The record is written first; the name makes it idempotent."""

    spec: Workload
    slot: int
    generation: int
    template: str
    serial: int
    image_id: str


class StartContainer(_Action, frozen=True):
    container_id: str
    sources: tuple[str, ...] = ()
    """Host paths that it mounts: the engine follows them anew at each start."""
    files: tuple[File, ...] = ()
    """Config files that it mounts."""
    after: tuple[str, ...] = ()
    """Ended containers on a host port of its: first the engine has to tear them down."""


class StopContainer(_Action, frozen=True):
    """Hook, signal, grace, KILL; ends when the first process is dead."""

    container_id: str
    pid: int
    signal: str
    grace: float
    pre_stop: PreStop | None = None


class RemoveContainer(_Action, frozen=True):
    container_id: str


class UpdateLimits(_Action, frozen=True):
    """Change limits live and read them back."""

    container_id: str
    pid: int
    resources: Resources
    forced: bool = False


class RunHook(_Action, frozen=True):
    """Run the post-start hook of one run. The key is its own: it holds up nothing else."""

    instance: str
    container_id: str
    pid: int
    """Of the run that it is for."""
    address: str
    hook: PostStart


class UnpauseContainer(_Action, frozen=True):
    container_id: str


class InspectContainer(_Action, frozen=True):
    """Look. ``until_dead``: the first process is known dead; wait until the engine knows too."""

    container_id: str
    until_dead: bool = False


Action = (
    ListContainers
    | EnsureImage
    | CreateContainer
    | StartContainer
    | StopContainer
    | RemoveContainer
    | UpdateLimits
    | RunHook
    | UnpauseContainer
    | InspectContainer
)


class Hold(Struct, frozen=True):
    """Decided not to act, and why; ``until``: when it will be decided anew (boot time)."""

    workload: str
    instance: str
    why: Why
    until: float | None = None


class Plan(Struct, frozen=True):
    actions: tuple[Action, ...] = ()
    holds: tuple[Hold, ...] = ()
    wake_at: float | None = None
    """The earliest time at which something changes without a fact."""
