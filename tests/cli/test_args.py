"""Names and times, as people write them."""

from __future__ import annotations

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nodeorch.cli.args import DURATION, NAME, Whole
from nodeorch.spec.names import is_name


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("30s", 30.0),
        ("500ms", 0.5),
        ("5m", 300.0),
        ("1m30s", 90.0),
        ("1.5h", 5400.0),
        ("2d", 172800),
    ],
)
def test_times(text: str, seconds: float) -> None:
    assert DURATION.convert(text, None, None) == seconds


@pytest.mark.parametrize("text", ["", "30", "s", "30 s", "-1s", "1s2", "1x", "٣s", "1e9s", "nans"])
def test_what_is_no_time(text: str) -> None:
    with pytest.raises(click.BadParameter, match="is not a time"):
        DURATION.convert(text, None, None)


@pytest.mark.parametrize("text", ["", "x", "1.5", "11", "-1", "٣", "1" * 40])
def test_what_is_no_whole_number(text: str) -> None:
    with pytest.raises(click.BadParameter, match="is not a whole number from 0 to 10"):
        Whole(0, 10).convert(text, None, None)
    assert Whole(0).convert("7", None, None) == Whole(0, 10).convert(7, None, None) == 7


@given(st.text(max_size=70) | st.from_regex(r"[a-z0-9-]{1,70}", fullmatch=True))
def test_names_are_judged_as_everywhere(text: str) -> None:
    try:
        NAME.convert(text, None, None)
    except click.BadParameter:
        accepted = False
    else:
        accepted = True
    assert accepted == is_name(text)
