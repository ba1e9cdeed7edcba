"""Config files on the disk: kept, laid out, mended, and removed when nobody needs them."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from pathlib import Path

import pytest

from nodeorch.adapters.shelf import FileShelf
from nodeorch.files import read_regular

TEXT = b"listen 80\n"
DIGEST = sha256(TEXT).hexdigest()
OTHER = sha256(b"other").hexdigest()


@pytest.fixture
def shelf(tmp_path: Path) -> FileShelf:
    shelf = FileShelf(tmp_path / "files", read_regular)
    shelf.keep("web", DIGEST, TEXT)
    return shelf


def test_what_is_kept_is_laid_with_its_mode_and_nobody_else_may_enter(
    shelf: FileShelf, tmp_path: Path
) -> None:
    before = os.umask(0o077)
    try:
        path = Path(shelf.lay("web", DIGEST, 0o555))
    finally:
        os.umask(before)
    assert path.read_bytes() == TEXT
    assert path.stat().st_mode & 0o7777 == 0o555
    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert (path.parent / DIGEST).stat().st_mode & 0o777 == 0o600
    assert path.stat().st_ino != (path.parent / DIGEST).stat().st_ino


def _altered(path: Path) -> None:
    path.chmod(0o644)
    path.write_bytes(b"evil")
    path.chmod(0o444)


def _linked(path: Path) -> None:
    path.unlink()
    path.symlink_to("/etc/hostname")


def _second_name(path: Path) -> None:
    os.link(path, path.with_name("second"))


def _folder(path: Path) -> None:
    """As an engine leaves it that was told to mount what is not there."""
    path.unlink()
    path.mkdir()


@pytest.mark.parametrize(
    "meddle",
    [Path.unlink, _altered, _linked, _folder, _second_name, lambda p: p.chmod(0o644)],
)
def test_a_copy_that_is_lost_or_altered_is_made_anew(
    shelf: FileShelf, meddle: Callable[[Path], None]
) -> None:
    path = Path(shelf.lay("web", DIGEST, 0o444))
    meddle(path)
    assert shelf.lay("web", DIGEST, 0o444) == str(path)
    assert path.read_bytes() == TEXT and not path.is_symlink()
    assert path.stat().st_mode & 0o7777 == 0o444 and path.stat().st_nlink == 1


def test_a_right_copy_is_left_alone(shelf: FileShelf) -> None:
    path = Path(shelf.lay("web", DIGEST, 0o444))
    before = path.stat().st_ino
    shelf.lay("web", DIGEST, 0o444)
    assert path.stat().st_ino == before


def test_what_is_mounted_stays_as_it_is_when_the_copy_is_mended(shelf: FileShelf) -> None:
    path = Path(shelf.lay("web", DIGEST, 0o444))
    _altered(path)
    with path.open("rb") as mounted:
        shelf.lay("web", DIGEST, 0o444)
        assert mounted.read() == b"evil"


def test_kept_content_that_was_altered_is_not_handed_out(shelf: FileShelf, tmp_path: Path) -> None:
    (tmp_path / "files" / "web" / DIGEST).write_bytes(b"evil")
    with pytest.raises(OSError, match="lost or not the same"):
        shelf.lay("web", DIGEST, 0o444)
    shelf.keep("web", DIGEST, TEXT)
    assert Path(shelf.lay("web", DIGEST, 0o444)).read_bytes() == TEXT


def test_only_what_is_needed_stays(shelf: FileShelf, tmp_path: Path) -> None:
    shelf.keep("web", OTHER, b"other")
    shelf.keep("db", OTHER, b"other")
    for digest in (DIGEST, OTHER):
        shelf.lay("web", digest, 0o444)
    shelf.tidy("web", kept=[DIGEST, OTHER], laid=[OTHER])
    left = sorted(os.listdir(tmp_path / "files" / "web"))
    assert left == sorted([DIGEST, OTHER, f"{OTHER}.0444"])
    shelf.tidy("web", kept=[OTHER], laid=[OTHER])
    assert sorted(os.listdir(tmp_path / "files" / "web")) == [OTHER, f"{OTHER}.0444"]
    shelf.tidy("web", kept=[], laid=[])
    assert shelf.workloads() == ["db"]


def test_replicas_ask_for_one_file_at_once(shelf: FileShelf) -> None:
    for text in map(str, range(50)):
        digest = sha256(text.encode()).hexdigest()
        with ThreadPoolExecutor(6) as pool:
            list(pool.map(lambda _, t=text, d=digest: shelf.keep("web", d, t.encode()), range(6)))
            paths = list(pool.map(lambda _, d=digest: shelf.lay("web", d, 0o444), range(6)))
        assert {Path(path).read_text() for path in paths} == {text}


def test_no_shelf_is_no_trouble(tmp_path: Path) -> None:
    shelf = FileShelf(tmp_path / "none", read_regular)
    assert shelf.workloads() == []
    with pytest.raises(OSError):
        shelf.lay("web", DIGEST, 0o444)
