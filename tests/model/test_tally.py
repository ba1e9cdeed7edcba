"""Tries of a probe become a verdict by the thresholds, and only a change is told."""

from __future__ import annotations

from itertools import groupby

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nodeorch.model.tally import Tally, count
from nodeorch.model.workload import Probe, Tcp


def told(probe: Probe, tries: str) -> str:
    """One letter a try: + passed, - failed, u failed too soon to count; out: P, F or a dot."""
    tally, out = Tally(), ""
    for letter in tries:
        tally, verdict = count(tally, probe, letter == "+", counts=letter != "u")
        out += "." if verdict is None else "P" if verdict else "F"
    return out


@pytest.mark.parametrize(
    ("failures", "successes", "tries", "expected"),
    [
        (3, 1, "+", "P"),
        (3, 1, "+++", "P.."),
        (3, 1, "---", "..F"),
        (3, 1, "-----", "..F.."),
        (3, 1, "--+---", "..P..F"),
        (3, 1, "+--+---", "P.....F"),
        (1, 1, "+-+-", "PFPF"),
        (2, 3, "+++--+++", "..P.F..P"),
        (2, 3, "++-+++", ".....P"),
        (2, 3, "++u+++", ".....P"),
        (3, 1, "uuuuuu", "......"),
        (3, 1, "uu-u-u-", "......F"),
        (3, 1, "---u", "..F."),
    ],
)
def test_thresholds(failures: int, successes: int, tries: str, expected: str) -> None:
    probe = Probe(tcp=Tcp(80), failures=failures, successes=successes)
    assert told(probe, tries) == expected


@given(st.integers(1, 5), st.integers(1, 5), st.text("+-u", max_size=60))
def test_verdicts_alternate_and_each_was_earned(failures: int, successes: int, tries: str) -> None:
    out = told(Probe(tcp=Tcp(80), failures=failures, successes=successes), tries)
    verdicts = out.replace(".", "")
    assert "PP" not in verdicts and "FF" not in verdicts
    for place, verdict in enumerate(out):
        if verdict == "P":
            assert tries[: place + 1].endswith("+" * successes)
        elif verdict == "F":
            assert tries[: place + 1].replace("u", "").endswith("-" * failures)


@given(st.integers(1, 5), st.integers(1, 5), st.text("+-", max_size=60))
def test_a_long_enough_run_is_always_believed(failures: int, successes: int, tries: str) -> None:
    out = told(Probe(tcp=Tcp(80), failures=failures, successes=successes), tries)
    believed, at = None, 0
    for letter, run in groupby(tries):
        length = len(list(run))
        part = out[at : at + length]
        at += length
        if length >= (successes if letter == "+" else failures) and believed != letter:
            assert part.replace(".", "") == ("P" if letter == "+" else "F")
            believed = letter
