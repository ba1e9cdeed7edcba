"""What specs refer to: read at each pass, kept by content, laid out before a container sees it."""

from __future__ import annotations

import asyncio
from hashlib import sha256
from pathlib import Path

import pytest

from nodeorch.adapters.shelf import FileShelf
from nodeorch.daemon.reread import reread, tidy
from nodeorch.daemon.specfiles import SpecFiles
from nodeorch.files import read_regular
from nodeorch.model.workload import File, Kind, Workload
from nodeorch.ports import StoreError
from tests.daemon.rig import rigged, spec
from tests.lab.wait import async_wait_for

HEAD = '[workload]\nname = "web"\nimage = "localhost/bb:1"\n'
INLINE = HEAD + '[[files]]\ntarget = "/etc/a"\ncontent = "sentinel-7"\n'


def digest(text: str) -> str:
    return sha256(text.encode()).hexdigest()


class Desk:
    def __init__(self, base: Path) -> None:
        self.base = base
        self.specs = base / "specs"
        self.specs.mkdir()
        self.shelf = FileShelf(base / "files", read_regular)
        self.files = SpecFiles(self.specs, 1 << 28, (str(base),), (), self.shelf.keep)

    def write(self, text: str) -> None:
        (self.specs / "web.toml").write_text(text)

    def read(self) -> Workload:
        seen = self.files.read()
        assert seen.rejected == {}
        return seen.workloads["web"]

    def rejected(self) -> str:
        return self.files.read().rejected["web"]


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def test_inline_content_is_kept_and_leaves_the_workload(desk: Desk) -> None:
    desk.write(INLINE)
    workload = desk.read()
    assert workload.files == (File(target="/etc/a", digest=digest("sentinel-7")),)
    assert Path(desk.shelf.lay("web", digest("sentinel-7"), 0o444)).read_text() == "sentinel-7"


def test_a_source_whose_content_changes_is_a_change_without_a_word_in_the_spec(desk: Desk) -> None:
    source = desk.base / "a.conf"
    source.write_text("one")
    desk.write(HEAD + f'[[files]]\ntarget = "/etc/a"\nsource = "{source}"\nmode = "440"\n')
    assert desk.files.refers is False
    first = desk.read()
    assert desk.files.refers is True
    assert (first.files[0].digest, first.files[0].mode) == (digest("one"), "0440")
    source.write_text("two")
    assert desk.read().files[0].digest == digest("two")
    source.unlink()
    assert "cannot read" in desk.rejected() and "there is no such file" in desk.rejected()
    source.symlink_to(desk.specs)  # not a file, and a place that is kept
    assert "E252" in desk.rejected()


def test_an_env_file_that_changes_is_a_change(desk: Desk) -> None:
    env = desk.base / "env"
    env.write_text("A=1")
    desk.write(HEAD + f'env_file = "{env}"\n')
    assert desk.read().main.env == {"A": "1"}
    assert desk.files.refers is True
    env.write_text("A=2")
    assert desk.read().main.env == {"A": "2"}
    desk.write(HEAD)
    assert desk.read().main.env == {}
    assert desk.files.refers is False


def test_a_source_that_is_too_large_is_refused(desk: Desk) -> None:
    source = desk.base / "a.conf"
    source.write_bytes(b"x" * ((1 << 20) + 1))
    desk.write(HEAD + f'[[files]]\ntarget = "/etc/a"\nsource = "{source}"\n')
    assert "it is larger than 1048576 bytes" in desk.rejected()


def test_content_that_cannot_be_kept_keeps_the_last_good_version(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    desk.files = SpecFiles(desk.specs, 1 << 28, (), (), full)
    desk.write(INLINE)
    assert 'cannot keep the content of "/etc/a": no space left on device' in desk.rejected()


def test_content_that_was_lost_is_kept_anew_at_the_next_pass(desk: Desk) -> None:
    desk.write(INLINE)
    desk.read()
    desk.shelf.tidy("web", (), ())
    desk.read()
    desk.shelf.lay("web", digest("sentinel-7"), 0o444)


async def test_others_files_are_read_again_and_again_and_only_where_there_are_any() -> None:
    class Some:
        refers = False

    some, passes = Some(), 0

    async def reload() -> None:
        nonlocal passes
        passes += 1
        if passes == 1:
            raise StoreError("the disk is full")

    task = asyncio.create_task(reread(some, reload, every=0.01))
    await asyncio.sleep(0.05)
    assert passes == 0
    some.refers = True
    await async_wait_for(lambda: passes >= 3)
    task.cancel()


async def test_files_are_laid_out_before_a_container_is_made_and_mended_before_each_start(
    tmp_path: Path,
) -> None:
    async with rigged(tmp_path) as rig:
        shelf = FileShelf(tmp_path / "files", read_regular)
        content = digest("one")
        shelf.keep("web", content, b"one")
        copy = tmp_path / "files" / "web" / f"{content}.0444"
        await rig.declare(spec(files=(File(target="/etc/a", digest=content),)))
        first = await rig.running()
        assert copy.read_text() == "one"
        (volume,) = rig.engine.made["web.0.g1"].volumes
        assert (volume.source, volume.target, volume.read_only) == (str(copy), "/etc/a", True)
        copy.unlink()
        rig.engine.die(first.record.container_id, 1)
        await rig.until(lambda: (i := rig.instance()) and i.pid not in (0, first.pid))
        assert copy.read_text() == "one"


async def test_lost_content_is_said_and_nothing_starts_without_it(tmp_path: Path) -> None:
    async with rigged(tmp_path) as rig:
        await rig.declare(spec(files=(File(target="/etc/a", digest=digest("gone")),)))
        await rig.until(lambda: rig.loop.world.workloads["web"].create_error)
        words = rig.loop.world.workloads["web"].create_error
        assert words is not None and "cannot lay out /etc/a: " in words
        assert not rig.calls("create")


async def test_the_shelf_follows_the_history(tmp_path: Path) -> None:
    async with rigged(tmp_path) as rig:
        shelf = FileShelf(tmp_path / "files", read_regular)
        for text in ("one", "two", "three"):
            shelf.keep("web", digest(text), text.encode())
            shelf.keep("gone", digest(text), text.encode())
        for text in ("one", "two"):
            await rig.declare(spec(files=(File(target="/etc/a", digest=digest(text)),)))
            await rig.until(lambda: (i := rig.instance("web.0.g1")) and i.running)
        await tidy(shelf, rig.loop.store, rig.loop.world, ["web"])
        kept = {p.name for p in (tmp_path / "files" / "web").iterdir() if "." not in p.name}
        assert kept == {digest("one"), digest("two")}
        assert shelf.workloads() == ["web"]


async def test_a_run_of_an_older_generation_finds_its_files_when_it_is_tried_again(
    tmp_path: Path,
) -> None:
    """Its container mounts them, whatever has been declared since."""
    async with rigged(tmp_path) as rig:
        shelf, laid = FileShelf(tmp_path / "files", read_regular), []
        for text in ("one", "two"):
            file = File(target="/etc/a", digest=digest(text))
            shelf.keep("web", file.digest, text.encode())
            laid.append(Path(shelf.lay("web", file.digest, 0o444)))
            await rig.declare(spec(kind=Kind.JOB, files=(file,)))
        await rig.until(lambda: (s := rig.loop.world.workloads["web"]) and s.record.latest == 2)
        await tidy(shelf, rig.loop.store, rig.loop.world, ["web"])
        assert all(path.exists() for path in laid)
