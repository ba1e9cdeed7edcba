"""Every example is good for the validator and for the schema; every bad one is bad for both."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from nodeorch.spec.load import load_text
from nodeorch.spec.problems import errors
from nodeorch.spec.schema import schema
from nodeorch.spec.settings import Settings, load_settings
from nodeorch.spec.together import check_together

ROOT = Path(__file__).parents[2]
CONFIGS = ROOT / "configs"
GOOD = sorted((CONFIGS / "examples").glob("*.toml"))
BAD = sorted((Path(__file__).parent / "bad").glob("*.toml"))


def _schema(name: str) -> jsonschema.Draft4Validator:
    shipped: dict[str, Any] = json.loads((CONFIGS / f"{name}.schema.json").read_text())
    jsonschema.Draft4Validator.check_schema(shipped)
    return jsonschema.Draft4Validator(shipped)


@pytest.mark.parametrize("name", ["workload", "settings"])
def test_the_shipped_schema_is_current(name: str) -> None:
    assert json.loads((CONFIGS / f"{name}.schema.json").read_text()) == schema(name)


def test_there_are_examples() -> None:
    assert len(GOOD) >= 6
    assert len(BAD) >= 60


@pytest.mark.parametrize("path", GOOD, ids=lambda path: path.stem)
def test_good(path: Path) -> None:
    workload, problems = load_text(path.read_bytes(), str(path), stem=path.stem)
    assert [problem.text() for problem in problems] == []
    assert workload is not None
    _schema("workload").validate(tomllib.loads(path.read_text()))


def test_good_ones_agree() -> None:
    loaded = {path.stem: load_text(path.read_bytes(), str(path))[0] for path in GOOD}
    assert check_together({name: w for name, w in loaded.items() if w}, {}) == {}


@pytest.mark.parametrize("path", BAD, ids=lambda path: path.stem)
def test_bad(path: Path) -> None:
    source = path.read_bytes()
    match = re.match(rb"# (E\d{3})(?:, (only by meaning|not TOML))?\n", source)
    assert match, "the first line names the code"
    code, how = match[1].decode(), (match[2] or b"").decode()

    workload, problems = load_text(source, str(path), stem=path.stem)
    assert workload is None
    assert {problem.code for problem in problems} == {code}
    for problem in problems:
        assert problem.fix, "it says what to do"
        assert problem.line > 1 or problem.code == "E103", "it points into the text"

    if how == "not TOML":
        with pytest.raises(ValueError):
            tomllib.loads(source.decode())
    else:
        valid = _schema("workload").is_valid(tomllib.loads(source.decode()))
        assert valid == (how == "only by meaning")


def test_every_code_of_a_single_text_has_a_bad_example() -> None:
    import nodeorch.spec.problems

    documented = set(re.findall(r"^(E[012]\d\d) ", nodeorch.spec.problems.__doc__ or "", re.M))
    shown = {path.read_bytes()[2:6].decode() for path in BAD}
    # Too large; by a setting; by another file; settings; by another file; labels of the fleet;
    # settings; files of the fleet.
    elsewhere = {"E001", "E220", "E231", "E238", "E252", "E278", "E280", "E281"}
    elsewhere |= {"E290", "E291", "E292"}
    assert documented - elsewhere == shown


def test_the_commented_configuration_is_the_default() -> None:
    path = CONFIGS / "nodeorch.toml"
    settings, problems = load_settings([(str(path), path.read_bytes())])
    assert problems == ()
    assert settings == Settings()
    _schema("settings").validate(tomllib.loads(path.read_text()))
    for table, keys in tomllib.loads(path.read_text()).items():
        assert set(keys) | _commented(path.read_text()) >= set(
            schema("settings")["definitions"][_definition(table)]["properties"]
        ), f"all keys of [{table}] stand in the example"


def _definition(table: str) -> str:
    reference: str = schema("settings")["properties"][table]["allOf"][0]["$ref"]
    return reference.rsplit("/", 1)[1]


def _commented(text: str) -> set[str]:
    return set(re.findall(r"^# (\w+) = ", text, re.M))


def test_warnings_alone_do_not_refuse() -> None:
    assert errors(()) == ()
