"""The directory holds the old file or the new one, whatever happens in between."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from nodeorch.api.files import Edit


def contents(directory: Path) -> dict[str, str]:
    return {p.name: p.read_text() for p in directory.iterdir()}


@pytest.mark.parametrize("failing", ["open", "fsync", "replace", "link"])
@pytest.mark.parametrize("at", [1, 2, 3])
def test_a_failed_write_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: str, at: int
) -> None:
    old = {"a.toml": "old a", "b.toml": "old b"}
    for name, text in old.items():
        (tmp_path / name).write_text(text)
    real = getattr(os, failing)
    calls = 0

    def fail(*args: object, **kwargs: object) -> object:
        nonlocal calls
        calls += 1
        if calls == at:
            raise OSError(5, "Input/output error")
        return real(*args, **kwargs)

    edit = Edit(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(f"nodeorch.api.files.os.{failing}", fail)
        try:
            edit.write({"a.toml": b"new a", "b.toml": b"new b", "c.toml": b"new c"})
        except OSError:
            failed = True
        else:
            failed = False
            edit.keep()
    new = {"a.toml": "new a", "b.toml": "new b", "c.toml": "new c"}
    assert contents(tmp_path) == (old if failed else new)


def test_undo_brings_the_old_files_back(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text("old")
    os.symlink("elsewhere", tmp_path / "link.toml")
    edit = Edit(tmp_path)
    edit.write({"a.toml": b"new", "b.toml": b"new", "link.toml": b"new"})
    assert (tmp_path / "link.toml").read_text() == "new"
    edit.undo()
    assert os.readlink(tmp_path / "link.toml") == "elsewhere"
    os.unlink(tmp_path / "link.toml")
    assert contents(tmp_path) == {"a.toml": "old"}


def test_what_a_crash_left_is_in_nobodys_way(tmp_path: Path) -> None:
    for name in (".a.toml.nodeorch-new", ".a.toml.nodeorch-old"):
        (tmp_path / name).write_text("left behind")
    edit = Edit(tmp_path)
    edit.write({"a.toml": b"one"})
    edit.keep()
    assert contents(tmp_path).get("a.toml") == "one"
    edit = Edit(tmp_path)
    edit.write({"a.toml": b"two"})
    edit.keep()
    assert contents(tmp_path) == {"a.toml": "two"}


def test_remove_and_undo(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text("old")
    edit = Edit(tmp_path)
    assert edit.remove("a.toml") is True
    assert not (tmp_path / "a.toml").exists()
    edit.undo()
    assert contents(tmp_path) == {"a.toml": "old"}
    assert Edit(tmp_path).remove("b.toml") is False
    edit = Edit(tmp_path)
    edit.remove("a.toml")
    edit.keep()
    assert contents(tmp_path) == {}
