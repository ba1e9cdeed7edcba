"""How much the node stalls, and from when on it evicts."""

from __future__ import annotations

from msgspec import Struct


class PressureRules(Struct, frozen=True, omit_defaults=True):
    """When the node evicts. Thresholds are percent of PSI's "full avg10"; 0: never."""

    memory: float = 0.0
    io: float = 0.0
    below: int = 0
    """Only workloads with a lower priority are evicted."""
    rest: float = 60.0
    """Seconds of calm until they start again."""


class Pressure(Struct, frozen=True, omit_defaults=True):
    """How much the node stalls."""

    words: str = ""
    """What is over its threshold; empty: nothing."""
    last_over: float | None = None
    evicted_at: float | None = None
    missing: str = ""
    """Why it cannot be told, where a rule asks for it."""
