"""nodeorch doctor, as a person types it."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from nodeorch.adapters.sqlite.schema import MIGRATIONS
from nodeorch.cli.main import run
from nodeorch.doctor import look_node, read
from nodeorch.doctor.examine import CHECKS
from nodeorch.doctor.facts import Facts
from tests.api.harness import WEB, Harness
from tests.cli import golden
from tests.cli.conftest import Cli
from tests.doctor.healthy import HEALTHY

ROOT = Path(__file__).parents[2]
NOBODY = 65534


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch) -> list[Facts]:
    """Put facts into it: the last ones are seen."""
    seen: list[Facts] = [HEALTHY]
    monkeypatch.setattr(read, "read", lambda *_: seen[-1])
    return seen


def ill(**change: object) -> Facts:
    from msgspec.structs import replace

    return replace(HEALTHY, **change)


def test_all_is_well(cli: Cli, host: list[Facts]) -> None:
    assert cli("doctor") == (0, f"{len(CHECKS)} checks: all is well\n", "")
    code, out, _ = cli("doctor", "--json")
    assert (code, json.loads(out)) == (0, {"ok": True, "findings": [], "unseen": []})


def test_what_is_printed(cli: Cli, host: list[Facts]) -> None:
    host.append(
        ill(
            psi=False,
            podman_listens=False,
            settings_problems=("nodeorch.toml:1:1: error\x1b[31m",),
            journald=False,
            unseen=("the database: permission denied",),
        )
    )
    code, out, err = cli("doctor")
    assert (code, err) == (1, "")
    golden.check("doctor", out.replace(f"\n{len(CHECKS)} checks:", "\nN checks:"))


def test_warnings_fail_only_when_strict(cli: Cli, host: list[Facts]) -> None:
    host.append(ill(synchronised=False))
    assert cli("doctor")[0] == 0
    assert cli("doctor", "--strict")[0] == 1
    host.append(ill(psi=False))
    assert cli("doctor", "--strict")[0] == 0


def test_the_daemon_is_asked(harness: Harness, cli: Cli, tmp_path: Path) -> None:
    harness.declare(WEB)
    config = tmp_path / "doctor.toml"
    config.write_text(f'[podman]\nsocket = "{tmp_path}/none.sock"\n')
    code, out, _ = cli("doctor", "--no-trial", "--config", str(config), "--json")
    found = {finding["code"] for finding in json.loads(out)["findings"]}
    assert code == 1
    assert "podman-socket-missing" in found
    assert not {code for code in found if code.startswith("daemon-")}
    nowhere = ("--socket", str(tmp_path / "nowhere"))
    code, out, _ = cli(*nowhere, "doctor", "--no-trial", "--config", str(config), "--json")
    assert "daemon-down" in {finding["code"] for finding in json.loads(out)["findings"]}


def as_nobody(*arguments: str) -> dict[str, Any]:
    """In a child that gives up root; what it needs is imported, as it may not read our files."""
    come, go = os.pipe()
    if (child := os.fork()) == 0:
        code = 99
        with contextlib.suppress(BaseException):
            os.dup2(go, 1)
            sys.stdout = os.fdopen(1, "w")
            os.setgroups([])
            os.setgid(NOBODY)
            os.setuid(NOBODY)
            code = run(list(arguments))
        os._exit(code)
    os.close(go)
    with os.fdopen(come) as answer:
        view: dict[str, Any] = json.loads(answer.read())
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) in (0, 1)
    return view


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_somebody_else_is_told_what_was_not_seen(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    (closed / "w").mkdir()
    config = tmp_path / "nodeorch.toml"
    config.write_text(
        f'[podman]\nsocket = "{closed}/podman.sock"\n'
        f'[paths]\nstate = "{closed}"\nsocket = "{closed}/n.sock"\nworkloads = "{closed}/w"\n'
    )
    for folder in (tmp_path, *tmp_path.parents[:3]):
        folder.chmod(folder.stat().st_mode | 0o011)
    view = as_nobody("doctor", "--config", str(config), "--json")
    words = "\n".join(view["unseen"])
    for part in (
        "the database",
        f"{closed}/w",
        "Podman: no permission",
        "whether containers start",
    ):
        assert part in words
    assert "daemon-denied" in {finding["code"] for finding in view["findings"]}


def test_it_knows_the_newest_schema_of_the_database() -> None:
    """Whoever adds a migration raises KNOWN_SCHEMA. It cannot be imported: that loads asyncio."""
    assert len(MIGRATIONS) == look_node.KNOWN_SCHEMA


def test_it_loads_nothing_heavy() -> None:
    code = (
        "import sys; from nodeorch.cli.main import run; run(['doctor', '--no-trial']);"
        "print(*sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=30
    )
    loaded = set(done.stdout.splitlines()[-1].split())
    assert "nodeorch.doctor.examine" in loaded
    assert not loaded & {"asyncio", "aiohttp", "podman", "sqlite3", "nodeorch.adapters"}
