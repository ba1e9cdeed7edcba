"""Tokens as lines and as files."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from nodeorch.cluster import tokens
from nodeorch.cluster.errors import ClusterError
from nodeorch.cluster.token import Token, read, write

NOW = 1_800_000_000.0
TOKEN = Token(b"f" * 32, b"i" * 8, b"s" * 16, 1_800_000_060, "demo")


@pytest.fixture
def files(tmp_path: Path) -> Path:
    (tmp_path / "tokens").mkdir()
    return tmp_path


def make(files: Path, valid: float = 60.0, now: float = NOW) -> tuple[str, str]:
    made = tokens.make(files, "demo", b"f" * 32, valid, now)
    return made.id.hex(), made.secret.hex()


def test_a_line_there_and_back() -> None:
    line = write(TOKEN)
    assert read(line) == TOKEN
    assert read(f"  {line[:40]}\n{line[40:]} \n") == TOKEN, "broken by a terminal's width"
    assert len(line) < 110 and line.isascii() and not line.startswith("-")


@pytest.mark.parametrize("at", range(4, 100, 7))
def test_a_changed_letter_is_noticed(at: int) -> None:
    line = write(TOKEN)
    other = "A" if line[at] != "A" else "B"
    with pytest.raises(ClusterError, match="a part of it is missing or changed"):
        read(line[:at] + other + line[at + 1 :])


def test_the_secret_is_not_kept(files: Path) -> None:
    identity, secret = make(files)
    text = (files / "tokens" / identity).read_text()
    assert secret not in text and bytes.fromhex(secret).decode("latin-1") not in text
    assert (files / "tokens" / identity).stat().st_mode & 0o777 == 0o600


def test_known_unknown_wrong_and_late(files: Path) -> None:
    identity, secret = make(files)
    tokens.check(files, identity, secret, NOW + 59)
    for bad in ((identity, "00" * 16), ("00" * 8, secret)):
        with pytest.raises(ClusterError, match="not known here"):
            tokens.check(files, *bad, NOW)
    tokens.check(files, identity, secret, NOW)
    with pytest.raises(ClusterError, match="has expired 61 s ago"):
        tokens.check(files, identity, secret, NOW + 121)


def test_burnt_once_by_however_many(files: Path) -> None:
    identity, secret = make(files)
    won: list[bool] = []

    def burn() -> None:
        try:
            tokens.burn(files, identity)
            won.append(True)
        except ClusterError:
            won.append(False)

    threads = [threading.Thread(target=burn) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert won.count(True) == 1 and len(won) == 8
    with pytest.raises(ClusterError, match="has been used"):
        tokens.check(files, identity, secret, NOW)
    with pytest.raises(ClusterError, match="not known"):
        tokens.check(files, identity, "00" * 16, NOW)


def test_their_number_is_bounded_and_old_ones_go(files: Path) -> None:
    used, _ = make(files)
    tokens.burn(files, used)
    for _ in range(tokens.LIMIT):
        make(files)
    with pytest.raises(ClusterError, match="wait for their use already"):
        make(files)
    tokens.hold(files, "h2", "10.0.0.2", NOW)
    make(files, now=NOW + 60 + tokens.KEPT + 1)
    assert len(list((files / "tokens").iterdir())) == 1
    with pytest.raises(ClusterError, match="good for 30 days at most"):
        make(files, valid=31 * 86400.0)


def test_a_name_is_held_for_its_address_for_a_while(files: Path) -> None:
    tokens.hold(files, "h2", "10.0.0.2", NOW)
    tokens.hold(files, "h2", "10.0.0.2", NOW + 1)
    with pytest.raises(ClusterError, match="was given the name h2 a moment ago"):
        tokens.hold(files, "h2", "10.0.0.3", NOW + 2)
    tokens.hold(files, "h3", "10.0.0.3", NOW + 2)
    tokens.hold(files, "h2", "10.0.0.3", NOW + 2 + tokens.HELD)
