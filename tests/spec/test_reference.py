"""The reference in docs/specs.md is the model; each example in it is good and means something."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from nodeorch.decide.template import template
from nodeorch.model.workload import Workload
from nodeorch.spec.load import load_text
from nodeorch.spec.schema import schema
from nodeorch.spec.walk import shown
from nodeorch.spec.words import WORDS
from nodeorch.spec.words_settings import SETTINGS

ROOT = Path(__file__).parents[2]
MAKER = ROOT / "packaging" / "spec_reference.py"

MAIN = {"name": '"web"', "image": '"localhost/web:1"'}
ENTRY = "nofile"
"""A key for a table of tables."""
NEEDS = {"job": {"kind": '"job"'}, "placement": {"scope": '"fleet"'}}
"""What a table asks of [workload]."""
EITHER = {
    "Volume": {"name", "source", "tmpfs"},
    "File": {"content", "source"},
    "Probe": {"http", "tcp", "grpc", "exec"},
    "PostStart": {"exec", "http"},
    "PreStop": {"exec", "http"},
}
"""Of these one is required, so that nothing can be compared with a text that lacks it."""


def _maker() -> Any:
    spec = importlib.util.spec_from_file_location("spec_reference", MAKER)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


STRUCTS = _maker().structs()
FIELDS = [
    pytest.param(name, field, id=f"{name}.{field.encode_name}")
    for name, (info, _) in STRUCTS.items()
    for field in shown(info)
]


def _text(name: str, keys: dict[str, str], beside: str) -> str:
    """A workload file in which a struct of that name has these keys."""
    way = STRUCTS[name][1]
    if way == ["workload"]:
        return "[workload]\n" + "".join(f"{k} = {v}\n" for k, v in (MAIN | keys).items())
    written = ", ".join([*([beside] if beside else []), *(f"{k} = {v}" for k, v in keys.items())])
    made = f"{{ {written} }}"
    for part in reversed(way):
        key = part.rstrip("[]{}")
        inner = f"{{ {ENTRY} = {made} }}" if part.endswith("{}") else made
        made = f"{{ {key} = {f'[{made}]' if part.endswith('[]') else inner} }}"
    root = made.removeprefix("{ ").removesuffix(" }")
    return f"{root}\n{_text('Main', NEEDS.get(way[0], {}), '')}"


def _load(text: str) -> Workload:
    workload, problems = load_text(text, "web.toml", stem="web")
    assert workload is not None and not problems, [p.text() for p in problems]
    jsonschema.Draft4Validator(schema("workload")).validate(tomllib.loads(text))
    return workload


def test_the_page_is_made_from_the_model() -> None:
    done = subprocess.run([sys.executable, MAKER, "--check"], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_each_struct_has_its_table() -> None:
    marks = _maker().MARK.findall((ROOT / "docs" / "specs.md").read_text())
    assert sorted(marks) == sorted(STRUCTS)
    marks = _maker().MARK.findall((ROOT / "docs" / "operations.md").read_text())
    assert marks == ["Settings"]


def test_no_words_of_settings_are_left_over() -> None:
    definitions = schema("settings")["definitions"]
    for name, words in SETTINGS.items():
        assert words.keys() <= definitions[name]["properties"].keys()


def test_each_field_has_words_and_no_words_are_left_over() -> None:
    fields = {name: {f.encode_name for f in shown(info)} for name, (info, _) in STRUCTS.items()}
    assert {name: set(words) for name, words in WORDS.items()} == fields
    assert all(w.meaning and w.example for words in WORDS.values() for w in words.values())


def test_editors_show_the_words() -> None:
    definitions = schema("workload")["definitions"]
    shown_there = {
        (name, key): definitions[name]["properties"][key]["description"]
        for name, words in WORDS.items()
        for key in words
    }
    assert shown_there["Ulimit", "hard"] == WORDS["Ulimit"]["hard"].meaning
    assert "see Probes over TLS" in shown_there["Http", "ca"]
    assert "](" not in "".join(shown_there.values()), "links lead nowhere there"


@pytest.mark.parametrize(("name", "field"), FIELDS)
def test_each_example_is_good_and_takes_effect_as_the_table_says(name: str, field: Any) -> None:
    key = field.encode_name
    word = WORDS[name][key]
    given = _load(_text(name, {key: word.example}, word.beside))
    if field.required or key in EITHER.get(name, ()):
        return
    absent = _load(_text(name, {}, word.beside))
    assert given != absent, "an example shows something else than the default"
    live = template(given) == template(absent)
    assert live == (_maker().change(STRUCTS[name][1], key) == "live")
