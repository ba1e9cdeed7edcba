"""The node's key, and seals that only it can make."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from nodeorch.adapters.seal import Seal
from nodeorch.ports import StoreError


def test_a_seal_holds_for_its_name_and_serial_alone(tmp_path: Path) -> None:
    seal = Seal(tmp_path)
    made = seal.seal("web.0.g1", 7)
    assert len(made) == 32 and int(made, 16) >= 0
    assert seal.verify("web.0.g1", 7, made)
    assert not seal.verify("web.0.g1", 8, made)
    assert not seal.verify("web.1.g1", 7, made)
    for other in ("", made[:-1], made.upper() + "é", "0" * 32, "\udc80"):
        assert not seal.verify("web.0.g1", 7, other)


def test_the_next_daemon_knows_the_seals_and_another_node_does_not(tmp_path: Path) -> None:
    made = Seal(tmp_path / "a").seal("web.0.g1", 7)
    assert Seal(tmp_path / "a").verify("web.0.g1", 7, made)
    assert not Seal(tmp_path / "b").verify("web.0.g1", 7, made)


def test_the_key_is_for_the_daemon_alone(tmp_path: Path) -> None:
    state = tmp_path / "state"
    Seal(state)
    assert stat.S_IMODE(state.stat().st_mode) == 0o700
    assert stat.S_IMODE((state / "key").stat().st_mode) == 0o600
    assert os.listdir(state) == ["key"]
    assert len((state / "key").read_bytes()) == 32


@pytest.mark.parametrize("content", [b"", b"short", b"x" * 4096])
def test_a_broken_key_is_made_anew(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "key").write_bytes(content)
    seal = Seal(tmp_path)
    assert seal.renewed == (content != b"")
    assert Seal(tmp_path).verify("web", 1, seal.seal("web", 1))


def test_an_interrupted_making_is_no_hindrance(tmp_path: Path) -> None:
    (tmp_path / "key.new").write_bytes(b"half")
    Seal(tmp_path)
    assert os.listdir(tmp_path) == ["key"]


def test_a_place_that_takes_no_key_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="make its directory writable"):
        Seal(tmp_path / "file" / "state")
