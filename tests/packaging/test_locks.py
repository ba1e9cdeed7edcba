"""The lock files are complete, agree with each other, and tie nobody to an index."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

REPO = Path(__file__).parents[2]
FILES = ["requirements.lock", "requirements-dev.lock", "requirements-build.lock"]


def pins(name: str) -> dict[str, tuple[str, int]]:
    """package → (version, number of hashes)."""
    text = (REPO / "packaging" / name).read_text().replace("\\\n", " ")
    found = {}
    for line in text.splitlines():
        if match := re.match(r"([A-Za-z0-9._-]+)==(\S+)", line):
            found[match[1].lower()] = (match[2], line.count("--hash=sha256:"))
    return found


def direct(extra: str | None = None) -> set[str]:
    project = tomllib.loads((REPO / "pyproject.toml").read_text())["project"]
    wanted = project["optional-dependencies"][extra] if extra else project["dependencies"]
    return {re.split(r"[<>=;\[ ]", each)[0].lower() for each in wanted}


@pytest.mark.parametrize("name", FILES)
def test_each_pin_has_a_hash(name: str) -> None:
    found = pins(name)
    assert found
    assert [package for package, (_, hashes) in found.items() if not hashes] == []


@pytest.mark.parametrize("name", FILES)
def test_no_line_names_a_place(name: str) -> None:
    text = (REPO / "packaging" / name).read_text()
    assert "://" not in text
    assert "--index" not in text


def test_all_direct_dependencies_are_locked() -> None:
    assert direct() - set(pins("requirements.lock")) == set()
    assert direct("dev") - set(pins("requirements-dev.lock")) == set()


def test_tests_run_against_what_is_shipped() -> None:
    dev = pins("requirements-dev.lock")
    for package, (version, _) in pins("requirements.lock").items():
        assert dev[package][0] == version, package
