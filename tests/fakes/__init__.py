"""Fakes of our ports: in memory, and no wiser than the real ones."""

from __future__ import annotations

from tests.fakes.engine import FakeEngine
from tests.fakes.processes import FakeCgroups, FakeDeaths

__all__ = ["FakeCgroups", "FakeDeaths", "FakeEngine"]
