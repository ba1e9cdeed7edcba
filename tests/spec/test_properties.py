"""Whatever the text is: no exception, and each problem has a place in it."""

from __future__ import annotations

import random
import re
from pathlib import Path

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from nodeorch.model.workload import Workload
from nodeorch.spec import units
from nodeorch.spec.load import load_text
from nodeorch.spec.settings import load_settings

GOOD = sorted((Path(__file__).parents[2] / "configs" / "examples").glob("*.toml"))
TEXTS = [path.read_text() for path in GOOD]
WORDS = sorted({word for text in TEXTS for word in text.split()} | set("[]{}=.,\"'\n\0é\ufeff"))


def check(source: bytes) -> None:
    workload, problems = load_text(source, "x.toml")
    lines = source.decode("utf-8", "replace").split("\n")
    for problem in problems:
        assert 1 <= problem.line <= len(lines)
        assert 1 <= problem.column <= len(lines[problem.line - 1]) + 1
        assert problem.text().startswith(f"x.toml:{problem.line}:{problem.column}: ")
        assert "\n" not in problem.brief()
        assert "\n" not in problem.github()
    if workload is None:
        assert any(problem.severity == "error" for problem in problems)
    else:
        assert not any(problem.severity == "error" for problem in problems)
        assert msgspec.json.decode(msgspec.json.encode(workload), type=Workload) == workload
    load_settings([("x.toml", source)])


@given(st.binary(max_size=300))
@example(b"\xef\xbb\xbf[workload]")
@example(b"a = 1\rb = 2")
def test_any_bytes(source: bytes) -> None:
    check(source)


@given(st.lists(st.sampled_from(WORDS), max_size=40))
def test_any_words(words: list[str]) -> None:
    check(" ".join(words).encode())


_SCALARS = st.one_of(
    st.text(max_size=8), st.integers(), st.floats(), st.booleans(), st.dates(), st.just("64MiB")
)
_KEYS = st.sampled_from(
    sorted({"x", *(word for text in TEXTS for word in re.findall("[a-z_]+", text))})
)
_VALUES = st.recursive(
    _SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_KEYS, inner, max_size=4),
    max_leaves=12,
)


@settings(max_examples=150)
@given(st.dictionaries(_KEYS, _VALUES, max_size=5))
def test_any_shape(data: dict[str, object]) -> None:
    import tomli_w

    check(tomli_w.dumps(data).encode("utf-8", "surrogatepass"))


@pytest.mark.parametrize("seed", range(40))
def test_damaged_examples(seed: int) -> None:
    dice = random.Random(seed)
    lines = dice.choice(TEXTS).split("\n")
    for _ in range(3):
        i = dice.randrange(len(lines))
        act = dice.randrange(4)
        if act == 0:
            del lines[i]
        elif act == 1:
            lines.insert(i, dice.choice(lines))
        elif act == 2:
            cut = dice.randrange(len(lines[i]) + 1)
            lines[i] = lines[i][:cut] + dice.choice(WORDS) + lines[i][cut:]
        else:
            lines[i] = lines[i][: dice.randrange(len(lines[i]) + 1)]
    check("\n".join(lines).encode())


@given(st.integers(0, 1 << 50))
def test_sizes_come_back(number: int) -> None:
    assert units.parse_bytes(units.format_bytes(number)) == number


@given(st.integers(0, 366 * 86400 * 1000))
def test_times_come_back(thousandths: int) -> None:
    assert units.parse_seconds(units.format_seconds(thousandths / 1000)) == thousandths / 1000


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0s", 0),
        ("500ms", 0.5),
        ("1.5s", 1.5),
        ("5m", 300),
        ("1h", 3600),
        ("1d2h3m4s5ms", 93784.005),
    ],
)
def test_times(text: str, seconds: float) -> None:
    assert units.parse_seconds(text) == seconds


@pytest.mark.parametrize(
    "text", ["", "s", "5", "5 s", "s5", "1s1m", "-1s", "1e3s", "٣s", "9" * 70 + "s"]
)
def test_not_times(text: str) -> None:
    with pytest.raises(units.UnitError):
        units.parse_seconds(text)


@pytest.mark.parametrize(
    ("text", "size"),
    [("512B", 512), ("64KiB", 65536), ("1.5GiB", 3 << 29), ("1MB", 10**6), ("1kB", 1000)],
)
def test_sizes(text: str, size: int) -> None:
    assert units.parse_bytes(text) == size


@pytest.mark.parametrize("text", ["", "5", "5Mi", "5 MiB", "MiB", "-1MiB", "5mib", "5M\n", "٣MiB"])
def test_not_sizes(text: str) -> None:
    with pytest.raises(units.UnitError):
        units.parse_bytes(text)
