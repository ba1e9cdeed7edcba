from __future__ import annotations

from pathlib import Path

from nodeorch.doctor.catalogue import CATALOGUE
from nodeorch.doctor.page import page

PAGE = Path(__file__).parents[2] / "docs" / "doctor.md"


def test_the_page_is_the_catalogue() -> None:
    """Write it anew: python -m nodeorch.doctor.page >docs/doctor.md"""
    assert PAGE.read_text() == page()
    for code in CATALOGUE:
        assert f"### `{code}`" in page()
