"""Files that are no files do not hold us up."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from nodeorch.files import Unreadable, read_regular, read_source


def why(path: Path | str, limit: int = 100) -> str:
    with pytest.raises(Unreadable) as caught:
        read_regular(path, limit)
    assert str(caught.value).startswith("cannot read ")
    return caught.value.why


def test_a_file_and_a_symlink_to_it(tmp_path: Path) -> None:
    file = tmp_path / "a"
    file.write_bytes(b"x" * 100)
    (tmp_path / "b").symlink_to(file)
    assert read_regular(file, 100) == read_regular(str(tmp_path / "b"), 100) == b"x" * 100
    assert "larger than 99 bytes (100)" in why(file, 99)


def test_a_pipe_without_a_writer_does_not_block(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert why(tmp_path / "pipe") == "it is a named pipe"


def test_a_pipe_put_there_between_the_looks_does_not_block(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "file").write_text("x")
    seen = os.stat(tmp_path / "file")
    monkeypatch.setattr(os, "stat", lambda path: seen)
    assert why(tmp_path / "pipe") == "it is a named pipe"


def test_other_things(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "sock"))
        assert why(tmp_path / "sock") == "it is a socket"
    (tmp_path / "loop").symlink_to("loop")
    assert "circle" in why(tmp_path / "loop")
    (tmp_path / "broken").symlink_to("nothing")
    assert why(tmp_path / "broken") == "it is a symlink to nothing"
    assert why(tmp_path / "absent") == "there is no such file"
    assert why(tmp_path) == "it is a folder"
    assert why("/dev/zero") == "it is a device"
    assert why("a\0b") == "the name has a NUL character"


def test_a_file_that_grows_while_it_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "a"
    file.write_bytes(b"x" * 50)
    small = os.stat(file)
    file.write_bytes(b"x" * 5000)
    monkeypatch.setattr(os, "fstat", lambda handle: small)
    monkeypatch.setattr(os, "stat", lambda path: small)
    assert "larger than 100" in why(file, 100)


def test_a_symlink_put_there_after_the_look_leads_nowhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who may write to the folder, a workload among them, can wait for that moment."""
    shared, secret = tmp_path / "shared", tmp_path / "secret"
    shared.mkdir()
    secret.write_text("sentinel-9")
    source, really = shared / "a.conf", os.open
    source.write_text("a")

    def open_late(path: str, flags: int) -> int:
        source.unlink()
        source.symlink_to(secret)
        return really(path, flags)

    assert read_source(str(source), 100, [str(shared)], []) == b"a"
    monkeypatch.setattr("nodeorch.files.os.open", open_late)
    with pytest.raises(Unreadable, match="is outside the folders"):
        read_source(str(source), 100, [str(shared)], [])
