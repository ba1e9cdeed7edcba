"""``nodeorch logs`` of several: in time, told apart, filtered here."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from typing import Any

import pytest

from nodeorch.cli.render import Prefixes
from nodeorch.ports import EngineError, LogLine
from tests.api.harness import Harness, spec
from tests.cli.conftest import Cli
from tests.cli.terminal import Terminal
from tests.lab.wait import wait_for


def line(instance: str, second: float, text: str) -> LogLine:
    return LogLine(instance, "stdout", f"2024-05-01T10:00:0{second}Z", text)


@pytest.fixture
def write(harness: Harness) -> Callable[..., None]:
    """Two replicas of web, one of db; the function adds a line to an instance's log."""
    harness.declare(spec("web", "replicas = 2"), spec("db"))
    own = {
        name: instance.record.container_id
        for state in harness.standin.world.workloads.values()
        for name, instance in state.instances.items()
    }

    def add(instance: str, second: float, text: str) -> None:
        made = line(instance, second, text)
        lines = harness.standin.engine.lines
        harness.do(lambda: lines.setdefault(own[instance], []).append(made))

    add("web.0.g1", 1.5, "GET /a")
    add("web.1.g1", 2.25, "\x1b[2J")
    add("db.0.g1", 2.0, "ready")
    add("web.0.g1", 3, "GET /b")
    add("db.0.g1", 3.1, "slow\tquery")
    return add


MERGED = """\
web.0.g1 | GET /a
db.0.g1  | ready
web.1.g1 | \\x1b[2J
web.0.g1 | GET /b
db.0.g1  | slow\tquery
"""


def test_several_workloads_in_the_order_of_time(cli: Cli, write: Any) -> None:
    assert cli("logs", "web", "db") == (0, MERGED, "")
    assert cli("logs", "db", "web", "db") == (0, MERGED, "")
    assert cli("logs", "db")[1] == "ready\nslow\tquery\n"


def test_one_name_that_is_unknown_stops_it_all(cli: Cli, write: Any) -> None:
    code, out, err = cli("logs", "web", "nosuch")
    assert (code, out) == (1, "")
    assert err.startswith("nodeorch: cannot show the logs of nosuch: there is no workload nosuch")
    assert cli("logs")[0] == 2


def test_grep(cli: Cli, write: Any, harness: Harness) -> None:
    said = cli("logs", "web", "db", "--grep", r"get /|Q?uer[y]$")[1]
    assert said == "db.0.g1  | slow\tquery\n"
    assert cli("logs", "web", "--grep", "(?i)get /[b]")[1] == "web.0.g1 | GET /b\n"
    # What was written is looked at, not what is shown of it.
    assert cli("logs", "web", "--grep", r"\x1b")[1] == "web.1.g1 | \\x1b[2J\n"
    assert cli("logs", "web", "--grep", "x1b")[1] == ""
    said = cli("logs", "web", "--grep", "GET", "--json")[1]
    assert [json.loads(text)["text"] for text in said.splitlines()] == ["GET /a", "GET /b"]
    harness.standin.engine.error = EngineError("timeout", "no answer in 5 s")
    assert "cannot read its log" in cli("logs", "db", "--grep", "nothing")[1]


def test_of_one_instance(cli: Cli, write: Any) -> None:
    for name in ("web.0", "web.0.g1"):
        assert cli("logs", "web", "--instance", name)[1] == "GET /a\nGET /b\n"
    assert cli("logs", "db", "web", "--instance", "web.1") == (0, "\\x1b[2J\n", "")
    for more in ((), ("-f",)):
        code, out, err = cli("logs", "web", "--instance", "web.7", *more)
        assert (code, out) == (1, "")
        assert 'no instance "web.7"; it has web.0.g1, web.1.g1' in err


@pytest.mark.parametrize("pattern", ["(", "[a", "*", "(?P<a", "a{99999999999}"])
def test_a_pattern_that_is_none(cli: Cli, pattern: str) -> None:
    code, _, err = cli("logs", "web", "--grep", pattern)
    assert code == 2
    assert "is not a pattern of Python's re: " in err


def test_since_is_a_time_or_so_long_ago(cli: Cli, write: Any, harness: Harness) -> None:
    assert cli("logs", "web", "db", "--since", "2024-05-01T12:00:03+02:00")[1] == (
        "web.0.g1 | GET /b\ndb.0.g1  | slow\tquery\n"
    )
    assert cli("logs", "web", "--since", "10m")[1] == ""
    assert cli("logs", "web", "--since", "9000d")[1] != ""
    for bad in (
        "yesterday",
        "2024-05-01T10:00:00",
        "2024-05-01",
        "10",
        "9999999d",
        "",
        "0001-01-01T00:00:00+14:00",
    ):
        code, _, err = cli("logs", "web", "--since", bad)
        assert code == 2, bad
        assert "--since" in err


def test_a_colour_for_each_instance_on_a_terminal_alone(
    monkeypatch: pytest.MonkeyPatch, harness: Harness, write: Any
) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert Prefixes(["a", "bc"]).of("a") == "a  | "
    screen = Terminal("logs", "web", socket=harness.socket)
    code, said = screen.ends()
    screen.close()
    assert code == 0
    assert said.startswith("\x1b[36mweb.0.g1 | \x1b[0mGET /a\r\n\x1b[35mweb.1.g1 | \x1b[0m\\x1b[2J")
    monkeypatch.setenv("NO_COLOR", "1")
    screen = Terminal("logs", "web", socket=harness.socket)
    assert screen.ends()[1].startswith("web.0.g1 | GET /a\r\n")
    screen.close()


def test_more_instances_than_colours() -> None:
    prefixes = Prefixes([f"w.{n}.g1" for n in range(50)])
    assert prefixes.of("w.7.g1") == "w.7.g1  | "
    assert prefixes.of("a-new-one.0.g1") == "a-new-one.0.g1 | "
    assert prefixes.of("\x1b") == "\\x1b           | "


def test_several_are_followed(
    harness: Harness, cli: Cli, write: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []

    def collect(self: object, view: Any) -> None:
        seen.append(view["text"])
        if view["text"] == "stop":
            raise KeyboardInterrupt

    monkeypatch.setattr("nodeorch.cli.session.Session.print_line", collect)

    def happen() -> None:
        wait_for(lambda: len(seen) == 5)
        write("db.0.g1", 4.0, "one")
        wait_for(lambda: "one" in seen)
        write("web.1.g1", 5.0, "stop")

    thread = threading.Thread(target=happen)
    thread.start()
    assert cli("logs", "-f", "web", "db", "--json")[0] == 130
    thread.join(10.0)
    assert seen[5:] == ["one", "stop"]


def test_following_several_ends_with_the_last(harness: Harness, cli: Cli, write: Any) -> None:
    def end() -> None:
        wait_for(lambda: len(harness.standin.engine.asked) >= 3)
        for name in ("web", "db"):
            harness.client.delete(f"/v1/workloads/{name}")
        harness.obey()

    thread = threading.Thread(target=end)
    thread.start()
    assert cli("logs", "-f", "web", "db", "--tail", "1")[0] == 0
    thread.join(10.0)


def test_a_second_instance_is_told_apart_from_the_first(
    harness: Harness, cli: Cli, write: Any
) -> None:
    engine = harness.standin.engine

    def grow() -> None:
        wait_for(lambda: engine.asked)
        harness.client.post("/v1/workloads/db/scale", {"replicas": 2})
        harness.obey()
        second = harness.standin.world.workloads["db"].instances["db.1.g1"].record.container_id
        hello = LogLine("db.1.g1", "stdout", "2124-05-01T10:00:02.7Z", "hello")
        harness.do(lambda: engine.lines.setdefault(second, []).append(hello))
        wait_for(lambda: second in [asked["id"] for asked in engine.asked])
        harness.client.delete("/v1/workloads/db")
        harness.obey()

    thread = threading.Thread(target=grow)
    thread.start()
    assert cli("logs", "-f", "db") == (0, "ready\nslow\tquery\ndb.1.g1 | hello\n", "")
    thread.join(10.0)
