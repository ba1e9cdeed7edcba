"""Jobs on real containers: by command, by declaration, by a clock that is set."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.lab.wait import wait_for
from tests.system.host import Host
from tests.system.kit import as_json, clear, run, until_event
from tests.system.test_durability import WALL

SCRIPT = 'echo "run with $*"; exec sh -c "$1"'
"""Says its arguments, and does the first one."""


@pytest.fixture
def host(shared: Host) -> Iterator[Host]:
    yield shared
    if shared.stopped:
        shared.start()
    clear(shared)


@pytest.fixture
def clock(host: Host) -> Iterator[Path]:
    """The file that says by how many seconds the daemon's wall clock is wrong."""
    wrong, plain = host.dir / "wrong", host.program
    wrong.write_text("0")
    host.stop()
    host.program = ["-c", WALL, str(wrong)]
    host.start()
    yield wrong
    host.stop()
    host.program = plain


def job(host: Host, terms: str, does: str = "true", name: str = "job") -> None:
    host.declare(
        name,
        f"""\
[workload]
name = "{name}"
image = "localhost/bb:1"
kind = "job"
command = ["sh", "-c", '{SCRIPT}', "job"]
args = ["{does}"]
networks = ["none"]
[resources]
memory = "32MiB"
[stop]
grace = "200ms"
[restart]
backoff = {{ initial = "20ms", max = "50ms" }}
[job]
{terms}
""",
    )


def runs(host: Host, name: str = "job") -> list[dict[str, Any]]:
    """Oldest first."""
    found: list[dict[str, Any]] = host.client.get(f"/v1/workloads/{name}/runs")
    return found[::-1]


def states(host: Host) -> list[str]:
    return [view["state"] for view in runs(host)]


def containers(host: Host) -> list[str]:
    told = host.lab.podman("ps", "-a", "--format", "{{.Names}}").split()
    return sorted(name for name in told if name.startswith("job."))


NIGHTLY = 'schedule = "30 3 * * *"'


def test_a_run_by_command_has_its_args_its_log_and_its_code(host: Host) -> None:
    job(host, NIGHTLY)
    host.until("job", lambda w: w["state"] == "scheduled")
    good = run(host, "run", "job", "--wait", "--timeout", "30s")
    assert good.returncode == 0 and "run 1 begins" in good.stdout, good.stderr
    assert "job: run 1 succeeded" in good.stdout
    bad = run(host, "run", "job", "--wait", "--timeout", "30s", "--", "exit 7", "--flag")
    assert bad.returncode == 7 and "run 2 failed" in bad.stdout, bad.stderr
    assert "run with true" in host.cli("logs", "job", "--instance", "job.1.g1")
    assert "run with exit 7 --flag" in host.cli("logs", "job", "--instance", "job.2.g1")
    assert "2    failed" in host.cli("runs", "job") and "with exit 7 --flag" in host.cli(
        "runs", "job"
    )
    shown = host.cli("status", "job")
    assert "next run" in shown and "last run  2 failed" in shown
    for _ in range(3):
        assert run(host, "run", "job", "--wait", "--timeout", "30s").returncode == 0
    wait_for(lambda: containers(host) == ["job.3.g1", "job.4.g1", "job.5.g1"], 15, "kept")
    assert as_json(host, "runs", "job")[0]["number"] == 5


def test_a_migration_before_the_app(host: Host) -> None:
    job(host, "retries = 1", "test -e /tmp/again || { touch /tmp/again; sleep 1; exit 1; }")
    host.sleeper("app")
    path = host.specs / "app.toml"
    path.write_text(path.read_text().replace("replicas", 'needs = { job = "completed" }\nreplicas'))
    host.until("app", lambda w: w["ready"] == 0 and "waits for job" in w["reason"])
    host.until("job", lambda w: w["state"] in ("completed", "failed"))
    [made] = runs(host)
    assert made["attempts"] == 2 and made["cause"] == "declared"
    # /tmp is in memory and new at each start: the second try failed as the first did.
    assert made["state"] == "failed" and "after 1 retry" in made["reason"]
    assert host.one("app")["ready"] == 0
    assert run(host, "run", "job", "--wait", "--", "true").returncode == 0
    host.running("app")


def test_a_deadline_ends_a_run_and_a_stop_ends_them_all(host: Host) -> None:
    job(host, f'{NIGHTLY}\ndeadline = "1s"\nconcurrency = "allow"')
    host.until("job", lambda w: w["state"] == "scheduled")
    late = run(host, "run", "job", "--wait", "--timeout", "30s", "--", "sleep 1000")
    assert late.returncode == 137 and "not done within its deadline of 1 s" in late.stdout
    job(host, f'{NIGHTLY}\nconcurrency = "allow"')
    until_event(host, "SpecAccepted", "job", "job")
    for _ in range(2):
        host.cli("run", "job", "--", "sleep 1000")
    host.until("job", lambda w: w["ready"] == 2)
    host.cli("stop", "job", "--wait")
    assert states(host) == ["deadline", "stopped", "stopped"]
    assert run(host, "run", "job").returncode == 1


def test_replace_stops_the_one_before(host: Host) -> None:
    job(host, f'{NIGHTLY}\nconcurrency = "replace"')
    host.until("job", lambda w: w["state"] == "scheduled")
    host.cli("run", "job", "--", "sleep 1000")
    host.until("job", lambda w: w["ready"] == 1)
    assert run(host, "run", "job", "--wait", "--timeout", "30s").returncode == 0
    assert states(host) == ["replaced", "succeeded"]
    first, second = runs(host)
    assert first["ended_at"] <= second["started_at"], "not both at once"


def test_due_times_under_a_clock_that_is_set(host: Host, clock: Path) -> None:
    minute = (datetime.now(UTC).minute + 30) % 60
    job(host, f'schedule = "{minute} * * * *"')
    view = host.until("job", lambda w: w["state"] == "scheduled")
    due = datetime.fromisoformat(view["job"]["next_at"])
    # It comes two seconds early, at its time: the clock is set to just before it.
    clock.write_text(str(due.timestamp() - time.time() - 2))
    wait_for(lambda: states(host) == ["succeeded"], 20, "the first run")
    assert runs(host)[0]["cause"] == "schedule"
    assert datetime.fromisoformat(runs(host)[0]["due_at"]) == due

    before = float(clock.read_text())
    clock.write_text(str(before - 600))  # back, to before it was due, and over it again
    until_event(host, "ClockSet", words="back by 600 s")
    clock.write_text(str(before + 60))
    until_event(host, "ClockSet", words="forward by 660 s")
    host.kill()
    host.start()
    host.until("job", lambda w: w["state"] == "scheduled")
    assert len(runs(host)) == 1, "no second run"

    clock.write_text(str(before + 3 * 3600 + 60))
    wait_for(lambda: states(host) == ["succeeded", "succeeded"], 20, "one run for three")
    until_event(host, "RunMissed", "job", "2 due before")


def test_a_run_outlives_its_daemon_and_ends_without_one(host: Host) -> None:
    job(host, NIGHTLY)
    host.until("job", lambda w: w["state"] == "scheduled")
    host.cli("run", "job", "--", "sleep 3; exit 5")
    pid = host.until("job", lambda w: w["ready"] == 1)["instances"][0]["pid"]
    host.kill()
    host.start()
    view = host.until("job", lambda w: w["instances"][0]["pid"])
    assert view["instances"][0]["pid"] == pid
    host.kill()
    wait_for(lambda: not Path(f"/proc/{pid}").exists(), 20, "it ends")
    host.start()
    host.until("job", lambda w: w["state"] == "failed")
    [ended] = runs(host)
    assert (ended["state"], ended["exit_code"], ended["attempts"]) == ("failed", 5, 1)
    assert containers(host) == ["job.1.g1"]
