"""Every verb against the API, as a person types it."""

from __future__ import annotations

import io
import json
import re
import threading
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from nodeorch import __version__
from nodeorch.model.facts import ProbeSeen, SpecsSeen
from nodeorch.model.world import Brake, Code, Engine, Exit, Limits, State, Why
from nodeorch.ports import LogLine, ProbeResult
from tests.api.harness import WEB, Harness, spec
from tests.api.standin import Sample
from tests.cli import golden
from tests.cli.conftest import Cli
from tests.lab.wait import wait_for

PROBED = WEB + (
    "[[ports]]\ncontainer = 80\nhost = 18080\n[probes.readiness]\nhttp = { port = 80 }\n"
)


def furnish(harness: Harness) -> None:
    """A node with something of everything."""
    harness.declare(PROBED, spec("db", "replicas = 2"), spec("crashing"))
    harness.declare(spec("idle"))
    standin = harness.standin
    harness.do(lambda: standin.samples.update({"db.0.g1": Sample(12_900_000, 1.25)}))
    wall = standin.clock.wall()
    probes = {
        ("web.0.g1", "startup"): ProbeResult(True, "connected", 0.0004, wall - 9, 1, 4, wall - 9),
        ("web.0.g1", "readiness"): ProbeResult(
            False, "connection refused", 0.0021, wall - 2, 3, 7, wall - 62
        ),
    }
    harness.do(lambda: standin.probes.update(probes))

    def crash() -> None:
        world = standin.world
        state = world.workloads["crashing"]
        [instance] = state.instances.values()
        end = Exit(Why(Code.EXITED, "exited with code 1"), at=999.0, code=1)
        record = replace(
            instance.record, failures=6, next_try=1003.2, last_exit=end, up=False, runs=7
        )
        instance = replace(instance, record=record, state=State.EXITED, pid=0)
        state = replace(state, instances={instance.name: instance}, settled=False)
        db = world.workloads["db"]
        limited = {k: replace(i, limits=Limits(memory=64 << 20)) for k, i in db.instances.items()}
        changed = {"crashing": state, "db": replace(db, instances=limited)}
        standin.put(replace(world, workloads=world.workloads | changed))

    harness.do(crash)
    harness.client.post("/v1/workloads/idle/stop")
    harness.obey()


def scrub(text: str) -> str:
    """Without the peer, which is another at each run."""
    return re.sub(r"uid \d+( \(\w+\))?, pid \d+", "uid U, pid P", text)


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("status", ["status"]),
        ("status-one", ["status", "web"]),
        ("status-crashing", ["status", "crashing"]),
        ("plan", ["plan"]),
        ("why", ["why", "crashing"]),
        ("events", ["events", "--last", "5"]),
        ("events-one", ["events", "idle"]),
        ("history", ["history", "db"]),
    ],
)
def test_golden(harness: Harness, cli: Cli, name: str, arguments: list[str]) -> None:
    furnish(harness)
    code, out, err = cli(*arguments)
    assert code == (2 if name == "plan" else 0)
    assert err == ""
    golden.check(name, scrub(out))


def test_why_shows_what_a_probe_caused(harness: Harness, cli: Cli) -> None:
    furnish(harness)
    words = "GET http://10.88.0.2:80/: status 503"
    [instance] = harness.standin.world.workloads["web"].instances.values()
    for passed in (True, False):
        fact = ProbeSeen(
            instance.name, instance.record.container_id, "readiness", passed, words, 0.0021
        )
        harness.do(lambda fact=fact: harness.standin.tell(fact))  # type: ignore[misc]
    golden.check("why-probe", scrub(cli("why", "web")[1]))


def test_status_tells_the_nodes_troubles(harness: Harness, cli: Cli) -> None:
    def trouble() -> None:
        brake = Brake(names=("a",), words="cannot delete a: nothing is deleted until confirmed")
        engine = Engine(answering=False, words="connection refused")
        rejected = {"bad": "bad.toml:1:1: error[E003]: \x1b[2J"}
        standin = harness.standin
        standin.put(replace(standin.world, brake=brake, engine=engine, rejected=rejected))

    harness.do(trouble)
    golden.check("status-troubles", cli("status")[1])


def test_json_status_is_the_pinned_list_before_and_after_the_verb(
    harness: Harness, cli: Cli
) -> None:
    furnish(harness)
    code, out, _ = cli("--json", "status")
    assert code == 0
    assert cli("status", "--json") == (0, out, "")
    views = json.loads(out)
    assert [view["name"] for view in views] == ["crashing", "db", "idle", "web"]
    workload = "name generation desired ready state reason instances"
    instance = (
        "name container_id pid state ready restarts started_at exit_code image_digest "
        "memory_bytes memory_limit_bytes cpu_percent address"
    )
    for view in views:
        assert set(workload.split()) <= view.keys()
        for each in view["instances"]:
            assert set(instance.split()) <= each.keys()


JSON_VERBS = [
    ["status"], ["status", "web"], ["plan"], ["why", "web"], ["history", "web"], ["version"],
    ["restart", "web"], ["stop", "web"], ["start", "web"], ["scale", "web", "2"],
    ["delete", "web"], ["wait", "web"], ["logs", "web"], ["events", "--last", "1"],
]  # fmt: skip


@pytest.mark.parametrize("arguments", JSON_VERBS, ids=" ".join)
def test_json_of_every_verb(harness: Harness, cli: Cli, arguments: list[str]) -> None:
    harness.declare(WEB)
    [instance] = harness.standin.world.workloads["web"].instances.values()
    line = LogLine("web.0.g1", "stdout", "2024-05-01T10:00:02Z", "hi\x1b")
    harness.standin.engine.lines[instance.record.container_id] = [line]
    code, out, err = cli(*arguments, "--json")
    assert (code, err) == (0, "")
    json.loads(out)
    assert "\x1b" not in out


def test_apply_and_its_dry_run(harness: Harness, cli: Cli, tmp_path: Path) -> None:
    harness.declare(WEB, spec("db"))
    (tmp_path / "web.toml").write_text(WEB.replace("64MiB", "1GiB").replace("web:1", "web:2"))
    (tmp_path / "db.toml").write_text(spec("db"))
    (tmp_path / "new.toml").write_text(spec("new"))
    (tmp_path / ".hidden.toml").write_text("nonsense")
    code, out, _ = cli("apply", "--dry-run", str(tmp_path))
    assert code == 0
    golden.check("apply-dry-run", out)
    assert cli("plan", str(tmp_path)) == (2, out, "")
    assert list(harness.standin.world.workloads) == ["web", "db"]
    assert cli("apply", str(tmp_path)) == (0, out.replace("dry run: nothing was changed\n", ""), "")
    assert (harness.directory / "new.toml").read_text() == spec("new")
    assert cli("plan", str(tmp_path / "db.toml"))[0] == 0


def test_apply_from_the_standard_input(
    harness: Harness, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(WEB.encode())))
    assert cli("apply", "-")[0] == 0
    assert (harness.directory / "web.toml").read_text() == WEB
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"[workload]\n")))
    code, _, err = cli("apply", "-")
    assert code == 1
    assert "cannot apply -: it has no readable workload.name" in err


def test_apply_shows_every_problem(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "web.toml").write_text(WEB + "\n[resource]\n[limits]\n")
    code, out, err = cli("apply", str(tmp_path))
    assert (code, out) == (1, "")
    golden.check("apply-problems", err)


@pytest.mark.parametrize(
    ("content", "words"),
    [(None, "No such file"), (b"\xff", "not UTF-8"), (b"x" * (1 << 20) + b"x", "over 1 MiB")],
)
def test_apply_of_what_cannot_be_read(
    cli: Cli, tmp_path: Path, content: bytes | None, words: str
) -> None:
    path = tmp_path / "web.toml"
    if content is not None:
        path.write_bytes(content)
    code, _, err = cli("apply", str(path))
    assert code == 1
    assert words in err


def test_apply_of_an_empty_folder(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    code, _, err = cli("apply", str(tmp_path / "empty"))
    assert code == 1
    assert "there is no .toml file in it" in err


def test_apply_and_wait(harness: Harness, cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "web.toml").write_text(WEB)
    obey = threading.Thread(
        target=lambda: (wait_for(lambda: harness.standin.world.workloads), harness.obey())
    )
    obey.start()
    assert cli("apply", str(tmp_path / "web.toml"), "--wait")[0] == 0
    obey.join(10.0)
    assert harness.standin.status("web")[0].ready == 1


def test_waiting_ends_badly_when_the_update_went_back(
    harness: Harness, cli: Cli, tmp_path: Path
) -> None:
    harness.declare(WEB)

    def went_back() -> None:
        state = harness.standin.world.workloads["web"]
        failed = Why(Code.UPDATE_FAILED, "generation 2 did not become ready")
        record = replace(state.record, failed=failed, failed_generation=2, latest=2)
        workloads = {"web": replace(state, record=record)}
        harness.standin.put(replace(harness.standin.world, workloads=workloads))

    harness.do(went_back)
    (tmp_path / "web.toml").write_text(WEB)
    code, _, err = cli("apply", str(tmp_path / "web.toml"), "--wait")
    assert code == 1
    assert "cannot apply web: change 1 failed: web: generation 2 did not become ready" in err


def test_waiting_runs_out(harness: Harness, cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "web.toml").write_text(WEB)
    code, _, err = cli("apply", str(tmp_path / "web.toml"), "--wait", "--timeout", "10ms")
    assert code == 75
    assert "change 1 is not done after 0.01 s: web is starting, 0/1 ready" in err


def test_progress_is_shown_on_a_terminal_alone(
    harness: Harness, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    harness.do(lambda: harness.standin.declare(WEB))
    arguments = ("wait", "web", "--timeout", "100ms")
    assert cli(*arguments)[2].count("\r") == 0
    monkeypatch.setattr("nodeorch.cli.follow.STEP", 0.02)
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    code, _, err = cli(*arguments)
    assert code == 75
    assert "\r\x1b[K" in err
    assert "web is not ready after 0.02 s: starting" in err


def test_restart_stop_start_scale(harness: Harness, cli: Cli) -> None:
    harness.declare(WEB, spec("db"))
    assert cli("restart", "web", "db")[0] == 0
    assert harness.standin.world.workloads["db"].record.operator_seq == 1
    assert cli("stop", "web", "--dry-run")[0] == 0
    assert not harness.standin.world.workloads["web"].record.stopped
    code, out, _ = cli("stop", "web")
    assert "running → stopped" in out
    assert harness.standin.world.workloads["web"].record.stopped
    harness.obey()
    assert cli("stop", "web", "--wait")[0] == 0
    assert cli("start", "web")[0] == 0
    harness.obey()
    assert cli("start", "web", "--wait")[0] == 0
    code, out, _ = cli("scale", "web", "3")
    assert (code, "1 → 3" in out) == (0, True)
    assert cli("scale", "web", "-1")[0] == 2
    assert cli("scale", "web", "many")[0] == 2


def test_rollback_and_history(harness: Harness, cli: Cli) -> None:
    harness.declare(WEB)
    assert cli("rollback", "web")[0] == 1
    harness.declare(WEB.replace("64MiB", "96MiB"))
    assert cli("rollback", "web", "--dry-run")[0] == 0
    code, out, _ = cli("rollback", "web", "--to", "1")
    assert code == 0
    assert "resources.memory" in out
    assert harness.standin.world.workloads["web"].record.target.generation == 1


def test_delete(harness: Harness, cli: Cli) -> None:
    harness.declare(WEB, spec("db"))
    assert cli("delete", "web", "--dry-run")[0] == 0
    assert (harness.directory / "web.toml").exists()
    assert cli("delete", "web", "db")[0] == 0
    assert not list(harness.directory.iterdir())
    harness.obey()
    assert cli("wait", "web", "--for", "gone") == (0, "", "")
    assert cli("status") == (0, "no workloads; declare one: nodeorch apply FILE\n", "")


def test_confirm(harness: Harness, cli: Cli) -> None:
    code, _, err = cli("confirm")
    assert code == 1
    assert "no deletion waits" in err
    harness.declare(WEB)
    harness.do(lambda: harness.standin.tell(SpecsSeen({})))
    code, out, _ = cli("plan")
    assert (code, "hold" in out) == (2, True)
    assert cli("confirm", "--dry-run")[0] == 0
    assert cli("confirm")[0] == 0
    assert harness.standin.world.workloads["web"].record.deleting


def test_shutdown_is_hidden_and_works(harness: Harness, cli: Cli) -> None:
    assert "shutdown" not in cli("--help")[1]
    harness.declare(WEB)
    assert cli("shutdown", "--timeout", "0s")[0] == 75
    harness.obey()
    assert cli("shutdown", "--timeout", "5s")[0] == 0


def test_version(harness: Harness, cli: Cli) -> None:
    assert cli("version") == (0, f"nodeorch   {__version__}\nnodeorchd  {__version__}\n", "")
    harness.close_server()
    code, out, _ = cli("version", "--json")
    assert (code, json.loads(out)["daemon"]) == (0, None)
    assert "cannot reach nodeorchd" in cli("version")[1]


def test_logs(harness: Harness, cli: Cli) -> None:
    harness.declare(spec("web", "replicas = 2"), spec("db"))
    lines = harness.standin.engine.lines
    for name in ("web", "db"):
        for instance in harness.standin.world.workloads[name].instances.values():
            at = f"2024-05-01T10:00:0{instance.record.slot}Z"
            text = f"a\tb\x1b[31m \u202e{instance.record.slot}"
            line = LogLine(instance.name, "stdout", at, text)
            lines[instance.record.container_id] = [line]
    assert cli("logs", "db") == (0, "a\tb\\x1b[31m \\u202e0\n", "")
    assert cli("logs", "web", "--tail", "5", "--since", "10m")[1] == ""
    assert cli("logs", "web")[1] == (
        "web.0.g1 | a\tb\\x1b[31m \\u202e0\nweb.1.g1 | a\tb\\x1b[31m \\u202e1\n"
    )
    assert cli("logs", "web", "--instance", "web.1.g1")[1].count("\n") == 1


def test_following_events_survives_a_restart_of_the_daemon(
    harness: Harness, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Any] = []

    def collect(self: object, view: Any) -> None:
        seen.append(view["words"])
        if view["words"] == "stop":
            raise KeyboardInterrupt

    monkeypatch.setattr("nodeorch.cli.session.Session.print_line", collect)

    def happen() -> None:
        wait_for(lambda: seen == ["one"])
        harness.close_server()
        harness.do(lambda: harness.standin.say("two"))
        harness.open()
        harness.do(lambda: harness.standin.say("stop"))

    harness.do(lambda: harness.standin.say("one"))
    thread = threading.Thread(target=happen)
    thread.start()
    code, _, err = cli("events", "-f", "--json")
    assert code == 130
    assert "nodeorchd answers again; going on after 1\n" in err
    thread.join(10.0)
    assert seen == ["one", "two", "stop"]


def test_following_gives_up_when_the_daemon_stays_away(
    harness: Harness, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nodeorch.cli.again.PATIENCE", 0.3)
    closer = threading.Thread(
        target=lambda: (wait_for(lambda: harness.standin._subscribers), harness.close_server())
    )
    closer.start()
    assert cli("events", "-f")[0] == 69
    closer.join(10.0)
