"""The ring of the last hour: what it keeps, what it forgets, what it costs."""

from __future__ import annotations

import tracemalloc
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Struct

from nodeorch.daemon import history
from nodeorch.daemon.history import POINTS, STEP, History, Point
from nodeorch.model.view import Pressure


class Sample(Struct, frozen=True):
    at: float
    memory: int | None = None
    cpu_percent: float | None = None
    pressure: Pressure = Pressure()


def points(past: History, now: float, name: str = "web.0.g1") -> list[Point]:
    return list(past.points(name, now))


def test_a_point_has_the_mean_of_cpu_and_pressure_and_the_highest_memory() -> None:
    past = History()
    past.add("web.0.g1", Sample(300.0, 100))
    past.add("web.0.g1", Sample(310.0, 500, 10.0, Pressure(cpu=1.0, memory=20.0)))
    past.add("web.0.g1", Sample(320.0, 300, 40.0, Pressure(cpu=3.0, memory=40.0)))
    assert points(past, 325.0) == [Point(300.0, 25.0, 500, Pressure(2.0, 30.0))]


def test_a_mean_is_of_time_not_of_samples() -> None:
    """While somebody looks, there are more samples; they must not count for more."""
    past = History()
    past.add("web.0.g1", Sample(300.0))
    past.add("web.0.g1", Sample(310.0, None, 0.0))
    for second in (312.0, 314.0, 316.0, 318.0, 320.0):
        past.add("web.0.g1", Sample(second, None, 100.0))
    [point] = points(past, 321.0)
    assert point.cpu_percent == pytest.approx(50.0, rel=1e-5)


def test_points_are_in_order_and_without_holes() -> None:
    past = History()
    for at in (300.0, 330.0, 420.0):
        past.add("web.0.g1", Sample(at, int(at)))
    found = points(past, 425.0)
    assert [p.at for p in found] == [300.0, 330.0, 360.0, 390.0, 420.0]
    assert [p.memory for p in found] == [300, 330, None, None, 420]
    # The present point has no sample yet, and is not shown; a silence is.
    assert points(past, 455.0) == found
    assert [p.memory for p in points(past, 515.0)[-3:]] == [None, None, None]


def test_an_hour_is_kept_and_no_more() -> None:
    past = History()
    for n in range(POINTS * 2 + 7):
        past.add("web.0.g1", Sample(n * STEP, n))
    now = (POINTS * 2 + 6) * STEP
    found = points(past, now)
    assert [p.memory for p in found] == list(range(POINTS + 7, POINTS * 2 + 7))
    assert now - found[0].at == 3600 - STEP


def test_what_was_before_a_long_silence_does_not_come_again() -> None:
    past = History()
    past.add("web.0.g1", Sample(0.0, 1))
    late = POINTS * STEP * 3
    past.add("web.0.g1", Sample(late, 2))
    assert [p.memory for p in points(past, late) if p.memory] == [2]
    assert len(points(past, late)) == POINTS
    assert [p.memory for p in points(past, late + 3600) if p.memory] == []


def test_a_silence_hides_what_lay_there_an_hour_before() -> None:
    past = History()
    for n in range(POINTS + 10):
        past.add("web.0.g1", Sample(n * STEP, 1000 - n, 1000.0 - n))
    late = POINTS + 15
    past.add("web.0.g1", Sample(late * STEP, 7))
    assert points(past, late * STEP)[-6:] == [
        *(Point((late - n) * STEP, None, None, Pressure()) for n in (5, 4, 3, 2, 1)),
        Point(late * STEP, None, 7, Pressure()),
    ]


def test_names_of_a_workload_with_a_point_in_the_hour() -> None:
    past = History()
    for name in ("web.1.g1", "web.0.g1", "web2.0.g1"):
        past.add(name, Sample(300.0, 1))
    past.add("web.0.g2", Sample(3000.0, 1))
    assert past.names("web", 3000.0) == ["web.0.g1", "web.0.g2", "web.1.g1"]
    assert past.names("web", 3900.0) == ["web.0.g2"]
    assert past.names("we", 3000.0) == []


def test_their_number_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history, "INSTANCES", 3)
    past = History()
    for name, at in (("a.0.g1", 0.0), ("b.0.g1", 90.0), ("c.0.g1", 100.0)):
        past.add(name, Sample(at, 1))
    past.add("d.0.g1", Sample(100.0, 1))  # a is silent since 100 s and gives way
    assert [past.names(w, 100.0) for w in "abcd"] == [[], ["b.0.g1"], ["c.0.g1"], ["d.0.g1"]]
    past.add("e.0.g1", Sample(101.0, 1))  # all others are live
    assert past.names("e", 101.0) == []
    for name in ("b.0.g1", "d.0.g1"):
        past.add(name, Sample(4000.0, 1))
    past.add("f.0.g1", Sample(4001.0, 1))
    assert len(past._rings) == 3


def test_a_hundred_instances_cost_less_than_three_hundred_kilobytes() -> None:
    past = History()
    tracemalloc.start()
    try:
        for n in range(100):
            for at in range(0, 7200, 30):
                past.add(f"workload-{n}.0.g1", Sample(float(at), n, 1.0, Pressure(1.0, 2.0, 3.0)))
        used, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert used < 300_000


@given(
    st.lists(
        st.tuples(
            st.floats(0, 20_000),
            st.none() | st.integers(0, 1 << 40),
            st.none() | st.floats(0, 10_000),
        ),
        min_size=1,
        max_size=60,
    )
)
def test_any_times_in_any_order(samples: list[tuple[float, int | None, float | None]]) -> None:
    past = History()
    for at, memory, cpu in samples:
        past.add("web.0.g1", Sample(at, memory, cpu))
    now = max(at for at, _, _ in samples)
    found = points(past, now)
    assert 1 <= len(found) <= POINTS
    assert all(b.at - a.at == STEP for a, b in pairwise(found))
    highest = max((cpu for _, _, cpu in samples if cpu is not None), default=0.0)
    assert all(p.cpu_percent is None or p.cpu_percent <= highest * 1.001 for p in found)
