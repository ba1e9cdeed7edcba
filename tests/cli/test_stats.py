"""``nodeorch stats``: an hour as blocks, and as points with their times."""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nodeorch.cli import spark
from nodeorch.model.view import Pressure
from tests.api.harness import Harness, spec
from tests.api.standin import Sample
from tests.cli import golden
from tests.cli.conftest import Cli


def furnish(harness: Harness) -> None:
    """Most of an hour with a gap and a peak; and an instance that is gone."""
    harness.declare(spec("web", "replicas = 2"))
    standin = harness.standin

    def live() -> None:
        standin.clock.time = 5000.0
        standin.past.add("web.0.g0", Sample(10 << 20, 1.0, at=2000.0))
        for at in range(2000, 5000, 10):
            if not 3000 < at < 3300:
                cpu = 50 + 50 * math.sin(at / 300)
                memory = int(at / 5000 * (64 << 20))
                pressure = Pressure(cpu=cpu / 2, memory=None, io=1.0)
                standin.past.add("web.0.g1", Sample(memory, cpu, pressure, at=float(at)))

    harness.do(live)


def test_golden(harness: Harness, cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    furnish(harness)
    monkeypatch.setattr("nodeorch.cli.render.time.time", lambda: harness.standin.clock.wall())
    monkeypatch.setattr("nodeorch.cli.spark.blocks", lambda: spark.BLOCKS)
    code, out, err = cli("stats", "web")
    assert (code, err) == (0, "")
    assert max(map(len, out.splitlines())) <= 80
    golden.check("stats", out)


def test_points_have_times(harness: Harness, cli: Cli) -> None:
    furnish(harness)
    code, out, _ = cli("stats", "web", "--json")
    view = json.loads(out)
    first = view["instances"][0]["points"][0]
    assert code == 0
    assert first["at"] == "2023-11-14T22:46:20.000Z"
    assert first.keys() == {"at", "cpu_percent", "memory_bytes", "pressure"}


def test_of_the_unknown_and_of_what_never_ran(harness: Harness, cli: Cli) -> None:
    code, _, err = cli("stats", "nosuch")
    assert (code, "there is no workload nosuch" in err) == (1, True)
    harness.do(lambda: harness.standin.declare(spec("web")))
    assert cli("stats", "web")[:2] == (0, "web: no instance ran in the last hour\n")


VALUES = st.lists(st.none() | st.floats(0, 1e12), max_size=200)


@given(VALUES, st.integers(1, 200))
def test_squeezing_keeps_the_peak_and_fits(values: list[float | None], width: int) -> None:
    squeezed = spark.squeezed(values, width)
    assert len(squeezed) == min(len(values), width)
    known = [v for v in values if v is not None]
    assert max((v for v in squeezed if v is not None), default=None) == max(known, default=None)


@given(VALUES, st.floats(0, 1e12))
def test_a_block_a_value(values: list[float | None], top: float) -> None:
    drawn = spark.line(values, top)
    assert len(drawn) == len(values)
    assert [c == " " for c in drawn] == [v is None for v in values]


def test_the_scale() -> None:
    assert spark.line([0.0, None, 50.0, 100.0, 500.0], 100.0) == "▁ ▅██"
    assert spark.line([0.0, 100.0], 100.0, spark.PLAIN) == "_#"
    assert spark.line([0.0, 5.0], 0.0) == "▁▁"


@pytest.mark.parametrize(("encoding", "ramp"), [("utf-8", spark.BLOCKS), ("ascii", spark.PLAIN)])
def test_blocks_where_the_output_has_them(
    monkeypatch: pytest.MonkeyPatch, encoding: str, ramp: str
) -> None:
    class Out:
        pass

    out = Out()
    out.encoding = encoding  # type: ignore[attr-defined]
    monkeypatch.setattr("sys.stdout", out)
    assert spark.blocks() == ramp
