"""Config files and env files of real containers: seen inside, changed outside, rolled back."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lab.wait import wait_for
from tests.system.host import Host, alive
from tests.system.kit import clear, until_event

SETTINGS = '[volumes]\nallowed = ["{base}"]\n'


@pytest.fixture
def host(shared: Host) -> Iterator[Host]:
    yield shared
    clear(shared)


SHOW = "cat /etc/app/app.conf >> /share/seen; echo $WORD >> /share/seen; exec sleep 100000"


def declare(host: Host, share: Path, more: str, top: str = "") -> None:
    host.declare(
        "app",
        f"""\
[workload]
name = "app"
image = "localhost/bb:1"
command = ["sh", "-c", "{SHOW}"]
networks = ["none"]
{top}
[resources]
memory = "32MiB"
[security]
user = "1000"
[stop]
grace = "100ms"
[update]
settle = "100ms"
[[volumes]]
source = "{share}"
target = "/share"
{more}
""",
    )


@pytest.fixture
def share(tmp_path: Path) -> Path:
    share = tmp_path / "share"
    share.mkdir()
    share.chmod(0o777)  # for user 1000
    return share


def seen(share: Path) -> list[str]:
    file = share / "seen"
    return file.read_text().split() if file.exists() else []


def until_seen(share: Path, *words: str) -> None:
    wait_for(lambda: seen(share) == [*words], 20, f"{words}, not {seen(share)}")


def reload(host: Host) -> None:
    os.kill(host.pid, signal.SIGHUP)


def file(more: str) -> str:
    return f'[[files]]\ntarget = "/etc/app/app.conf"\n{more}\n'


def test_a_source_is_seen_inside_and_its_change_replaces_and_goes_back(
    host: Host, tmp_path: Path, share: Path
) -> None:
    source = tmp_path / "app.conf"
    source.write_text("one\n")
    declare(host, share, file(f'source = "{source}"'))
    host.running("app")
    until_seen(share, "one")

    source.write_text("two\n")
    reload(host)
    until_seen(share, "one", "two")
    host.until("app", lambda w: w["state"] == "running" and w["generation"] == 2)
    words = until_event(host, "SpecAccepted", "app", "generation 2")["words"]
    assert "files /etc/app/app.conf sha256:" in words and "(recreate)" in words

    host.cli("rollback", "app")
    until_seen(share, "one", "two", "one")
    host.until("app", lambda w: w["state"] == "running" and w["generation"] == 1)
    assert not any((host.state / "files" / "app").glob("*.new"))


def test_content_of_the_spec_is_mended_and_told_to_nobody(
    host: Host, share: Path, tmp_path: Path
) -> None:
    declare(host, share, file('content = """\nsentinel-3141\n"""'))
    first = host.running("app")["instances"][0]
    until_seen(share, "sentinel-3141")
    (copy,) = (host.state / "files" / "app").glob("*.0444")
    copy.unlink()
    os.kill(first["pid"], signal.SIGKILL)
    until_seen(share, "sentinel-3141", "sentinel-3141")
    assert copy.read_text() == "sentinel-3141\n"
    pid = host.running("app")["instances"][0]["pid"]
    mounts = Path(f"/proc/{pid}/mountinfo").read_text()
    (mine,) = [line for line in mounts.splitlines() if " /etc/app/app.conf " in line]
    assert mine.split()[5].split(",")[0] == "ro"

    told = [
        host.client.get(path) for path in ("/v1/status", "/v1/workloads/app/history", "/v1/plan")
    ]
    assert "sentinel-3141" not in json.dumps(told)
    assert "sentinel-3141" not in host.cli("events") + host.cli("why", "app") + host.journal()
    for database in host.state.glob("nodeorch.db*"):
        assert b"sentinel-3141" not in database.read_bytes()

    changed = (host.specs / "app.toml").read_text().replace("3141", "2718")
    text = tmp_path / "app.toml"
    text.write_text(changed)
    plan = host.cli("apply", "--dry-run", str(text), check=False)
    assert "files /etc/app/app.conf" in plan and "sha256:" in plan
    assert "sentinel" not in plan
    assert alive(pid)


def test_an_env_file_that_changes_replaces(host: Host, tmp_path: Path, share: Path) -> None:
    env = tmp_path / "env"
    env.write_text("WORD=first\n")
    declare(host, share, file('content = ""'), f'env_file = "{env}"')
    host.running("app")
    until_seen(share, "first")
    env.write_text("WORD=second\n")
    reload(host)
    until_seen(share, "first", "second")
    env.unlink()
    reload(host)
    until_event(host, "SpecRejected", "app", "cannot read")
    assert host.running("app")["generation"] == 2
