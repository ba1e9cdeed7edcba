"""A disk that is full, broken or slow: what runs is supervised, and what cannot be done is said."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator

import pytest

from tests.lab import Lab
from tests.lab.disk import Disk
from tests.lab.wait import wait_for
from tests.system.host import Host
from tests.system.kit import events, node, run, runs, until_event, until_runs

QUICK = '[restart]\nbackoff = { initial = "20ms", max = "50ms" }\n'


@pytest.fixture
def disk(lab: Lab) -> Iterator[tuple[Host, Disk]]:
    """A host whose state is on a small disk of its own."""
    host = Host(lab)
    disk = Disk(host.dir / "disk.img", host.state)
    try:
        yield host.start(), disk
    finally:
        host.stop()
        disk.close()
        host.close()


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


def troubles(host: Host) -> str:
    return " ".join(node(host)["warnings"])


def two(host: Host) -> None:
    for name in ("web", "db"):
        host.sleeper(name, QUICK)
    for name in ("web", "db"):
        host.running(name)


def refused(host: Host, *words: str) -> str:
    done = run(host, *words)
    assert done.returncode == 1, done
    return done.stderr


def test_a_full_disk_stops_no_supervision(disk: tuple[Host, Disk]) -> None:
    host, device = disk
    two(host)
    filler = device.fill()

    def kill_until_told() -> bool:
        kill(host, "web")
        return "the disk is full" in troubles(host)

    wait_for(kill_until_told, 30, "the full disk is told")
    assert "free space under" in host.cli("status")
    kill(host, "web")
    kill(host, "db")

    # What would make an identity is not done, and says so.
    host.sleeper("new")
    host.until("new", lambda w: "the disk is full" in w["reason"])
    assert "new.0" not in host.lab.podman("ps", "-a", "--format", "{{.Names}}")
    path = host.dir / "api.toml"
    path.write_text((host.specs / "new.toml").read_text().replace('"new"', '"api"'))
    refused = run(host, "apply", str(path))
    assert refused.returncode == 1 and "free" in refused.stderr, refused.stderr
    refused = run(host, "stop", "db")
    assert refused.returncode == 1 and "the disk is full" in refused.stderr
    assert host.one("db")["state"] == "running" and host.one("api") == {}

    filler.unlink()
    host.running("new")
    wait_for(lambda: not troubles(host), 10, "the trouble is over")
    assert "the disk is full" in until_event(host, "StoreFailed")["words"]
    ends = events(host, "Signaled", "web")
    restarts = host.instance("web")["restarts"]
    assert len(ends) == restarts  # what happened meanwhile was written down later
    before = runs(host)
    host.kill()
    host.start()
    until_runs(host, before)
    assert host.instance("web")["restarts"] == restarts


def test_a_disk_that_turns_read_only_stops_no_supervision(disk: tuple[Host, Disk]) -> None:
    host, device = disk
    two(host)
    device.abort()

    def kill_until_told() -> bool:
        kill(host, "web")
        return "read-only" in troubles(host)

    wait_for(kill_until_told, 30, "the read-only disk is told")
    assert "remount" in host.cli("status")
    kill(host, "web")
    kill(host, "db")
    assert "read-only" in refused(host, "stop", "db")
    host.sleeper("new")
    host.until("new", lambda w: "read-only" in w["reason"])

    before = runs(host)
    host.kill()
    device.mend()
    host.start()
    host.running("new")
    wait_for(lambda: before.items() <= runs(host).items(), 10, "what runs is adopted")
    kill(host, "web")


def test_a_disk_that_does_not_answer_delays_no_restart(disk: tuple[Host, Disk]) -> None:
    host, device = disk
    two(host)
    with device.frozen():
        for _ in range(2):
            kill(host, "web")
        host.sleeper("new")
        wait_for(lambda: "the disk does not answer" in troubles(host), 30, "it is told")
        kill(host, "db")
        assert "new.0" not in host.lab.podman("ps", "-a", "--format", "{{.Names}}")
        assert "the disk does not answer" in refused(host, "stop", "db")
    host.running("new")
    wait_for(lambda: not troubles(host), 10, "the trouble is over")
    assert len(events(host, "Signaled", "web")) == 2  # written down when it could be
    until_event(host, "StoreWorks")
    before = runs(host)
    host.kill()
    host.start()
    until_runs(host, before)


def test_a_daemon_suspended_for_long_catches_up_and_harms_nothing(host: Host) -> None:
    host.sleeper(
        "web", QUICK + '[probes.liveness]\nexec = ["true"]\ninterval = "100ms"\ntimeout = "100ms"\n'
    )
    host.sleeper("db", QUICK)
    host.running("web")
    host.until("db", lambda w: w["ready"] == 1)
    before = runs(host)
    os.kill(host.pid, signal.SIGSTOP)
    time.sleep(12)  # longer than a probe's patience and the engine's timeouts
    os.kill(host.pid, signal.SIGCONT)
    kill(host, "db")
    assert runs(host)["web.0.g1"] == before["web.0.g1"], "a late probe is no failed one"
