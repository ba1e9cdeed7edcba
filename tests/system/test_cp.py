"""`nodeorch cp` against real Podman: what goes in comes out as it was."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lab import Lab
from tests.system.host import Host
from tests.system.kit import ROOT, one_host, until_event

ENV = {**os.environ, "PYTHONPATH": str(ROOT)}


@pytest.fixture(scope="module")
def host(lab_session: Lab) -> Iterator[Host]:
    with one_host(lab_session) as host:
        host.sleeper("web")
        host.running("web")
        yield host


def nodeorch(host: Host, *args: str, data: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    line = [sys.executable, "-m", "nodeorch.cli.main", "--socket", str(host.socket), *args]
    return subprocess.run(line, input=data, capture_output=True, timeout=60, env=ENV)


def done(host: Host, *args: str, data: bytes = b"") -> bytes:
    finished = nodeorch(host, *args, data=data)
    assert (finished.returncode, finished.stderr) == (0, b"")
    return finished.stdout


def inside(host: Host, script: str) -> bytes:
    return done(host, "exec", "web", "--", "sh", "-c", script)


def test_a_tree_goes_in_and_comes_back(host: Host, tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    (tree / "sub").mkdir(parents=True)
    (tree / "sub/odd \n\x1b name").write_bytes(os.urandom(3 << 20))
    (tree / "run").write_text("#!/bin/sh\n")
    (tree / "run").chmod(0o755)
    (tree / "link").symlink_to("sub")
    (tree / "empty").mkdir()
    done(host, "cp", str(tree), "web:/tmp")
    done(host, "cp", "web:/tmp/tree", str(tmp_path / "back"))
    subprocess.run(["diff", "-r", "--no-dereference", tree, tmp_path / "back"], check=True)
    assert (tmp_path / "back/run").stat().st_mode & 0o777 == 0o755
    done(host, "cp", str(tree / "run"), "web:/tmp/other")
    assert inside(host, "cat /tmp/other; ls /tmp/tree/link | wc -l") == b"#!/bin/sh\n1\n"


def test_archives(host: Host) -> None:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        info = tarfile.TarInfo("piped/file")
        info.size = 5
        tar.addfile(info, io.BytesIO(b"hello"))
    done(host, "cp", "-", "web:/tmp", data=out.getvalue())
    assert inside(host, "cat /tmp/piped/file") == b"hello"
    back = done(host, "cp", "web:/tmp/piped", "-")
    with tarfile.open(fileobj=io.BytesIO(back)) as tar:
        assert "piped/file" in tar.getnames()


def test_what_a_container_prepared_stays_in_the_copy(host: Host, tmp_path: Path) -> None:
    inside(
        host,
        "mkdir -p /tmp/trap && cd /tmp/trap && ln -s /etc out && ln -s ../../.. up "
        "&& ln -s ok near && echo fine >ok && mkfifo pipe",
    )
    finished = nodeorch(host, "cp", "web:/tmp/trap", str(tmp_path))
    assert finished.returncode == 1
    told = finished.stderr.decode()
    assert [word in told for word in ("trap/out", "trap/up", "trap/pipe")] == [True] * 3
    assert sorted(os.listdir(tmp_path / "trap")) == ["near", "ok"]


def test_what_cannot_be(host: Host, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x" * 1_000_000)
    read_only = nodeorch(host, "cp", str(tmp_path / "file"), "web:/etc/file")
    assert read_only.returncode == 1 and b"read-only" in read_only.stderr.lower()
    absent = nodeorch(host, "cp", "web:/nope", str(tmp_path))
    assert absent.returncode == 1 and b"there is no web.0.g1:/nope" in absent.stderr
    until_event(host, "Copied", "web", "files copied into its /etc, by uid 0 (root)")
    until_event(host, "Copied", "web", "some or all files did not come into its /etc: ")
