"""Hooks of real containers, and a migration that has to end before the app begins."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lab.wait import wait_for
from tests.system.host import Host
from tests.system.kit import clear, until_event

SETTINGS = '[volumes]\nallowed = ["{base}"]\n'


@pytest.fixture
def host(shared: Host) -> Iterator[Host]:
    yield shared
    clear(shared)


def declare(host: Host, name: str, share: Path, script: str, more: str = "", top: str = "") -> None:
    host.declare(
        name,
        f"""\
[workload]
name = "{name}"
image = "localhost/bb:1"
command = ["sh", "-c", '''{script}''']
{top}
[resources]
memory = "32MiB"
[restart]
policy = "on-failure"
backoff = {{ initial = "20ms", max = "50ms" }}
[[volumes]]
source = "{share}"
target = "/share"
{more}
""",
    )


def say(word: str) -> str:
    return f"echo {word} >> /share/log"


def sh(script: str) -> str:
    return f"exec = ['sh', '-c', '{script}']"


SERVE = f'trap "{say("term")}; exit 0" TERM; {say("up")}; while :; do sleep 0.05; done'


def log(share: Path) -> list[str]:
    file = share / "log"
    return file.read_text().split() if file.exists() else []


def test_hooks_after_the_start_and_before_the_signal(host: Host, tmp_path: Path) -> None:
    post = f"[hooks.post_start]\n{sh(say('hook') + '; echo not yet; test -e /share/good')}\n"
    pre = f"[hooks.pre_stop]\n{sh(say('leave'))}\n[stop]\ngrace = '5s'\n"
    declare(host, "app", tmp_path, SERVE, post + pre)
    words = 'exit code 1, output "not yet"'
    until_event(host, "HookFailed", "app", words)
    seen = host.until("app", lambda w: w["instances"] and w["instances"][0]["failures"] >= 2)
    assert seen["ready"] == 0
    assert not any(e in ("leave", "term") for e in log(tmp_path)[:2]), log(tmp_path)

    (tmp_path / "good").touch()
    host.running("app")
    assert log(tmp_path)[-2:] == ["up", "hook"]
    host.cli("stop", "app")
    host.until("app", lambda w: w["state"] == "stopped")
    assert log(tmp_path)[-4:] == ["up", "hook", "leave", "term"]
    assert "pre-stop hook passed" in host.cli("why", "app")


def test_an_http_hook_knocks_until_the_server_listens(host: Host, tmp_path: Path) -> None:
    (tmp_path / "warm").write_text("warm")
    post = '[hooks.post_start]\nhttp = { port = 8080, path = "/warm", body = "warm" }\n'
    script = "sleep 0.5; exec httpd -f -p 8080 -h /share"
    declare(host, "late", tmp_path, script, post + "[stop]\ngrace = '100ms'\n")
    host.running("late")
    assert host.instance("late")["restarts"] == 0
    until_event(host, "Hook", "late", "post-start hook passed: GET /warm: status 200")


def test_a_daemon_that_is_killed_does_not_run_an_answered_hook_again(
    host: Host, tmp_path: Path
) -> None:
    post = f"[hooks.post_start]\n{sh(say('hook'))}\n[stop]\ngrace = '100ms'\n"
    declare(host, "app", tmp_path, "sleep 100000", post)
    before = host.running("app")["instances"][0]
    until_event(host, "Ready", "app")  # on disk, and so is what made it ready
    host.kill()
    host.start()
    after = host.running("app")["instances"][0]
    assert after["pid"] == before["pid"]
    assert log(tmp_path) == ["hook"]


def test_a_migration_ends_before_the_app_begins(host: Host, tmp_path: Path) -> None:
    declare(host, "app", tmp_path, SERVE, "[stop]\ngrace='1s'", 'needs = { migrate = "completed" }')
    waits = "waits for migrate"
    seen = host.until("app", lambda w: waits in w["reason"])
    assert seen["state"] == "pending"
    script = f"{say('begin')}; until test -e /share/go; do sleep 0.05; done; {say('migrated')}"
    declare(host, "migrate", tmp_path, script)
    host.running("migrate")
    words = "waits for migrate to be completed"
    assert host.until("app", lambda w: words in w["reason"])["ready"] == 0
    assert log(tmp_path) == ["begin"]
    (tmp_path / "go").touch()
    host.running("app")
    wait_for(lambda: log(tmp_path) == ["begin", "migrated", "up"], 10, "one after the other")
    assert host.one("migrate")["state"] == "completed"
