"""Contents of config files of other hosts' workloads: kept by digest, or not there at all."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path

import pytest

from nodeorch.adapters.mirror import LIMIT, FileMirror
from nodeorch.adapters.shelf import FileShelf
from nodeorch.files import read_regular
from nodeorch.model.fleet import Declared
from nodeorch.model.workload import File, Main, Workload

TEXT = b"listen 80\n"
DIGEST = sha256(TEXT).hexdigest()
OTHER = sha256(b"other").hexdigest()


@pytest.fixture
def mirror(tmp_path: Path) -> FileMirror:
    shelf = FileShelf(tmp_path / "mirror", read_regular)
    return FileMirror(tmp_path / "mirror", shelf, tmp_path / "files", read_regular)


def _declared(*digests: str) -> Declared:
    files = tuple(File(target=f"/etc/{i}", digest=d) for i, d in enumerate(digests))
    return Declared(Workload(main=Main(name="web", image="i"), files=files), "d", 1)


def test_what_is_kept_is_read_and_no_longer_missing(mirror: FileMirror, tmp_path: Path) -> None:
    assert mirror.missing(_declared(DIGEST, OTHER, DIGEST, "")) == [DIGEST, OTHER]
    mirror.keep("web", DIGEST, TEXT)
    assert mirror.missing(_declared(DIGEST, OTHER)) == [OTHER]
    assert mirror.read("web", DIGEST) == TEXT
    path = tmp_path / "mirror" / "web" / DIGEST
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert path.parent.parent.stat().st_mode & 0o777 == 0o700


def test_what_is_not_what_its_digest_says_is_not_kept(mirror: FileMirror) -> None:
    with pytest.raises(ValueError, match="it is not what was declared"):
        mirror.keep("web", OTHER, TEXT)
    large = b"x" * (LIMIT + 1)
    with pytest.raises(ValueError, match="it is larger than"):
        mirror.keep("web", sha256(large).hexdigest(), large)
    assert mirror.missing(_declared(OTHER)) == [OTHER]


@pytest.mark.parametrize(
    ("workload", "digest"), [("../web", DIGEST), ("web", "../../etc/passwd"), ("", DIGEST)]
)
def test_no_path_is_left_by_names(mirror: FileMirror, workload: str, digest: str) -> None:
    with pytest.raises(ValueError, match="no such name or digest"):
        mirror.keep(workload, digest, TEXT)
    with pytest.raises(FileNotFoundError):
        mirror.read(workload, digest)


def test_what_was_altered_on_the_disk_is_missing(mirror: FileMirror, tmp_path: Path) -> None:
    mirror.keep("web", DIGEST, TEXT)
    (tmp_path / "mirror" / "web" / DIGEST).write_bytes(b"evil")
    assert mirror.missing(_declared(DIGEST)) == [DIGEST]
    with pytest.raises(FileNotFoundError):
        mirror.read("web", DIGEST)
    mirror.keep("web", DIGEST, TEXT)
    assert mirror.read("web", DIGEST) == TEXT


def test_own_files_are_given_but_do_not_count_as_mirrored(
    mirror: FileMirror, tmp_path: Path
) -> None:
    FileShelf(tmp_path / "files", read_regular).keep("web", DIGEST, TEXT)
    assert mirror.read("web", DIGEST) == TEXT
    assert mirror.missing(_declared(DIGEST)) == [DIGEST], "the own shelf is tidied for itself"


def test_what_nobody_needs_is_removed(mirror: FileMirror, tmp_path: Path) -> None:
    mirror.keep("web", DIGEST, TEXT)
    mirror.keep("web", OTHER, b"other")
    mirror.keep("gone", DIGEST, TEXT)
    mirror.tidy({"web": [DIGEST]})
    assert mirror.read("web", DIGEST) == TEXT
    assert [p.name for p in (tmp_path / "mirror").iterdir()] == ["web"]
    assert [p.name for p in (tmp_path / "mirror" / "web").iterdir()] == [DIGEST]
    mirror.tidy({})
    assert list((tmp_path / "mirror").iterdir()) == []
