"""``nodeorch top``: its screen as files, what it fits into, and its options."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nodeorch.cli import topview
from nodeorch.cli.topview import Look, cells, fit, frame, short
from tests.api.harness import WEB, Harness
from tests.api.standin import Sample
from tests.cli import golden
from tests.cli.conftest import Cli

View = dict[str, Any]
NO_PRESSURE = {"cpu": None, "memory": None, "io": None}


def instance(name: str, **more: Any) -> View:
    return {
        "name": name,
        "workload": name.partition(".")[0],
        "state": "running",
        "ready": True,
        "reason": "",
        "restarts": 0,
        "oom_kills": 0,
        "cpu_percent": 0.0,
        "memory_bytes": 5 << 20,
        "memory_limit_bytes": 64 << 20,
        "pressure": NO_PRESSURE,
        "probe": "",
        "probe_passed": None,
        "probe_latency_ms": None,
    } | more


SOME = [
    instance("web.0.g1", cpu_percent=12.34, probe_passed=True, probe_latency_ms=2.1),
    instance("web.1.g1", cpu_percent=199.9, memory_bytes=60 << 20, restarts=3,
             pressure={"cpu": 12.0, "memory": 0.0, "io": 100.0}),
    instance("a-rather-long-name-for-a-workload.0.g12", cpu_percent=1.0,
             memory_bytes=1_500_000_000, memory_limit_bytes=None,
             probe_passed=False, probe_latency_ms=5000.0),
    instance("db.0.g1", state="crash-loop", ready=False, cpu_percent=None, memory_bytes=None,
             restarts=12345, reason="exited with code 1; failed 6 times \x1b[2J in a row"),
]  # fmt: skip


def view(instances: list[View]) -> View:
    return {
        "at": "2023-11-14T22:30:00.000Z",
        "node": "h1\u202e",
        "host": {
            "cpus": 2,
            "memory_total": 4 << 30,
            "memory_available": 1 << 30,
            "pressure": {"cpu": 52.8, "memory": 0.0, "io": None},
        },
        "instances": instances,
    }


MANY = [instance(f"w{n:02}.0.g1", cpu_percent=float(n)) for n in range(40)]


@pytest.fixture(autouse=True)
def utc(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()


@pytest.mark.parametrize(
    ("name", "instances", "look", "width", "height"),
    [
        ("80x24", SOME, Look(), 80, 24),
        ("80x24-colour", SOME, Look(colour=True), 80, 24),
        ("80x24-many", MANY, Look(offset=5), 80, 24),
        ("60x10-note", SOME, Look(sort="n", note="cannot reach nodeorchd at /x: \x1b"), 60, 10),
        ("40x8", SOME, Look(sort="m"), 40, 8),
        ("160x24", SOME, Look(sort="r"), 160, 24),
        ("once", SOME, Look(), 1000, None),
    ],
)
def test_golden(name: str, instances: list[View], look: Look, width: int, height: int) -> None:
    lines = frame(view(instances), look, width, height)
    golden.check(f"top-{name}", "\n".join(lines) + "\n")


@given(
    st.integers(1, 200),
    st.integers(1, 60),
    st.lists(
        st.builds(
            instance,
            st.text(max_size=60),
            reason=st.text(st.characters(exclude_categories=()), max_size=200),
            cpu_percent=st.none() | st.floats(0, 1e6),
            memory_bytes=st.none() | st.integers(0, 1 << 62),
            restarts=st.integers(0, 10**7),
            probe_latency_ms=st.none() | st.floats(0, 1e7),
        ),
        max_size=50,
    ),
    st.sampled_from("cmrn"),
    st.integers(0, 60),
)
def test_it_fits_whatever_the_size(
    width: int, height: int, instances: list[View], sort: str, offset: int
) -> None:
    lines = frame(view(instances), Look(sort=sort, offset=offset), width, height)
    assert len(lines) == height
    for line in lines:
        assert cells(line) <= width
        assert line.isprintable()


@pytest.mark.parametrize(
    ("sort", "order"),
    [("c", "bca"), ("m", "abc"), ("r", "cab"), ("n", "abc")],
)
def test_sorting(sort: str, order: str) -> None:
    instances = [
        instance("c", cpu_percent=1.0, memory_bytes=None, restarts=9),
        instance("b", cpu_percent=50.0, memory_bytes=7),
        instance("a", cpu_percent=None, memory_bytes=7),
    ]
    lines = frame(view(instances), Look(sort=sort), 80, None)
    assert [line[0] for line in lines[3:]] == list(order)


def test_scrolling_ends_with_the_last_instance() -> None:
    lines = frame(view(MANY), Look(sort="n", offset=1000), 80, 24)
    assert lines[-2].startswith("w39.0.g1")
    assert topview.last_offset(view(MANY), 24) == 20
    assert topview.last_offset(view(SOME), 24) == 0


@pytest.mark.parametrize(
    ("count", "text"),
    [(None, "-"), (0, "0B"), (1023, "1023B"), (1024, "1.0K"), (12_900_000, "12.3M"),
     (1023 << 20, "1023M"), (1 << 30, "1.0G"), (5000 << 50, "5000P")],
)  # fmt: skip
def test_short(count: int | None, text: str) -> None:
    assert short(count) == text


def test_fit_counts_columns_not_characters() -> None:
    assert fit("grün 中文", 9) == "grün 中文"
    assert fit("grün 中文", 8) == "grün 中…"
    assert fit("abc", 1) == "…"
    assert cells("a\u0301") == 1


def test_once_in_text_and_in_json(harness: Harness, cli: Cli) -> None:
    harness.declare(WEB)
    harness.do(lambda: harness.standin.samples.update({"web.0.g1": Sample(12_900_000, 1.25)}))
    code, out, err = cli("top", "--once")
    assert (code, err) == (0, "")
    golden.check("top-verb", out)
    code, out, err = cli("top", "--once", "--json")
    assert (code, err) == (0, "")
    assert json.loads(out)["instances"][0]["memory_bytes"] == 12_900_000


def test_a_screen_needs_a_terminal_and_json_is_for_once(harness: Harness, cli: Cli) -> None:
    for arguments in (["top"], ["top", "--json"]):
        code, out, err = cli(*arguments)
        assert (code, out) == (2, "")
        assert "add --once" in err
