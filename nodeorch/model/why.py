"""Reasons: one vocabulary for everything that happens or is decided."""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct


class Code(StrEnum):
    """Why something happened or was decided. One vocabulary for exits, actions, holds and notes."""

    # ends of instances
    EXITED = "Exited"
    SIGNALED = "Signaled"
    OOM_KILLED = "OomKilled"
    PROBE_FAILED = "ProbeFailed"
    HOOK_FAILED = "HookFailed"
    OPERATOR = "Operator"
    HOST_REBOOTED = "HostRebooted"
    REMOVED_OUTSIDE = "RemovedOutside"
    PAUSED_OUTSIDE = "PausedOutside"
    RENAMED_OUTSIDE = "RenamedOutside"
    # decisions
    MISSING = "Missing"
    SURPLUS = "Surplus"
    RESTART = "Restart"
    BACKOFF = "Backoff"
    CRASH_LOOP = "CrashLoop"
    COMPLETED = "Completed"
    POLICY = "Policy"
    DEPENDENCY = "Dependency"
    NO_ROOM = "NoRoom"
    DELETED = "Deleted"
    SHUTDOWN = "Shutdown"
    EVICTED = "Evicted"
    UPDATE = "Update"
    UPDATED = "Updated"
    UPDATE_FAILED = "UpdateFailed"
    ROLLBACK = "Rollback"
    IMAGE = "Image"
    IMAGE_FAILED = "ImageFailed"
    DRIFT = "DriftDetected"
    LIMITS = "Limits"
    HOOK = "Hook"
    READY = "Ready"
    NOT_READY = "NotReady"
    STARTED = "Started"
    STOPPED = "Stopped"
    ADOPTED = "Adopted"
    CREATED = "Created"
    REMOVED = "Removed"
    FAILED = "Failed"
    STUCK = "Stuck"
    LOOK = "Look"
    # jobs
    SCHEDULED = "Scheduled"
    RUN_BEGAN = "RunBegan"
    RUN_SUCCEEDED = "RunSucceeded"
    RUN_FAILED = "RunFailed"
    RUN_SKIPPED = "RunSkipped"
    RUN_MISSED = "RunMissed"
    DEADLINE = "Deadline"
    REPLACED = "Replaced"
    CLOCK_SET = "ClockSet"
    # people inside instances
    EXEC = "Exec"
    COPIED = "Copied"
    # several hosts
    HOST_UP = "HostUp"
    HOST_SUSPECTED = "HostSuspected"
    HOST_UNSUPERVISED = "HostUnsupervised"
    HOST_DOWN = "HostDown"
    HOST_JOINED = "HostJoined"
    HOST_LEFT = "HostLeft"
    NAME_TAKEN = "NameTaken"
    SERF_DOWN = "SerfDown"
    SERF_UP = "SerfUp"
    CUT_OFF = "CutOff"
    CUT_OFF_OVER = "CutOffOver"
    TAKEN_OVER = "TakenOver"
    GIVEN_BACK = "GivenBack"
    ELSEWHERE = "Elsewhere"
    PLACED = "Placed"
    NO_PLACE = "NoPlace"
    HOME_TAKEN = "HomeTaken"
    # specs and the node
    SPEC_ACCEPTED = "SpecAccepted"
    SPEC_REJECTED = "SpecRejected"
    DELETION_HELD = "DeletionHeld"
    DELETION_CONFIRMED = "DeletionConfirmed"
    ENGINE_DOWN = "EngineDown"
    ENGINE_UP = "EngineUp"
    STATE_REBUILT = "StateRebuilt"
    PRESSURE = "Pressure"
    STORE_FAILED = "StoreFailed"
    STORE_WORKS = "StoreWorks"
    CHANGE_DONE = "ChangeDone"
    CHANGE_FAILED = "ChangeFailed"
    CHANGE_SUPERSEDED = "ChangeSuperseded"
    DAEMON_STARTED = "DaemonStarted"


class Why(Struct, frozen=True, omit_defaults=True):
    """A reason: a code for programs and words for people."""

    code: Code
    words: str
