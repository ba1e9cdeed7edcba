"""What a hostile container packs does not leave the folder it is unpacked in."""

from __future__ import annotations

import io
import os
import stat
import tarfile
from pathlib import Path

import pytest

from nodeorch.cli.unpack import Unpacker


def member(name: str, kind: bytes = tarfile.REGTYPE, link: str = "", mode: int = 0o644):  # type: ignore[no-untyped-def]
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.mode = kind, link, mode
    info.mtime = 1_600_000_000
    data = b"data" if kind == tarfile.REGTYPE else b""
    info.size = len(data)
    return info, data


def unpack(folder: Path, *members: tuple[tarfile.TarInfo, bytes], name: str = "top") -> Unpacker:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for info, data in members:
            tar.addfile(info, io.BytesIO(data))
    out.seek(0)
    folder.mkdir(exist_ok=True)
    unpacker = Unpacker(str(folder), name)
    unpacker.run(out)
    return unpacker


def everything(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


@pytest.fixture
def into(tmp_path: Path) -> Path:
    (tmp_path / "victim").write_text("untouched")
    (tmp_path / "into").mkdir()
    return tmp_path / "into"


def test_a_tree(into: Path) -> None:
    done = unpack(
        into,
        member("src", tarfile.DIRTYPE, mode=0o777),
        member("src/sub/ file\nwith\x1bname", mode=0o6777),
        member("src/plain"),
        member("src/sub/up", tarfile.SYMTYPE, "../plain"),
        member("src/hard", tarfile.LNKTYPE, "src/plain"),
    )
    assert not done.left_out and done.count == 5
    odd = into / "top/sub/ file\nwith\x1bname"
    assert odd.read_bytes() == b"data"
    assert stat.S_IMODE(odd.stat().st_mode) == 0o755 and odd.stat().st_uid == os.geteuid()
    assert odd.stat().st_mtime == 1_600_000_000
    assert (into / "top/sub/up").read_bytes() == b"data"
    assert (into / "top/hard").samefile(into / "top/plain")
    assert stat.S_IMODE((into / "top").stat().st_mode) == 0o755


@pytest.mark.parametrize(
    "name", ["/abs", "../victim", "src/../../victim", "src/a/../../../victim", "/../victim"]
)
def test_names_that_lead_out(into: Path, name: str) -> None:
    done = unpack(into, member(name))
    assert len(done.left_out) == 1 and not everything(into)
    assert (into.parent / "victim").read_text() == "untouched"


@pytest.mark.parametrize(
    "target",
    ["/etc/passwd", "..", "../victim", "../../victim", "sub/../../victim", "sub/..", "//x"],
)
def test_links_that_lead_out(into: Path, target: str) -> None:
    done = unpack(into, member("src/link", tarfile.SYMTYPE, target))
    assert len(done.left_out) == 1 and "leads out" in done.left_out[0]
    assert not (into / "top/link").is_symlink()


def test_no_way_leads_through_a_link(into: Path) -> None:
    """The link is good; what is written through it could be anywhere, were another one there."""
    done = unpack(
        into,
        member("src/sub", tarfile.DIRTYPE),
        member("src/link", tarfile.SYMTYPE, "sub"),
        member("src/link/file"),
    )
    assert [words.split(":")[0] for words in done.left_out] == ["src/link/file"]
    assert everything(into) == {"top", "top/sub", "top/link"}


def test_a_link_that_was_there_is_not_followed(into: Path) -> None:
    (into / "top").mkdir()
    (into / "top/out").symlink_to(into.parent)
    (into / "top/file").symlink_to(into.parent / "victim")
    done = unpack(
        into, member("src/out/victim"), member("src/out", tarfile.DIRTYPE), member("src/file")
    )
    assert len(done.left_out) == 2
    assert (into.parent / "victim").read_text() == "untouched"
    assert (into / "top/file").read_bytes() == b"data" and not (into / "top/file").is_symlink()


def test_a_top_that_is_a_link_leads_nowhere(into: Path) -> None:
    (into / "top").symlink_to(into.parent)
    done = unpack(into, member("src", tarfile.DIRTYPE), member("src/victim"))
    assert len(done.left_out) == 2
    assert (into.parent / "victim").read_text() == "untouched"


def test_a_hard_link_names_nothing_outside(into: Path) -> None:
    done = unpack(
        into,
        member("src/a", tarfile.LNKTYPE, "../victim"),
        member("src/b", tarfile.LNKTYPE, "/etc/passwd"),
    )
    assert len(done.left_out) == 2 and everything(into) <= {"top"}


@pytest.mark.parametrize("kind", [tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE])
def test_devices_and_pipes_are_left_out(into: Path, kind: bytes) -> None:
    done = unpack(into, member("src/x", kind), member("src/y"))
    assert done.left_out == ["src/x: it is a device or a pipe"]
    assert everything(into) == {"top", "top/y"}


def test_a_file_with_others_is_replaced_not_written_into(into: Path) -> None:
    (into / "top").mkdir()
    os.link(into.parent / "victim", into / "top/file")
    unpack(into, member("src/file"))
    assert (into.parent / "victim").read_text() == "untouched"
    assert (into / "top/file").read_bytes() == b"data"


def test_a_directory_is_not_replaced_by_a_file(into: Path) -> None:
    (into / "top/file").mkdir(parents=True)
    assert len(unpack(into, member("src/file")).left_out) == 1


def test_what_is_no_tar(into: Path) -> None:
    with pytest.raises(tarfile.TarError):
        Unpacker(str(into), "top").run(io.BytesIO(b"x" * 2048))


def test_a_hard_link_takes_no_link_to_where_it_leads_out(into: Path) -> None:
    """A second name of a symlink lies elsewhere, and "..", too, means another folder there."""
    done = unpack(
        into,
        member("src/a/b/up", tarfile.SYMTYPE, "../../in"),
        member("src/a/b/same", tarfile.LNKTYPE, "src/a/b/up"),
        member("src/out", tarfile.LNKTYPE, "src/a/b/up"),
    )
    assert done.left_out == ["src/out: it is a link that leads out of the copy, to ../../in"]
    assert everything(into) == {"top", "top/a", "top/a/b", "top/a/b/up", "top/a/b/same"}


def test_a_hard_link_to_nothing_is_left_out(into: Path) -> None:
    done = unpack(into, member("src/a", tarfile.LNKTYPE, "src/none"), member("src/b"))
    assert done.left_out == ["src/a: what it is another name of is not there"]
    assert done.count == 1
