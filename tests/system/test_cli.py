"""The command line against a real daemon: every verb, its exit codes, its JSON, its dry runs."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from queue import SimpleQueue

import pytest

from nodeorch import __version__
from tests.lab.wait import wait_for
from tests.system.host import Host
from tests.system.kit import (
    ROOT,
    View,
    as_json,
    clear,
    events,
    patiently,
    run,
    runs,
    until_runs,
)


@pytest.fixture
def host(shared: Host) -> Iterator[Host]:
    yield shared
    clear(shared)


def spec(host: Host, name: str, colour: str = "red", more: str = "", command: str = "") -> Path:
    """A spec file outside of the daemon's directory."""
    path = host.dir / "mine" / f"{name}.toml"
    path.parent.mkdir(exist_ok=True)
    path.write_text(
        f"""\
[workload]
name = "{name}"
image = "localhost/bb:1"
command = ["sh", "-c", "{command or "exec sleep 1000000"}"]
env = {{ COLOUR = "{colour}" }}
networks = ["none"]
[resources]
memory = "32MiB"
[stop]
grace = "100ms"
[update]
deadline = "5s"
settle = "100ms"
{more}
"""
    )
    return path


@contextmanager
def following(host: Host, *args: str) -> Iterator[SimpleQueue[str]]:
    """The lines of ``nodeorch ARGS`` as they come."""
    lines: SimpleQueue[str] = SimpleQueue()
    process = subprocess.Popen(
        [sys.executable, "-m", "nodeorch.cli.main", "--socket", str(host.socket), *args],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert process.stdout is not None
    reader = threading.Thread(target=lambda out: [lines.put(x) for x in out], args=[process.stdout])
    reader.start()
    try:
        yield lines
    finally:
        process.terminate()
        process.wait(10)
        reader.join(10)
        process.stdout.close()


def next_with(lines: SimpleQueue[str], words: str) -> str:
    while True:
        line = lines.get(timeout=20)
        if words in line:
            return line


def verbs_of(view: View) -> dict[str, str]:
    return {w["workload"]: w["verb"] for w in view["workloads"]}


def test_from_plan_to_delete(host: Host) -> None:
    path = str(spec(host, "web"))
    plan = run(host, "plan", path)
    assert plan.returncode == 2 and "web" in plan.stdout and "create" in plan.stdout
    assert host.status() == [] and run(host, "plan").returncode == 0

    dry = run(host, "apply", "--dry-run", path)
    assert dry.returncode == 0 and "nothing was changed" in dry.stdout
    assert host.status() == [] and list(host.specs.iterdir()) == []
    assert run(host, "apply", "--wait", path).returncode == 0
    assert host.one("web")["ready"] == 1
    assert (host.specs / "web.toml").read_text() == Path(path).read_text()
    assert run(host, "plan", path).returncode == 0  # nothing to do any more
    again = as_json(host, "plan", path)
    assert verbs_of(again) == {"web": "none"}

    path = str(spec(host, "web", "blue"))
    plan = run(host, "plan", path)
    assert plan.returncode == 2 and "env" in plan.stdout and "recreate" in plan.stdout
    view = as_json(host, "apply", "--wait", path)
    (change,) = view["workloads"][0]["changes"]
    assert change["effect"] == "recreate" and "blue" in change["after"]
    history = as_json(host, "history", "web")
    assert [(g["generation"], g["current"]) for g in history] == [(2, True), (1, False)]
    assert "COLOUR" in host.cli("history", "web")

    dry = run(host, "rollback", "--dry-run", "web")
    assert dry.returncode == 0 and host.one("web")["generation"] == 2
    assert run(host, "rollback", "--wait", "web").returncode == 0
    assert host.one("web")["generation"] == 1
    assert "COLOUR=red" in Path(f"/proc/{host.instance('web')['pid']}/environ").read_text()
    assert run(host, "rollback", "web", "--to", "9").returncode == 1

    dry = run(host, "delete", "--dry-run", "web")
    assert dry.returncode == 0 and host.one("web")["ready"] == 1
    assert (host.specs / "web.toml").exists()
    assert verbs_of(as_json(host, "delete", "web")) == {"web": "delete"}
    assert run(host, "wait", "web", "--for", "gone", "--timeout", "20s").returncode == 0
    assert not (host.specs / "web.toml").exists() and host.status() == []
    gone = run(host, "delete", "web")
    assert gone.returncode == 1 and "no workload web" in gone.stderr
    assert "deleted" in host.cli("why", "web")  # the journal still knows


def test_operating_a_workload(host: Host) -> None:
    host.cli("apply", "--wait", str(spec(host, "web")))
    first = host.instance("web")
    dry_runs = (("stop", "web"), ("restart", "web"), ("scale", "web", "3"))
    for args in dry_runs:
        done = run(host, args[0], "--dry-run", *args[1:])
        assert done.returncode == 0 and "nothing was changed" in done.stdout, done
    view = host.one("web")
    assert view["instances"][0] | {"cpu_percent": 0, "memory_bytes": 0} == first | {
        "cpu_percent": 0,
        "memory_bytes": 0,
    }
    assert view["desired"] == 1 and not view["stopped_by_operator"]

    assert run(host, "restart", "--wait", "web").returncode == 0
    second = host.instance("web")
    assert second["pid"] != first["pid"] and second["restarts"] == 1
    assert "Operator" in {e["code"] for e in events(host, workload="web")}
    assert run(host, "stop", "web").returncode == 0
    assert run(host, "wait", "web", "--for", "stopped").returncode == 0
    assert host.one("web")["state"] == "stopped" and host.instance("web")["pid"] == 0
    refused = run(host, "restart", "web")
    assert refused.returncode == 1 and "use `nodeorch start`" in refused.stderr
    assert run(host, "start", "--wait", "web").returncode == 0
    assert run(host, "scale", "web", "2").returncode == 0
    assert run(host, "wait", "web").returncode == 0
    assert host.one("web")["ready"] == 2 and host.one("web")["scaled"]
    assert host.cli("status", "web").count("web.") >= 2
    assert run(host, "stop", "nobody").returncode == 1


def test_waiting_ends_in_time_with_75_and_the_reason(host: Host) -> None:
    never = '[probes.readiness]\nexec = ["false"]\n'
    host.cli("apply", str(spec(host, "never", more=never)))
    late = run(host, "wait", "never", "--timeout", "300ms")
    assert late.returncode == 75 and "never is not ready after 0.3 s: starting" in late.stderr
    late = run(host, "wait", "nobody", "--timeout", "100ms")
    assert late.returncode == 75 and "no such workload" in late.stderr
    blue = spec(host, "never", "blue", more=never)
    late = run(host, "apply", "--wait", "--timeout", "300ms", str(blue))
    assert late.returncode == 75, late


def test_an_update_that_does_not_become_ready_goes_back_and_apply_says_so(host: Host) -> None:
    host.cli("apply", "--wait", str(spec(host, "web")))
    before = runs(host)
    bad = run(host, "apply", "--wait", str(spec(host, "web", command="exit 3")))
    assert bad.returncode == 1 and "back to generation 1" in bad.stderr, bad
    assert "exited with code 3" in bad.stderr
    until_runs(host, before)


def test_logs_and_events_are_followed(host: Host) -> None:
    talk = "echo one; echo two >&2; exec sleep 1000000"
    host.cli("apply", "--wait", str(spec(host, "web", command=talk)))
    wait_for(lambda: len(host.cli("logs", "web").splitlines()) == 2, 10)
    assert sorted(host.cli("logs", "web").splitlines()) == ["one", "two"]
    assert len(host.cli("logs", "--tail", "1", "web").splitlines()) == 1
    lines = [json.loads(x) for x in host.cli("--json", "logs", "web").splitlines()]
    assert {(x["stream"], x["text"]) for x in lines} == {("stdout", "one"), ("stderr", "two")}
    with following(host, "logs", "-f", "web") as logs, following(host, "events", "-f") as said:
        next_with(logs, "one")
        next_with(said, "declared: generation 1")
        os.kill(host.instance("web")["pid"], signal.SIGKILL)
        next_with(logs, "one")  # across the restart
        next_with(said, "killed by signal 9 (KILL)")
        next_with(said, "is ready")
        host.stop()  # and across a restart of the daemon
        host.start()
        host.running("web")
        next_with(said, "adopted")
    sequence = [json.loads(x)["seq"] for x in host.cli("--json", "events", "web").splitlines()]
    assert sequence == sorted(set(sequence)) and len(sequence) > 5
    later = host.cli("--json", "events", "--after", str(sequence[-2]), "web").splitlines()
    assert [json.loads(x)["seq"] for x in later] == sequence[-1:]


def test_why_tells_the_chain_of_causes(host: Host) -> None:
    slow = '[restart]\nbackoff = { initial = "2s", max = "20s" }\n'
    host.cli("apply", str(spec(host, "web", command="exit 4", more=slow)))
    host.until("web", lambda w: w["state"] == "crash-loop")

    def told() -> None:
        said = host.cli("why", "web")
        for words in ("exited with code 4", "restart:", "times in a row", "next try in"):
            assert words in said, said

    patiently(told, 30)  # at times it is just being started
    view = as_json(host, "why", "web")
    assert view["workload"]["state"] in ("crash-loop", "running", "starting", "backoff")
    assert {"Exited", "Restart", "SpecAccepted"} <= {e["code"] for e in view["events"]}
    assert run(host, "why", "nobody").returncode == 1


def test_all_speak_json_and_none_colours_a_pipe(host: Host) -> None:
    host.cli("apply", "--wait", str(spec(host, "web")))
    for args in (
        ("status",), ("status", "web"), ("plan",), ("why", "web"), ("history", "web"),
        ("version",), ("wait", "web"), ("restart", "--dry-run", "web"), ("schema",),
        ("stop", "--dry-run", "web"), ("delete", "--dry-run", "web"),
        ("scale", "--dry-run", "web", "2"),
    ):  # fmt: skip
        done = run(host, "--json", *args)
        assert done.returncode in (0, 2) and json.loads(done.stdout) is not None, (args, done)
        assert "\x1b" not in run(host, *args).stdout
    assert as_json(host, "version") == {"client": __version__, "daemon": __version__, "api": "v1"}
    pinned = {
        "name", "container_id", "pid", "state", "ready", "restarts", "started_at", "exit_code",
        "image_digest", "memory_bytes", "memory_limit_bytes", "cpu_percent", "address",
    }  # fmt: skip
    (view,) = as_json(host, "status")
    assert {"name", "generation", "desired", "ready", "state", "reason", "instances"} <= view.keys()
    assert pinned <= view["instances"][0].keys()
    wait_for(lambda: host.instance("web")["memory_bytes"], 20, "its use is sampled")
    assert view["instances"][0]["image_digest"].startswith("sha256:")


def test_bad_specs_are_refused_whole(host: Host) -> None:
    good, bad = spec(host, "good"), spec(host, "bad", more="[resource]\nmemory = 3\n")
    done = run(host, "apply", str(good), str(bad))
    assert done.returncode == 1 and host.status() == [] and list(host.specs.iterdir()) == []
    assert "bad.toml:" in done.stderr and 'did you mean "resources"' in done.stderr
    assert run(host, "check", str(bad)).returncode == 1
    assert run(host, "check", str(good)).returncode == 0
    piped = run(host, "apply", "-", stdin=good.read_text())
    assert piped.returncode == 0 and host.running("good")


def test_a_daemon_out_of_reach(host: Host) -> None:
    other = str(host.dir / "nobody.sock")
    base = [sys.executable, "-m", "nodeorch.cli.main"]
    env = {**os.environ, "PYTHONPATH": str(ROOT), "NODEORCH_SOCKET": other}
    done = subprocess.run([*base, "status"], env=env, capture_output=True, text=True)
    assert done.returncode == 69 and other in done.stderr
    env["NODEORCH_SOCKET"] = str(host.socket)
    assert subprocess.run([*base, "status"], env=env, capture_output=True).returncode == 0
    host.stop()
    try:
        for args in (("status",), ("plan",), ("events",), ("stop", "web"), ("confirm",)):
            assert run(host, *args).returncode == 69, args
        assert run(host, "version").returncode == 0
    finally:
        host.start()
