"""What the daemon remembers outlives its disk's moods, its own deaths and a stepped clock."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lab.wait import wait_for
from tests.system.host import Host
from tests.system.kit import (
    ROOT,
    clear,
    events,
    patiently,
    run,
    runs,
    until_event,
    until_runs,
)

WALL = """\
import sys, time
real, file = time.time, sys.argv.pop(1)
def wall():
    while not (ahead := open(file).read()):  # it is being written
        pass
    return real() + float(ahead)
time.time = wall
from nodeorch.daemon.main import main
main()
"""
"""The daemon under a wall clock that is as wrong as a file says. The host's is not ours to set."""

QUICK = '[restart]\nbackoff = { initial = "20ms", max = "50ms" }\n'


SETTINGS = "[journal]\nkeep = 100\n"


@pytest.fixture
def host(shared: Host) -> Iterator[Host]:
    """The module's daemon, which runs again after each test."""
    yield shared
    if shared.stopped:
        shared.start()
    clear(shared)


def kill(host: Host, name: str) -> None:
    """Kill its first process; it runs again."""
    old = host.instance(name)
    os.kill(old["pid"], signal.SIGKILL)
    host.until(
        name,
        lambda w: (
            w["instances"] and w["instances"][0]["restarts"] > old["restarts"] and w["ready"] == 1
        ),
    )


def test_a_database_of_garbage_is_set_aside_and_everything_adopted(host: Host) -> None:
    host.sleeper("web", replicas=2)
    host.sleeper("db")
    host.running("web")
    host.running("db")
    host.sleeper("db", '[security]\nuser = "1000"\n')
    host.until("db", lambda w: w["generation"] == 2 and w["state"] == "running")
    before = runs(host)
    host.kill()
    database = host.state / "nodeorch.db"
    assert database.stat().st_mode & 0o777 == 0o600
    assert host.state.stat().st_mode & 0o777 == 0o700
    for path in host.state.glob("nodeorch.db*"):
        path.write_bytes(os.urandom(8192))
    host.start()
    host.running("web")
    host.running("db")
    until_runs(host, before)
    assert until_event(host, "StateRebuilt")
    assert database.stat().st_mode & 0o777 == 0o600
    assert sorted(host.lab.podman("ps", "-a", "--format", "{{.Names}}").split()) == sorted(before)
    assert list(host.state.glob("nodeorch.db.corrupt-*"))
    assert "database set aside" in host.log.read_text()

    # The new one is as good as the old one was.
    assert host.one("db")["generation"] == 2
    host.sleeper("db", '[security]\nuser = "1001"\n')
    host.until("db", lambda w: w["generation"] == 3 and w["state"] == "running")
    after = runs(host)
    host.kill()
    host.start()
    until_runs(host, after)


def test_a_row_of_a_newer_nodeorch_loses_no_container(host: Host) -> None:
    """After a downgrade: a spec in the database has a key that this version does not know."""
    host.sleeper("web")
    host.sleeper("db")
    host.running("web")
    host.running("db")
    before = runs(host)
    host.stop()
    with sqlite3.connect(host.state / "nodeorch.db") as db:
        db.execute(
            "UPDATE desired SET data = json_set(data, '$.target.workload.workload.new', 1)"
            " WHERE name = 'web'"
        )
    db.close()
    host.start()
    host.running("web")
    until_runs(host, before)
    os.kill(before["web.0.g1"][1], signal.SIGKILL)
    host.until("web", lambda w: w["ready"] == 1 and w["instances"][0]["restarts"] == 1)
    assert sorted(host.lab.podman("ps", "-a", "--format", "{{.Names}}").split()) == sorted(before)


def nodeorchd(host: Host) -> subprocess.CompletedProcess[str]:
    """One that is expected to end at once."""
    return subprocess.run(
        [sys.executable, "-m", "nodeorch.daemon.main", "--config", str(host.config)],
        capture_output=True,
        text=True,
        timeout=30,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )


def test_a_newer_schema_and_a_bad_configuration_end_with_78(host: Host) -> None:
    host.sleeper("web")
    host.running("web")
    before = runs(host)
    host.stop()
    with sqlite3.connect(host.state / "nodeorch.db") as db:
        version = db.execute("PRAGMA user_version").fetchone()[0]
        db.execute("PRAGMA user_version = 99")
    db.close()
    ended = nodeorchd(host)
    assert ended.returncode == 78 and "version 99" in ended.stderr, ended.stderr
    with sqlite3.connect(host.state / "nodeorch.db") as db:
        db.execute(f"PRAGMA user_version = {version}")
    db.close()

    good = host.config.read_text()
    host.config.write_text(good.replace("[node]", '[node]\nmemory_reserve = 5\nnmae = "x"'))
    ended = nodeorchd(host)
    assert ended.returncode == 78, ended.stderr
    assert "nodeorch.toml:2:" in ended.stderr and 'did you mean "name"' in ended.stderr
    host.config.unlink()
    ended = nodeorchd(host)
    assert ended.returncode == 78 and "no such file" in ended.stderr
    host.config.write_text(good)
    host.start()
    host.running("web")
    until_runs(host, before)


def test_two_daemons_do_not_share_state_nor_socket(host: Host) -> None:
    ended = nodeorchd(host)
    assert ended.returncode == 1 and "another one already runs" in ended.stderr
    good = host.config.read_text()
    try:
        host.config.write_text(good.replace(str(host.state), f"{host.dir}/other"))
        ended = nodeorchd(host)
        assert ended.returncode == 1 and "another process answers there" in ended.stderr
    finally:
        host.config.write_text(good)
    assert host.client.get("/v1/version")["api"] == "v1"


def test_the_journal_is_bounded(host: Host) -> None:
    host.sleeper("idle", replicas=0)
    host.until("idle", lambda w: w["state"] == "stopped")
    for count in range(150):
        verb = ("stop", "start")[count % 2]
        host.client.post(f"/v1/workloads/idle/{verb}")
    seen = events(host)
    assert len(seen) == 100 and seen[-1]["seq"] > 150
    assert "start, by uid 0" in seen[-2]["words"]
    files = [path.stat().st_size for path in host.state.iterdir() if path.is_file()]
    assert sum(files) < 4 << 20


def test_a_suspended_daemon_catches_up(host: Host) -> None:
    host.sleeper("web", QUICK)
    host.sleeper("db", QUICK)
    web = host.running("web")["instances"][0]
    db = host.running("db")["instances"][0]
    os.kill(host.pid, signal.SIGSTOP)
    os.kill(web["pid"], signal.SIGKILL)
    host.lab.podman("rm", "-f", "-t0", db["container_id"])
    (host.specs / "new.toml").write_text(
        (host.specs / "web.toml").read_text().replace("web", "new")
    )
    os.kill(host.pid, signal.SIGCONT)
    host.until("web", lambda w: w["ready"] == 1 and w["instances"][0]["restarts"] == 1)
    host.until(
        "db", lambda w: w["ready"] == 1 and w["instances"][0]["container_id"] != db["container_id"]
    )
    host.running("new")


def ticks(pid: int) -> str:
    """When the process started, as the kernel counts."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]


def test_a_clock_set_back_and_forth_an_hour_moves_nothing(host: Host) -> None:
    wrong = host.dir / "wrong"
    wrong.write_text("0")
    plain = host.program
    host.stop()
    host.program = ["-c", WALL, str(wrong)]
    host.start()
    try:
        host.sleeper("still", PROBED)
        host.sleeper("swing", QUICK)
        host.running("still")
        host.running("swing")
        still = runs(host)["still.0.g1"]
        for hours in (-1, 1):
            wrong.write_text(str(hours * 3600))
            kill(host, "swing")  # noticed, restarted, and its backoff is as ever
            kill(host, "swing")
            asked = probed(host)
            wait_for(lambda asked=asked: probed(host) > asked, 10, "probes go on")
            assert run(host, "wait", "swing", "--timeout", "5s").returncode == 0
            assert runs(host)["still.0.g1"] == still
            host.kill()  # a daemon that starts with the wrong clock adopts all the same
            host.start()
            host.running("still")
            patiently(lambda: same(host, still))
            kill(host, "swing")
        ends = events(host, "Signaled", "swing")
        assert [e["details"]["exit_code"] for e in ends] == [137] * 6
        assert sorted(e["seq"] for e in ends) == [e["seq"] for e in ends]
        assert events(host, "ProbeFailed", "still") == []
        # An hour earlier or later, what ran for some seconds ran for some seconds.
        assert all(0 <= e["details"]["ran_seconds"] < 60 for e in ends), json.dumps(ends)
    finally:
        host.stop()
        host.program = plain


PROBED = """
[probes.readiness]
exec = ["true"]
interval = "300ms"
[probes.liveness]
exec = ["true"]
interval = "300ms"
"""


def probed(host: Host) -> int:
    probes = host.instance("still").get("probes") or {}
    return int(probes.get("liveness", {}).get("runs", 0))


def same(host: Host, still: tuple[str, int, str]) -> None:
    assert runs(host)["still.0.g1"] == still


def test_an_upgrade_and_a_downgrade_keep_what_runs(host: Host) -> None:
    host.sleeper("web", replicas=2)
    host.running("web")
    before, here = runs(host), host.code
    started = {name: ticks(run[1]) for name, run in before.items()}
    other = host.dir / "other-version"
    shutil.copytree(here / "nodeorch", other / "nodeorch")
    (other / "nodeorch" / "__init__.py").write_text('__version__ = "99.0.0"\n')
    try:
        for code, end in ((other, host.stop), (here, host.kill)):
            end()
            host.code = code
            host.start()
            host.running("web")
            assert (host.client.get("/v1/version")["version"] == "99.0.0") == (code is other)
            until_runs(host, before)
            assert {name: ticks(run[1]) for name, run in runs(host).items()} == started
            assert all(i["restarts"] == 0 for i in host.one("web")["instances"])
    finally:
        host.stop()
        host.code = here
