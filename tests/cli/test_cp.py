"""`nodeorch cp` against the stand-in: where things go, and what is refused."""

from __future__ import annotations

import io
import os
import tarfile
from http.client import IncompleteRead
from pathlib import Path

import pytest

from nodeorch.model import copying
from tests.api.harness import WEB, Harness
from tests.cli.conftest import Cli
from tests.fakes.files import FakeFiles


@pytest.fixture
def files(harness: Harness) -> FakeFiles:
    harness.declare(WEB)
    files = harness.standin.engine.files
    files.texts["/etc/motd"] = b"hello\n"
    return files


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    return here


def evil() -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for name in ("evil/ok", "evil/../../escaped"):
            info = tarfile.TarInfo(name)
            info.size = 3
            tar.addfile(info, io.BytesIO(b"abc"))
    return out.getvalue()


@pytest.mark.parametrize(("target", "path"), [(".", "motd"), ("new", "new"), ("./new", "new")])
def test_out(cli: Cli, files: FakeFiles, here: Path, target: str, path: str) -> None:
    assert cli("cp", "web:/etc/motd", target) == (0, "", "")
    assert (here / path).read_text() == "hello\n"


def test_out_of_one_instance_and_by_a_relative_path(cli: Cli, files: FakeFiles, here: Path) -> None:
    assert cli("cp", "web.0.g1:etc/motd", "a") == (0, "", "")
    assert cli("cp", "web.7:etc/motd", "b")[0] == 1
    assert sorted(os.listdir(here)) == ["a"]


@pytest.mark.parametrize("target", ["none/x", "new/"])
def test_out_to_where_is_no_directory(cli: Cli, files: FakeFiles, here: Path, target: str) -> None:
    code, _, err = cli("cp", "web:/etc/motd", target)
    assert code == 1 and "no such directory" in err and not os.listdir(here)


def test_what_is_not_there(cli: Cli, files: FakeFiles, here: Path) -> None:
    code, _, err = cli("cp", "web:/nope", ".")
    assert (code, err) == (1, "nodeorch: cannot copy from web: there is no web.0.g1:/nope\n")
    assert cli("cp", "nope", "web:/tmp")[0] == 1


def test_what_leads_out_is_left_out_and_told(cli: Cli, files: FakeFiles, here: Path) -> None:
    files.archives["/evil"] = evil()
    code, out, err = cli("cp", "web:/evil", ".")
    assert (code, out) == (1, "")
    assert err == "nodeorch: left out evil/../../escaped: its name leads out of the copy\n"
    assert (here / "evil/ok").read_bytes() == b"abc" and not (here.parent / "escaped").exists()


def test_an_archive_that_breaks_off(cli: Cli, files: FakeFiles, here: Path) -> None:
    files.archives["/evil"] = evil()[:700]
    code, _, err = cli("cp", "web:/evil", ".")
    assert code == 1 and "cannot unpack /evil" in err


@pytest.mark.parametrize(
    ("target", "path"), [("/tmp", "/tmp/mine"), ("/tmp/", "/tmp/mine"), ("/tmp/new", "/tmp/new")]
)
def test_into(cli: Cli, files: FakeFiles, here: Path, target: str, path: str) -> None:
    (here / "mine").write_bytes(b"m" * 200_000)
    assert cli("cp", "mine", f"web:{target}") == (0, "", "")
    assert files.texts[path] == b"m" * 200_000


def test_a_tree_into(cli: Cli, files: FakeFiles, here: Path) -> None:
    (here / "tree/sub").mkdir(parents=True)
    (here / "tree/sub/odd \n name").write_text("x")
    os.mkfifo(here / "tree/pipe")
    code, out, err = cli("cp", "tree", "web:/tmp")
    assert (code, out) == (0, "")
    assert "left out 'tree/pipe': it is a device or a pipe" in err
    assert files.texts["/tmp/tree/sub/odd \n name"] == b"x"


def test_a_copy_that_is_too_large(
    cli: Cli, files: FakeFiles, here: Path, harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(copying, "LARGEST", 150_000)
    (here / "mine").write_bytes(b"m" * 200_000)
    code, _, err = cli("cp", "mine", "web:/tmp")
    assert code == 1 and "cannot copy into web: one copy takes 16 GiB at most" in err
    assert "/tmp/mine" not in files.texts
    said = [e.why.words for e in harness.standin.store.journal if e.why.code == "Copied"]
    assert "some or all files did not come into its /tmp: one copy takes" in said[-1]
    files.texts["/etc/motd"] = b"m" * 500_000
    for target in ("new", "-"):
        code, _, err = cli("cp", "web:/etc/motd", target)
        assert code == 1 and "cannot go on: one copy takes 146.5KiB at most" in err
    files.texts["/etc/motd"] = b"m" * 2_000_000
    with (
        harness.client.download("/v1/workloads/web/copy-out", {"path": "/etc/motd"}) as answer,
        pytest.raises(IncompleteRead),
    ):
        answer.read()
    files.texts["/etc/motd"] = b"m" * 100_000
    assert cli("cp", "web:/etc/motd", "new") == (0, "", "")


def test_what_cannot_fit_is_not_begun(cli: Cli, files: FakeFiles, here: Path) -> None:
    info = tarfile.TarInfo("huge")
    info.size = 1 << 60
    files.archives["/huge"] = info.tobuf() + b"h" * 100_000
    code, _, err = cli("cp", "web:/huge", ".")
    assert code == 1 and "cannot write ./huge: No space left on device" in err
    assert not os.listdir(here)


@pytest.mark.parametrize("target", ["/nope/x", "/nope/", "/etc/motd/x"])
def test_into_where_is_no_directory(cli: Cli, files: FakeFiles, here: Path, target: str) -> None:
    (here / "mine").write_text("x")
    code, _, err = cli("cp", "mine", f"web:{target}")
    assert code == 1 and "there is no " in err


def test_a_dry_run_copies_nothing(cli: Cli, files: FakeFiles, here: Path) -> None:
    (here / "mine").write_text("x")
    assert cli("cp", "--dry-run", "mine", "web:/tmp") == (
        0, "would copy mine to web.0.g1:/tmp/mine\n", ""
    )  # fmt: skip
    assert cli("cp", "--dry-run", "web:/etc/motd", "new")[1].endswith("motd to ./new\n")
    assert list(files.texts) == ["/etc/motd"] and os.listdir(here) == ["mine"]


def test_usage(cli: Cli, files: FakeFiles) -> None:
    for pair in (("a", "b"), ("web:/a", "web:/b"), ("web_1:/a", "x")):
        assert cli("cp", *pair)[0] == 2


def test_the_journal_says_who_copied(
    cli: Cli, files: FakeFiles, harness: Harness, here: Path
) -> None:
    cli("cp", "web:/etc/motd", ".")
    said = [e.why.words for e in harness.standin.store.journal if e.why.code == "Copied"]
    assert len(said) == 1 and said[0].startswith("/etc/motd copied out of it, by uid ")
