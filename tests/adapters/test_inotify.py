"""The watch on a directory: bursts become one call, and no replacement goes unseen."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import errno
import os
import shutil
import subprocess
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from nodeorch.adapters import inotify
from nodeorch.adapters.inotify import DirectoryWatch
from tests.lab.wait import async_wait_for


class Calls:
    """Counts the calls; the next one can be waited for."""

    def __init__(self) -> None:
        self.number = 0

    def __call__(self) -> None:
        self.number += 1

    async def more_than(self, number: int, deadline: float = 10.0) -> None:
        await async_wait_for(lambda: self.number > number, deadline, "the callback")

    async def after(self, act: Callable[[], object]) -> None:
        """The act makes a call, once what was before it has calmed down."""
        await self.calm()
        before = self.number
        act()
        await self.more_than(before)

    async def calm(self) -> None:
        """No event is on its way: longer than the debounce and a look."""
        number = -1
        while number != self.number:
            number = self.number
            await asyncio.sleep(inotify.DEBOUNCE * 2 + inotify.POLL * 2)


def watching() -> bool:
    """By inotify; else the directory is looked at every now and then."""
    for name in os.listdir("/proc/self/fd"):
        with contextlib.suppress(FileNotFoundError):
            if os.readlink(f"/proc/self/fd/{name}") == "anon_inode:inotify":
                return True
    return False


@pytest.fixture(autouse=True)
def fast(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inotify, "DEBOUNCE", 0.02)
    monkeypatch.setattr(inotify, "POLL", 0.03)


@pytest.fixture
def where(tmp_path: Path) -> Path:
    path = tmp_path / "etc" / "workloads.d"
    path.mkdir(parents=True)
    return path


@pytest.fixture
def calls() -> Calls:
    return Calls()


@pytest.fixture
async def watch(where: Path, calls: Calls) -> AsyncIterator[DirectoryWatch]:
    watch = DirectoryWatch(where, calls)
    yield watch
    watch.close()


def change_in_place(where: Path) -> None:
    (where / "a.toml").write_text("changed")


def rename_over(where: Path) -> None:
    (where / ".new").write_text("x")
    os.replace(where / ".new", where / "a.toml")


def link(where: Path) -> None:
    (where / "link.toml").symlink_to("/dev/null")


CHANGES = {
    "write": change_in_place,
    "rename over": rename_over,
    "move away": lambda where: os.replace(where / "a.toml", where.parent / "a.toml"),
    "delete": lambda where: (where / "a.toml").unlink(),
    "link": link,
    "chmod": lambda where: (where / "a.toml").chmod(0o600),
}


@pytest.mark.parametrize("change", CHANGES)
async def test_a_change_is_told(where: Path, calls: Calls, change: str) -> None:
    (where / "a.toml").write_text("x")
    watch = DirectoryWatch(where, calls)
    assert watching()
    await calls.after(lambda: CHANGES[change](where))
    watch.close()


async def test_a_quiet_directory_calls_nothing(watch: DirectoryWatch, calls: Calls) -> None:
    await calls.calm()
    assert calls.number == 0


async def test_a_burst_is_one_call(
    watch: DirectoryWatch, where: Path, calls: Calls, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inotify, "DEBOUNCE", 0.5)
    monkeypatch.setattr(inotify, "PATIENCE", 60.0)
    for number in range(10):
        (where / f"w{number}.toml").write_text("x")
        await asyncio.sleep(0.005)
    await calls.more_than(0)
    await calls.calm()
    assert calls.number == 1


async def test_endless_changes_do_not_put_the_call_off_for_ever(
    watch: DirectoryWatch, where: Path, calls: Calls, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inotify, "DEBOUNCE", 60.0)
    monkeypatch.setattr(inotify, "PATIENCE", 0.1)
    for _ in range(10):
        (where / "a.toml").write_text("x")
        await asyncio.sleep(0.001)
    await calls.more_than(0)


async def test_the_directory_may_vanish_and_come_back(
    watch: DirectoryWatch, where: Path, calls: Calls
) -> None:
    await calls.after(lambda: shutil.rmtree(where))
    await calls.calm()
    assert not watching()
    await calls.after(where.mkdir)
    assert watching()
    await calls.after(lambda: (where / "a.toml").write_text("x"))


async def test_the_directory_may_be_replaced_by_another(
    watch: DirectoryWatch, where: Path, calls: Calls
) -> None:
    other = where.parent / "other"
    other.mkdir()

    def swap() -> None:
        os.replace(where, where.parent / "old")
        os.replace(other, where)

    await calls.after(swap)
    await calls.after(lambda: (where / "a.toml").write_text("x"))


async def test_its_parent_may_be_replaced(
    watch: DirectoryWatch, where: Path, calls: Calls, tmp_path: Path
) -> None:
    """The directory's own inode is not touched by that: only looking finds it."""
    (tmp_path / "new" / "workloads.d").mkdir(parents=True)

    def swap() -> None:
        os.replace(tmp_path / "etc", tmp_path / "old")
        os.replace(tmp_path / "new", tmp_path / "etc")

    await calls.after(swap)
    await calls.after(lambda: (where / "a.toml").write_text("x"))


async def test_something_may_be_mounted_over_it(
    watch: DirectoryWatch, where: Path, calls: Calls
) -> None:
    if os.geteuid() != 0:
        pytest.skip("mounting needs root")
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(where)]
    await calls.after(lambda: subprocess.run(mount, check=True))
    try:
        await calls.after(lambda: (where / "a.toml").write_text("x"))
    finally:
        await calls.after(lambda: subprocess.run(["umount", "-l", str(where)], check=True))
    await calls.after(lambda: (where / "b.toml").write_text("x"))


async def test_an_absent_directory_is_waited_for(tmp_path: Path, calls: Calls) -> None:
    where = tmp_path / "not" / "yet"
    watch = DirectoryWatch(where, calls)
    assert not watching()
    await calls.after(lambda: where.mkdir(parents=True))
    await calls.after(lambda: (where / "a.toml").write_text("x"))
    watch.close()


class NoInotify:
    """What a host at its limits answers."""

    def inotify_init1(self, flags: int) -> int:
        ctypes.set_errno(errno.EMFILE)
        return -1


async def test_without_inotify_changes_are_found_by_looking(
    where: Path, calls: Calls, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(ctypes, "CDLL", lambda *_, **__: NoInotify())
        watch = DirectoryWatch(where, calls)
    assert not watching()
    await calls.after(lambda: (where / "a.toml").write_text("x"))
    await calls.after(lambda: (where / "a.toml").write_text("xyz"))
    await calls.after(lambda: (where / "a.toml").unlink())
    await calls.calm()
    assert calls.number == 3
    assert len(caplog.records) == 1 and "Too many open files" in caplog.text
    watch.close()


async def test_nothing_is_left_open(where: Path, calls: Calls) -> None:
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(5):
        DirectoryWatch(where, calls).close()
    # What earlier tests left to the collector may go meanwhile.
    assert len(os.listdir("/proc/self/fd")) <= before
