"""Bad files in the workloads directory: told clearly, and what runs runs on."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from nodeorch.model.view import NodeView
from tests.lab.wait import wait_for
from tests.system.host import Host
from tests.system.kit import (
    as_json,
    clear,
    events,
    node,
    run,
    runs,
    until_rejected,
    until_runs,
)


@pytest.fixture
def host(shared: Host) -> Iterator[Host]:
    yield shared
    if not shared.specs.is_dir():
        shared.specs.mkdir()
    clear(shared)


def spec(name: str, more: str = "", top: str = "") -> str:
    return f"""\
[workload]
name = "{name}"
image = "localhost/bb:1"
command = ["sleep", "1000000"]
{top}
{more}
[stop]
grace = "200ms"
"""


PORT = "[[ports]]\ncontainer = 80\nhost = 18099\n"

TEXTS: dict[str, tuple[bytes, str]] = {
    "broken": (b'[workload\nname = "broken"\n', "broken.toml:1:"),
    "unknown": (spec("unknown", top="replica = 2").encode(), 'did you mean "replicas"'),
    "unit": (spec("unit", "[resources]\nmemory = 64").encode(), "64MiB"),
    "port": (spec("port", "[[ports]]\ncontainer = 70000\n").encode(), "65535"),
    "climb": (spec("../x").encode(), "../x"),
    "other": (spec("else").encode(), "other"),
    "huge": (b"# " + b"x" * (10 << 20), "larger than"),
    "garbage": (bytes(range(256)) * 8, "garbage.toml"),
    "ring-a": (spec("ring-a", top='after = ["ring-b"]').encode(), "waits for itself"),
    "ring-b": (spec("ring-b", top='after = ["ring-a"]').encode(), "waits for itself"),
    "taken": (spec("taken", PORT).encode(), "belongs to holder"),
}
"""File → its content, and a part of what is said about it."""

ODD = {
    "pipe": "named pipe",
    "loop": "circle",
    "nothing": "symlink to nothing",
    "folder": "folder",
    "zero": "device",
    "sock": "socket",
}


def put_odd(specs: Path) -> None:
    os.mkfifo(specs / "pipe.toml")
    (specs / "loop.toml").symlink_to("loop.toml")
    (specs / "nothing.toml").symlink_to("/nonexistent")
    (specs / "folder.toml").mkdir()
    (specs / "zero.toml").symlink_to("/dev/zero")
    os.mknod(specs / "sock.toml", 0o140600)


def test_bad_files_are_told_and_what_runs_runs_on(host: Host) -> None:
    host.declare("holder", spec("holder", PORT))
    host.sleeper("good")
    host.running("holder")
    host.running("good")
    before = runs(host)
    last = events(host)[-1]["seq"]

    put_odd(host.specs)
    for name, (text, _) in TEXTS.items():
        (host.specs / f"{name}.toml").write_bytes(text)
    (host.specs / "good.toml").write_text('[workload]\nname = "good"\nimage = 7\n')
    wanted = {name: words for name, (_, words) in TEXTS.items()} | ODD
    wanted["good"] = "good.toml:3:"
    for name, words in wanted.items():
        until_rejected(host, name, words)
    assert set(node(host)["rejected"]) == wanted.keys()

    told = {e["workload"]: e["words"] for e in events(host, "SpecRejected") if e["seq"] > last}
    assert told.keys() == wanted.keys()
    assert all(words in told[name] for name, words in wanted.items())
    assert "last good version stays" in told["good"]
    journal = host.log.read_text(errors="replace")
    assert all(words in journal for words in wanted.values())
    shown = host.cli("status")
    assert all(f"! {name} was not accepted" in shown for name in wanted)
    assert "waits for itself: ring-a → ring-b → ring-a" in host.cli("events", "ring-a")
    assert runs(host) == before

    # A new daemon meets the same files: what it remembers stays in force.
    host.stop()
    host.start()
    host.running("good")
    until_runs(host, before)
    assert set(node(host)["rejected"]) == wanted.keys()

    # Repaired ones are taken up, one of the ring suffices for both.
    host.declare("ring-a", spec("ring-a", top='networks = ["none"]'))
    host.sleeper("good", '[security]\nuser = "1000"\n')
    host.running("ring-a")
    host.running("ring-b")
    after = host.until("good", lambda w: w["generation"] == 2 and w["state"] == "running")
    assert after["instances"][0]["pid"] != before["good.0.g1"][1]
    assert {"good", "ring-a", "ring-b"}.isdisjoint(node(host)["rejected"])
    assert runs(host)["holder.0.g1"] == before["holder.0.g1"]


def test_names_from_a_strangers_disk_break_nothing(host: Host) -> None:
    """A file name that is no text, or that plays with the terminal."""
    host.sleeper("good")
    host.running("good")
    before = runs(host)
    folder = os.fsencode(host.specs)
    for name in (b"\xff\xfe.toml", b"\x1b[31mred\x1b[0m.toml", "‮evil.toml".encode()):
        with open(os.path.join(folder, name), "wb") as file:
            file.write(b"[")
    wait_for(lambda: len(node(host)["rejected"]) == 3, 10, "all three rejected")
    host.sleeper("later")
    host.running("later")  # the store still takes everything
    shown = host.cli("status") + host.cli("events") + host.cli("--json", "events")
    assert "\x1b" not in shown and "‮" not in shown
    assert {k: v for k, v in runs(host).items() if k in before} == before
    host.stop()
    host.start()
    host.running("later")


def test_the_directory_itself_goes_away(host: Host) -> None:
    host.sleeper("good")
    host.running("good")
    before = runs(host)
    aside = host.specs.with_name("aside")
    host.specs.rename(aside)
    until_rejected(host, "", "nothing is deleted")
    host.specs.write_text("not a folder")
    until_rejected(host, "", "Not a directory")
    assert "nothing is deleted" in host.cli("status")
    assert runs(host) == before
    host.specs.unlink()
    aside.rename(host.specs)
    wait_for(lambda: not node(host)["rejected"], 10, "it is back")
    assert runs(host) == before

    # The daemon starts while it is away: an empty one instead is no order to delete.
    host.stop()
    host.specs.rename(aside)
    host.start()
    host.running("good")
    wait_for(lambda: node(host)["brake"] == ["good"], 10, "the brake holds")
    until_runs(host, before)
    host.specs.rmdir()
    aside.rename(host.specs)
    wait_for(lambda: not node(host)["brake"], 10, "the brake is off")
    assert runs(host) == before


def test_many_deletions_at_once_wait_for_a_confirmation(host: Host) -> None:
    names = ["a", "b", "c", "d", "e"]
    for name in names:
        host.sleeper(name)
    for name in names:
        host.running(name)
    before = runs(host)
    texts = {name: (host.specs / f"{name}.toml").read_text() for name in names}

    delete_at_once(host, names[:4])
    wait_for(lambda: node(host)["brake"] == names[:4], 10, "the brake holds")
    assert runs(host) == before
    assert "4 spec files are gone at once" in host.cli("status")
    held = [e["words"] for e in events(host, "DeletionHeld") if "a, b, c, d" in e["words"]]
    assert len(held) == 1  # told once, however often it is met
    for name in names[:4]:  # back: nothing was asked for
        host.declare(name, texts[name])
    wait_for(lambda: not node(host)["brake"], 10, "the brake is off")
    assert runs(host) == before
    assert run(host, "confirm").returncode == 1  # there is nothing to confirm any more

    delete_at_once(host, names[:3])  # three at once are what a person does
    wait_for(lambda: [w["name"] for w in host.status()] == ["d", "e"], 20, "three are gone")
    delete_at_once(host, names[3:])
    wait_for(lambda: node(host)["brake"] == ["d", "e"], 10, "the last ones are held")
    assert host.cli("confirm", "--dry-run") and node(host)["brake"] == ["d", "e"]
    host.cli("confirm")
    wait_for(lambda: host.status() == [], 20, "all are gone")
    (said,) = events(host, "DeletionConfirmed")[-1:]
    assert "uid 0 (root)" in said["words"] and "d, e" in said["words"]


def delete_at_once(host: Host, names: list[str]) -> None:
    """In one pass of the daemon, which reads between two of our calls if it is let."""
    os.kill(host.pid, signal.SIGSTOP)
    for name in names:
        (host.specs / f"{name}.toml").unlink()
    os.kill(host.pid, signal.SIGCONT)


def test_every_way_in_which_a_file_changes_is_noticed(host: Host) -> None:
    path = host.specs / "web.toml"
    with path.open("w") as file:  # written in place, in two parts
        file.write(spec("web")[:30])
        file.flush()
        file.write(spec("web")[30:])
    host.running("web")
    first = runs(host)
    temporary = host.dir / "elsewhere"  # moved in from outside
    temporary.write_text(spec("web", "[resources]\npids = 100\n"))
    temporary.rename(path)
    host.until("web", lambda w: w["generation"] == 2 and w["state"] == "running")
    path.touch()  # a new time is no change
    path.chmod(0o600)
    (host.specs / "note.txt").write_text(spec("note"))  # not ours
    (host.specs / ".web.toml.swp").write_text("x")
    (host.specs / "web.toml~").write_text("x")
    host.sleeper("mark")
    host.running("mark")
    assert host.one("web")["generation"] == 2 and node(host)["rejected"] == {}
    assert runs(host)["web.0.g1"] == first["web.0.g1"]  # pids is a live change
    path.unlink()
    wait_for(lambda: host.one("web") == {}, 10, "it is gone")
    assert [w["name"] for w in host.status()] == ["mark"]


def test_an_env_file_is_read_again_at_a_hangup(host: Host) -> None:
    env = Path("/srv/nodeorch-test.env")  # the allowed folders are the product's defaults
    env.parent.mkdir(exist_ok=True)
    env.write_text("COLOUR=red\n")
    try:
        host.declare("web", spec("web", top=f'env_file = "{env}"'))
        host.running("web")
        assert "COLOUR=red" in environment(host, "web")
        env.write_text("COLOUR=blue\n")
        os.kill(host.pid, signal.SIGHUP)
        host.until("web", lambda w: w["generation"] == 2 and w["state"] == "running")
        assert "COLOUR=blue" in environment(host, "web")
        env.write_text("not an assignment\n")
        os.kill(host.pid, signal.SIGHUP)
        until_rejected(host, "web", "env_file")
        assert host.one("web")["generation"] == 2 and host.one("web")["state"] == "running"
        env.unlink()
        os.kill(host.pid, signal.SIGHUP)
        until_rejected(host, "web", "no such file")
        assert host.one("web")["state"] == "running"
    finally:
        env.unlink(missing_ok=True)


def environment(host: Host, name: str) -> list[str]:
    pid = host.instance(name)["pid"]
    return Path(f"/proc/{pid}/environ").read_text().split("\0")


def test_the_node_view_is_whole(host: Host) -> None:
    shown = as_json(host, "status")
    assert shown == []
    assert node(host).keys() == set(NodeView.__struct_fields__)
