"""What is printed: nothing from outside reaches the terminal as it is."""

from __future__ import annotations

import sys
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nodeorch.cli import render

ANYTHING = st.text(st.characters(exclude_categories=()))


@given(ANYTHING)
def test_what_is_cleaned_is_printable(text: str) -> None:
    cleaned = render.clean(text)
    assert cleaned.isprintable()
    assert not any(unicodedata.category(c) in ("Cc", "Cf", "Cs", "Zl", "Zp") for c in cleaned)


@given(st.text(st.characters(categories=["L", "N", "P", "S"])))
def test_what_is_printable_is_left(text: str) -> None:
    assert render.clean(text) == text


@given(ANYTHING)
def test_log_lines_keep_their_tabs_alone(text: str) -> None:
    assert render.log_text(text).replace("\t", "").isprintable()
    assert render.log_text(text).count("\t") == text.count("\t")


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        ("\x1b[2J", "\\x1b[2J"),
        ("a\nb\rc", "a\\x0ab\\x0dc"),
        ("\u202eevil\u2066", "\\u202eevil\\u2066"),
        ("\u200b\u2028\ufeff", "\\u200b\\u2028\\ufeff"),
        ("\x9b31m", "\\x9b31m"),
        ("\U000e0001", "\\U000e0001"),
        ("grün → 中文", "grün → 中文"),
    ],
)
def test_clean(text: str, cleaned: str) -> None:
    assert render.clean(text) == cleaned


@given(st.lists(st.lists(ANYTHING, min_size=3, max_size=3)))
def test_tables_have_a_line_a_row_and_aligned_columns(rows: list[list[str]]) -> None:
    import contextlib
    import io

    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        render.table(("ONE", "TWO", "THREE"), rows)
    lines = said.getvalue().splitlines()
    assert len(lines) == len(rows) + 1
    start = lines[0].index("THREE")
    for line, row in zip(lines[1:], rows, strict=True):
        assert line[start:].rstrip() == render.clean(row[2]).rstrip()


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(-1, "0.0s"), (0.44, "0.4s"), (9.94, "9.9s"), (12.9, "12s"), (192, "3m12s"), (3600, "1h0m"),
     (18180, "5h3m"), (187200, "2d4h")],
)  # fmt: skip
def test_span(seconds: float, text: str) -> None:
    assert render.span(seconds) == text


@pytest.mark.parametrize(
    ("count", "text"),
    [(None, "-"), (0, "0B"), (1023, "1023B"), (1024, "1.0KiB"), (12_900_000, "12.3MiB"),
     (5 << 40, "5.0TiB"), (5000 << 40, "5000.0TiB")],
)  # fmt: skip
def test_size(count: int | None, text: str) -> None:
    assert render.size(count) == text


def test_colour_on_a_terminal_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert render.state("running", 9) == "running  "
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    assert render.state("running", 9) == "\x1b[32mrunning  \x1b[0m"
    assert render.state("\x1b", 0) == "\x1b[33m\\x1b\x1b[0m"
    monkeypatch.setenv("NO_COLOR", "")
    assert render.state("running", 9) == "\x1b[32mrunning  \x1b[0m"
    monkeypatch.setenv("NO_COLOR", "1")
    assert render.state("running", 9) == "running  "
