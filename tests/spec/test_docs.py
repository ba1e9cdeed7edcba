"""The documentation holds what it says: its examples are valid, its links lead somewhere.

That the tables of docs/specs.md are the model is held by test_reference.
"""

from __future__ import annotations

import ast
import json
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from msgspec import inspect

from nodeorch.model.workload import Workload
from nodeorch.spec.load import load_text
from nodeorch.spec.problems import errors
from nodeorch.spec.schema import schema
from nodeorch.spec.settings import Settings, load_settings
from nodeorch.spec.together import check_together
from nodeorch.spec.walk import plain, type_info

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]

SETTINGS = "## Settings"
"""The line above their table in docs/operations.md; keys are written ``[table] key``."""


def _blocks() -> Iterator[Any]:
    for page in PAGES:
        found = re.findall(r"^```toml\n(.*?)^```$", page.read_text(), re.S | re.M)
        for number, text in enumerate(found, 1):
            yield pytest.param(text, id=f"{page.relative_to(ROOT)}-{number}")


@pytest.mark.parametrize("text", list(_blocks()))
def test_toml_in_the_documentation_is_valid(text: str) -> None:
    if re.search(r"^\[workload\]", text, re.M):
        workload, problems = load_text(text, "block.toml")
        assert workload is not None and not problems, [p.text() for p in problems]
    else:
        settings, found = load_settings([("block.toml", text)])
        assert settings is not None and not errors(found), [p.text() for p in found]


def _table(page: str, line: str) -> dict[str, list[str]]:
    """First cell → the others, of the first table with a "Key" below a line."""
    lines = (ROOT / "docs" / page).read_text().split("\n")
    start = lines.index(line)
    head = next(i for i in range(start, len(lines)) if lines[i].startswith("| Key |"))
    rows: dict[str, list[str]] = {}
    for row in lines[head + 2 :]:
        if not row.startswith("|"):
            break
        cells = [cell.strip() for cell in row.strip("|").split("|")]
        rows[cells[0].strip("`")] = cells[1:]
    return rows


def _default(owner: dict[str, Any], key: str) -> str:
    """As the table has to write it."""
    if key in owner.get("required", ()):
        return "required"
    value = owner["properties"][key].get("default")
    return "-" if value is None else f"`{json.dumps(value)}`"


def test_each_setting_is_documented() -> None:
    rows = _table("operations.md", SETTINGS)
    whole = schema("settings")
    expected: dict[str, str] = {}
    for field in type_info(Settings).fields:
        inner = plain(field.type).type
        assert isinstance(inner, inspect.StructType)
        definition = whole["definitions"][inner.cls.__name__]
        for key in inner.fields:
            at = f"[{field.encode_name}] {key.encode_name}"
            expected[at] = _default(definition, key.encode_name)
    assert {key: cells[0] for key, cells in rows.items()} == expected


def test_links_between_pages_lead_somewhere() -> None:
    for page in PAGES:
        for target, anchor in re.findall(r"\]\(([^)#:]*)(?:#([^)]*))?\)", page.read_text()):
            there = page.parent / target if target else page
            assert there.exists(), f"{page.name} → {target}"
            assert not anchor or anchor in _anchors(there), f"{page.name} → {target}#{anchor}"


def _anchors(page: Path) -> set[str]:
    """Of its headings, as GitHub makes them."""
    heads = re.findall(r"^#+ (.*)$", page.read_text(), re.M)
    return {re.sub(r"[^\w -]", "", head.lower()).replace(" ", "-") for head in heads}


def test_what_happens_when_is_shown_by_tests_that_exist() -> None:
    answers = (ROOT / "docs" / "what-happens-when.md").read_text().split("\n### ")[1:]
    assert len(answers) > 20
    for answer in answers:
        question, _, rest = answer.partition("\n")
        words, _, shown = rest.partition("Shown by ")
        assert question.endswith("?") and words.strip(), question
        named = re.findall(r"\[`(\w+)`\]\(\.\./([\w/]+\.py)\)", shown)
        assert named, f"{question}: by which test?"
        for test, path in named:
            assert test in _tests(ROOT / path), f"{question}: no {test} in {path}"


def test_tests_that_pages_name_exist() -> None:
    for page in PAGES:
        for path, test in re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", page.read_text()):
            assert test in _tests(ROOT / path), f"{page.name}: no {test} in {path}"


def _tests(path: Path) -> set[str]:
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    found = {node.name for node in ast.parse(path.read_text()).body if isinstance(node, kinds)}
    return {name for name in found if name.startswith("test_")}


def test_the_workloads_of_the_guide_go_together() -> None:
    guide = (ROOT / "docs" / "from-compose.md").read_text()
    named: dict[str, Workload] = {}
    for text in re.findall(r"^```toml\n(.*?)^```$", guide, re.S | re.M):
        workload, _ = load_text(text, "block.toml")
        assert workload is not None and workload.name not in named
        assert f"`{workload.name}.toml`" in guide
        named[workload.name] = workload
    assert len(named) >= 4
    assert check_together(named, {}) == {}


def test_each_page_is_in_the_index() -> None:
    docs = ROOT / "docs"
    for folder in (docs, docs / "decisions"):
        linked = set(re.findall(r"\]\(([^)#:]+)\)", (folder / "README.md").read_text()))
        assert {page.name for page in folder.glob("*.md")} - {"README.md"} <= linked


def test_the_rooms_in_the_architecture_are_the_packages() -> None:
    page = (ROOT / "docs" / "architecture.md").read_text()
    rooms = page.partition("## Rooms\n")[2].partition("\n## ")[0]
    named = set(re.findall(r"^\| `([\w/.]+)` \|", rooms, re.M))
    there = {
        path.name + "/" * path.is_dir()
        for path in (ROOT / "nodeorch").iterdir()
        if not path.name.startswith("__")
    }
    assert named == there
    modules = {path.stem for path in (ROOT / "nodeorch" / "decide").rglob("[!_]*.py")}
    assert modules <= set(re.findall(r"`(\w+)`", rooms))


def test_the_commented_configuration_is_the_documented_one() -> None:
    shipped = tomllib.loads((ROOT / "configs" / "nodeorch.toml").read_text())
    documented = {
        tuple(re.sub(r"[\[\]]", "", k).split()) for k in _table("operations.md", SETTINGS)
    }
    assert {(t, k) for t, keys in shipped.items() for k in keys} <= documented
