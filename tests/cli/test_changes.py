"""nodeorch changes, and --wait: what was asked, and what became of it."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import pytest

from tests.api.harness import WEB, Harness, spec
from tests.cli import golden
from tests.cli.conftest import Cli
from tests.cli.test_verbs import scrub
from tests.lab.wait import wait_for


def later(harness: Harness, *steps: object) -> threading.Thread:
    """Do it as soon as somebody waits for a change."""

    def run() -> None:
        wait_for(lambda: harness.standin.waiting)
        for step in steps:
            step()  # type: ignore[operator]

    made = threading.Thread(target=run)
    made.start()
    return made


def furnish(harness: Harness, cli: Cli) -> None:
    harness.declare(WEB, spec("db"))
    cli("stop", "web")
    harness.standin.clock.time += 3.0
    harness.obey()
    harness.standin.clock.time -= 3.0
    cli("restart", "db")
    cli("scale", "db", "3")


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("changes", ["changes"]),
        ("changes-of-one", ["changes", "--workload", "web"]),
        ("change-done", ["changes", "1"]),
        ("change-doing", ["changes", "3"]),
        ("change-superseded", ["changes", "2", "-f"]),
    ],
)
def test_golden(harness: Harness, cli: Cli, name: str, arguments: list[str]) -> None:
    furnish(harness, cli)
    code, out, err = cli(*arguments)
    assert (code, err) == (1 if "-f" in arguments else 0, "")
    golden.check(name, scrub(out))


def test_json(harness: Harness, cli: Cli) -> None:
    furnish(harness, cli)
    assert [c["id"] for c in json.loads(cli("changes", "--json")[1])] == [1, 2, 3]
    assert json.loads(cli("changes", "3", "--json")[1])["state"] == "doing"


def test_usage(harness: Harness, cli: Cli) -> None:
    assert cli("changes")[:2] == (0, "no changes\n")
    assert cli("changes", "-f")[0] == 2
    assert cli("changes", "0")[0] == 2
    code, _, err = cli("changes", "zzz")
    assert code == 2 and "'zzz' is not the number of a change; see `nodeorch changes`" in err
    code, _, err = cli("changes", "7")
    assert (code, "there is no change 7" in err) == (1, True)


def test_following_to_the_end_over_a_restart_of_the_daemon(harness: Harness, cli: Cli) -> None:
    harness.declare(WEB)
    cli("restart", "web")
    thread = later(harness, harness.close_server, harness.open, harness.obey)
    code, out, err = cli("changes", "1", "-f")
    thread.join(10.0)
    assert code == 0
    assert "nodeorchd answers again" in err
    assert out.splitlines()[-1].split(maxsplit=1) == ["done", "web is ready, generation 1"]


def test_wait_goes_on_over_a_restart_of_the_daemon(harness: Harness, cli: Cli) -> None:
    harness.declare(WEB)
    thread = later(harness, harness.close_server, harness.open, harness.obey)
    code, _, err = cli("restart", "web", "--wait")
    thread.join(10.0)
    assert (code, err) == (0, "")


def test_delete_waits_until_it_is_gone(harness: Harness, cli: Cli) -> None:
    harness.declare(WEB)
    thread = later(harness, harness.obey)
    assert cli("delete", "web", "--wait")[0] == 0
    thread.join(10.0)
    assert not harness.standin.world.workloads


def test_wait_ends_when_something_newer_is_asked(
    harness: Harness, cli: Cli, tmp_path: Path
) -> None:
    harness.declare(WEB)
    (tmp_path / "web.toml").write_text(WEB.replace("web:1", "web:2"))
    thread = later(harness, lambda: harness.client.post("/v1/workloads/web/stop"))
    code, _, err = cli("apply", str(tmp_path / "web.toml"), "--wait")
    thread.join(10.0)
    assert code == 1
    assert err == (
        "nodeorch: cannot apply web: change 1 was superseded: web: change 2 (stop) took its place\n"
    )
