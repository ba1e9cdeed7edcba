"""PSI as kernels write it, and where they do not."""

from __future__ import annotations

from pathlib import Path

import pytest

from nodeorch.adapters.pressure import PressureWatch, full
from nodeorch.model.facts import Fact, PressureSeen

RECORDED = """\
some avg10=12.50 avg60=3.10 avg300=0.70 total=1934572
full avg10=7.25 avg60=2.00 avg300=0.40 total=1034572
"""


@pytest.mark.parametrize(
    "text, percent",
    [
        (RECORDED, 7.25),
        ("some avg10=1.00 avg60=0.00 avg300=0.00 total=0\n", None),
        ("full avg10=100.00 avg60=0.00 avg300=0.00 total=0", 100.0),
        ("full avg10=\n", None),
        ("", None),
    ],
)
def test_the_full_average_of_ten_seconds(text: str, percent: float | None, tmp_path: Path) -> None:
    (tmp_path / "memory").write_text(text)
    assert full(str(tmp_path / "memory")) == percent


def test_a_kernel_without_psi(tmp_path: Path) -> None:
    assert full(str(tmp_path / "memory")) is None


async def test_it_tells_at_once(tmp_path: Path) -> None:
    (tmp_path / "memory").write_text(RECORDED)
    told: list[Fact] = []
    watch = PressureWatch(told.append, str(tmp_path))
    watch.close()
    assert told == [PressureSeen(memory=7.25, io=None)]
