"""What people see of several hosts."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from msgspec.structs import replace

from nodeorch.model.world import Code, Why
from tests.api import fleets
from tests.api.harness import WEB, Harness, spec
from tests.cli import golden
from tests.cli.conftest import Cli

ALONE = "this host is alone; `nodeorch cluster init` begins a fleet\n"


def trouble(harness: Harness) -> None:
    brake = Why(Code.CUT_OFF, "2 of 2 other hosts vanished at once")
    fleets.change(harness, brake=brake, serf_trouble="connection refused\x1b[2J")


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("members", ["members"]),
        ("homes", ["home", "list"]),
        ("status-fleet", ["status"]),
        ("status-elsewhere", ["status", "web"]),
        ("status-copy", ["status", "cache"]),
        ("why-elsewhere", ["why", "web", "--last", "1"]),
        ("why-absent", ["why", "afar"]),
    ],
)
def test_golden(harness: Harness, cli: Cli, name: str, arguments: list[str]) -> None:
    fleets.furnish(harness)
    code, out, err = cli(*arguments)
    assert (code, err) == (0, "")
    golden.check(name, out)


def test_the_troubles_of_the_fleet_are_told_by_members_and_status(
    harness: Harness, cli: Cli
) -> None:
    fleets.furnish(harness)
    trouble(harness)
    golden.check("members-troubles", cli("members")[1])
    told = (
        "! nothing is taken over: 2 of 2 other hosts vanished at once\n"
        "! Serf does not answer: connection refused\\x1b[2J\n"
    )
    assert cli("members")[1].endswith(told)
    assert cli("status")[1].endswith(told)


def test_conflicts_and_orphans_are_told(harness: Harness, cli: Cli) -> None:
    fleets.furnish(harness)
    hosts = {**fleets.fleet().hosts, "h2": fleets.h2(cache=fleets.running("h3"))}
    fleets.change(harness, hosts=hosts)
    out = cli("home", "list")[1]
    assert "! cache: h1 and h2 both run replica 0\n" in out
    assert "! lost: its home does not know it any more; `nodeorch home take lost`\n" in out


def test_a_host_that_is_alone_says_so(harness: Harness, cli: Cli) -> None:
    harness.declare(WEB)
    assert cli("members") == (0, ALONE, "")
    assert cli("home", "list") == (0, ALONE, "")
    assert "HOST" not in cli("status")[1]
    code, out, err = cli("home", "take", "web")
    assert (code, out) == (1, "")
    assert err == ("nodeorch: cannot take web: this host is in no fleet; see `nodeorch members`\n")


def test_a_fleet_without_anything_that_moves(harness: Harness, cli: Cli) -> None:
    fleets.furnish(harness)
    fleets.change(harness, views={}, view=None, claims={})
    assert "no workload of this fleet may move" in cli("home", "list")[1]


@pytest.mark.parametrize("arguments", [["members"], ["home", "list"], ["home", "take", "afar"]])
def test_json_before_and_after_the_verb(harness: Harness, cli: Cli, arguments: list[str]) -> None:
    fleets.furnish(harness)
    code, out, err = cli(*arguments, "--json")
    assert (code, err) == (0, "")
    json.loads(out)
    assert cli("--json", *arguments) == (0, out, "")


def test_take(harness: Harness, cli: Cli) -> None:
    fleets.furnish(harness)
    assert cli("home", "take", "afar", "--dry-run") == (
        0,
        "afar: its home would be this host, no more h3\ndry run: nothing was changed\n",
        "",
    )
    assert cli("home", "take", "afar", "--force") == (0, "afar: its home is h1\n", "")
    [wish] = harness.standin.wished
    assert (wish[0], wish[1], wish[3]) == ("take", "afar", True)
    code, _, err = cli("home", "take", "pinned")
    assert (code, err) == (
        1, "nodeorch: cannot take pinned: its home h2 is up; change it there\n",
    )  # fmt: skip
    assert cli("home", "take", "../x")[0] == 2


def test_what_is_not_here_is_changed_at_its_home(harness: Harness, cli: Cli) -> None:
    fleets.furnish(harness)
    code, out, err = cli("stop", "afar")
    assert (code, out) == (1, "")
    assert err == (
        "nodeorch: cannot stop afar: its home is h3; do it there, or `nodeorch home take afar`\n"
    )


def test_a_plan_says_where_what_changes_belongs(harness: Harness, cli: Cli, tmp_path: Path) -> None:
    fleets.furnish(harness)
    (tmp_path / "web.toml").write_text(spec("web", image="localhost/web:2"))
    standin = harness.standin

    def moved(world: object, fact: object) -> object:
        web = standin.world.workloads["web"]
        main = replace(web.workload.main, image="localhost/web:2")
        target = replace(web.record.target, workload=replace(web.workload, main=main))
        web = replace(web, record=replace(web.record, target=target))
        return replace(standin.world, workloads={**standin.world.workloads, "web": web})

    standin.absorb = moved  # type: ignore[method-assign, assignment]
    code, out, _ = cli("plan", str(tmp_path))
    assert code == 2
    golden.check("plan-fleet", out)


def test_who_asks_for_what_is_elsewhere_is_told_where(cli: Cli, harness: Harness) -> None:
    fleets.furnish(harness)
    code, out, err = cli("logs", "web")
    assert (code, out) == (1, "")
    assert err.startswith("nodeorch: cannot show the logs of web: it runs on h2 since ")
    afar = "afar is not on this host, its home is h3; see `nodeorch why afar`"
    assert cli("logs", "afar") == (1, "", f"nodeorch: cannot show the logs of afar: {afar}\n")
    assert afar in cli("status", "afar")[2]
    assert "its home is h3, see there" in cli("wait", "afar", "--timeout", "0s")[2]
