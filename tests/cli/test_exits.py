"""Exit codes and errors, by the real process where that matters."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from nodeorch.cli import exits
from nodeorch.cli.main import VERBS
from tests.api.harness import WEB, Harness
from tests.cli.conftest import Cli

ROOT = Path(__file__).parents[2]


def nodeorch(*arguments: str, **options: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # type: ignore[call-overload,no-any-return]
        [sys.executable, "-m", "nodeorch.cli.main", *arguments],
        cwd=ROOT,
        text=True,
        timeout=30,
        capture_output=True,
        **options,
    )


def test_nobody_there(tmp_path: Path) -> None:
    path = tmp_path / "none.sock"
    done = nodeorch("--socket", str(path), "status")
    assert done.returncode == exits.UNREACHABLE == 69
    assert done.stdout == ""
    assert done.stderr == (
        f"nodeorch: cannot reach nodeorchd at {path}: no such file or directory; "
        "is it running? systemctl status nodeorchd\n"
    )


def test_nobody_listens(tmp_path: Path) -> None:
    path = tmp_path / "dead.sock"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    done = nodeorch("status", env={**os.environ, "NODEORCH_SOCKET": str(path)})
    assert done.returncode == 69
    assert f"at {path}: connection refused; is it running?" in done.stderr


def test_who_answers_nonsense_is_unreachable(tmp_path: Path, cli: Cli) -> None:
    path = tmp_path / "odd.sock"
    with socket.socket(socket.AF_UNIX) as odd:
        odd.bind(str(path))
        odd.listen()
        process = subprocess.Popen(
            [sys.executable, "-m", "nodeorch.cli.main", "--socket", str(path), "status"],
            cwd=ROOT, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        peer, _ = odd.accept()
        peer.recv(1000)
        peer.sendall(b"SSH-2.0-OpenSSH\r\n")
        peer.close()
        _, err = process.communicate(timeout=30)
    assert process.returncode == 69
    assert "cannot reach nodeorchd" in err


@pytest.mark.skipif(os.geteuid() != 0, reason="becomes another user")
def test_no_permission(harness: Harness, tmp_path: Path) -> None:
    folder = harness.socket.parent
    while folder != folder.parent and str(folder).startswith("/tmp/"):
        os.chmod(folder, 0o755)
        folder = folder.parent
    code = (
        "import os, sys; sys.path.insert(0, sys.argv.pop(1)); from nodeorch.cli.main import main; "
        "import nodeorch.client.unix, nodeorch.cli.status, nodeorch.cli.render; "
        "os.setgroups([]); os.setgid(65534); os.setuid(65534); main()"
    )
    arguments = [sys.executable, "-c", code, str(ROOT), "--socket", str(harness.socket), "status"]
    done = subprocess.run(arguments, capture_output=True, text=True, timeout=30)
    assert done.returncode == exits.NO_PERMISSION == 77, done.stderr
    assert "permission denied; be root or a member of the socket's group" in done.stderr
    os.chmod(harness.socket, 0o666)  # the daemon says no, too
    done = subprocess.run(arguments, capture_output=True, text=True, timeout=30)
    assert done.returncode == 77
    assert "uid 65534 is not permitted" in done.stderr


def test_too_late(harness: Harness, cli: Cli) -> None:
    code, _, err = cli("wait", "web", "--timeout", "1ms")
    assert code == exits.TIMEOUT == 75
    assert "there is no such workload" in err


@pytest.mark.parametrize(
    "arguments",
    [["nosuch"], ["status", "../x"], ["status", "Web"], ["wait", "web", "--timeout", "30"],
     ["wait", "web", "--for", "joy"], ["restart"], ["apply"], ["scale", "web"],
     ["events", "--last", "-1"], ["logs", "web", "--since", "yesterday"]],
)  # fmt: skip
def test_wrong_usage(cli: Cli, arguments: list[str]) -> None:
    code, out, err = cli(*arguments)
    assert (code, out) == (2, "")
    assert err.startswith("Usage: ")


def test_a_bare_number_for_a_time_is_told_its_unit(cli: Cli) -> None:
    assert 'write "30s"' in cli("wait", "web", "--timeout", "30")[2]


def test_refusals(harness: Harness, cli: Cli) -> None:
    code, _, err = cli("restart", "nosuch")
    assert code == exits.REFUSED == 1
    assert err == (
        "nodeorch: cannot restart nosuch: there is no workload nosuch; see `nodeorch status`\n"
    )


def test_plan(harness: Harness, cli: Cli) -> None:
    harness.declare(WEB)
    assert cli("plan") == (0, "nothing to do\n", "")
    assert cli("--json", "plan")[0] == 0
    cli("scale", "web", "2")
    assert cli("plan")[0] == exits.CHANGES == 2
    assert cli("--json", "plan")[0] == 2


def test_a_reader_that_goes_away_is_no_error(harness: Harness) -> None:
    for _ in range(200):
        harness.do(lambda: harness.standin.say("x" * 1000))
    arguments = f"{sys.executable} -m nodeorch.cli.main --socket {harness.socket} events --after 0"
    done = subprocess.run(
        ["bash", "-c", f"{arguments} | head -c 10; echo ${{PIPESTATUS[0]}}"],
        cwd=ROOT, capture_output=True, text=True, timeout=30,
    )  # fmt: skip
    assert done.stdout.splitlines()[-1].endswith("141")
    assert done.stderr == ""


def test_every_verb_has_help_and_json(cli: Cli) -> None:
    for verb in VERBS:
        code, out, err = cli(verb, "--help")
        assert (code, err) == (0, "")
        assert "--json" in out


def test_status_imports_nothing_heavy(harness: Harness) -> None:
    code = (
        "import sys; from nodeorch.cli.main import run; "
        "run(['--socket', sys.argv[1], 'status']); print(*sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(harness.socket)],
        cwd=ROOT, capture_output=True, text=True, timeout=30, check=True,
    )  # fmt: skip
    loaded = set(done.stdout.split())
    assert "nodeorch.cli.status" in loaded
    heavy = {"asyncio", "aiohttp", "podman", "msgspec", "rich", "tomllib", "unittest"}
    assert not loaded & heavy
    verbs = {f"nodeorch.cli.{verb}" for verb in VERBS} - {"nodeorch.cli.status"}
    assert not loaded & verbs


def test_the_documentation_names_every_verb_and_code() -> None:
    text = (ROOT / "docs" / "cli.md").read_text()
    verbs = set(re.findall(r"^\| `nodeorch ([a-z]+)", text, re.MULTILINE))
    assert verbs == set(VERBS)
    codes = {int(code) for code in re.findall(r"^\| (\d+) \|", text, re.MULTILINE)}
    known = {value for name, value in vars(exits).items() if name.isupper()}
    assert codes == known | {78, 130, 141}
