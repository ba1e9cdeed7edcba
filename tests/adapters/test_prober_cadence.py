"""When probes are tried: soon at first, then evenly and apart from each other."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nodeorch.adapters.probes.cadence import Cadence, phase
from nodeorch.model.tally import Tally, count
from nodeorch.model.workload import Probe, Tcp


def failing(interval: float, lasts: float, tries: int) -> tuple[list[float], list[float]]:
    """(start times, the times of those that counted) of a probe that never passes."""
    cadence = Cadence(interval, 0.0, 100.0, quick=True)
    at, starts, counted = 100.0, [], []
    for _ in range(tries):
        starts.append(at - 100)
        if cadence.counts(at + lasts):
            counted.append(at + lasts - 100)
        at = cadence.after(False, at, at + lasts)
    return starts, counted


def test_the_first_tries_come_quickly_and_then_at_the_interval() -> None:
    starts, _ = failing(10, 0, 10)
    assert starts == pytest.approx([0, 0.2, 0.6, 1.4, 3.0, 6.2, 10, 20, 30, 40])


def test_failures_count_once_an_interval_however_many_tries() -> None:
    assert failing(10, 0, 10)[1] == pytest.approx([10, 20, 30, 40])
    assert failing(1, 0, 6)[1] == pytest.approx([1, 2, 3])
    assert failing(0.1, 0, 4)[1] == pytest.approx([0.1, 0.2, 0.3])


def test_a_hung_target_is_tried_one_after_the_other() -> None:
    starts, counted = failing(1, 5, 4)
    assert starts == pytest.approx([0, 5, 10, 15])
    assert len(counted) == 4


@given(st.floats(0.05, 60), st.integers(1, 10), st.floats(0, 0.01))
def test_the_startup_budget_is_failures_times_interval(
    interval: float, failures: int, lasts: float
) -> None:
    probe = Probe(tcp=Tcp(1), interval=interval, failures=failures)
    cadence = Cadence(interval, 0.0, 7.0, quick=True)
    tally, at = Tally(), 7.0
    for _ in range(1000):
        now = at + lasts
        tally, verdict = count(tally, probe, False, counts=cadence.counts(now))
        if verdict is False:
            break
        at = cadence.after(False, at, now)
    assert verdict is False
    budget = interval * failures
    assert budget <= now - 7.0 + 1e-4
    assert now - 7.0 <= budget + lasts * (failures + 10) + 1e-4


def test_passes_in_a_row_are_an_interval_apart() -> None:
    cadence = Cadence(2.0, 0.0, 0.0, quick=True)
    assert cadence.after(False, 0.0, 0.0) == 0.2
    assert cadence.after(True, 0.2, 0.2) == 2.2


@given(st.floats(0.1, 100), st.floats(0, 1), st.floats(0, 3), st.floats(0, 1e6))
def test_steady_tries_keep_to_the_interval(
    interval: float, where: float, lasts: float, began: float
) -> None:
    cadence = Cadence(interval, where * interval, began, quick=False)
    started = began
    for turn in range(20):
        due = cadence.after(True, started, started + lasts)
        assert due >= started + lasts - 1e-4
        assert due >= started + interval / 2 - 1e-4
        if turn and lasts < interval / 4:
            assert due - started == pytest.approx(interval, abs=interval / 8 + 1e-4)
        started = due


def test_a_thousand_probes_spread_over_the_interval() -> None:
    tenths = [0] * 10
    for number in range(1000):
        cadence = Cadence(10.0, phase(f"w{number}.0.g1", "liveness", 10.0), 0.0, quick=False)
        tenths[int(cadence.after(True, 0.0, 0.0) % 10)] += 1
    assert min(tenths) > 60 and max(tenths) < 140
    assert phase("a", "liveness", 10.0) != phase("a", "readiness", 10.0)
    assert phase("a", "liveness", 10.0) == phase("a", "liveness", 10.0)
