"""What several system tests ask of a host."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.lab import Lab
from tests.lab.wait import wait_for
from tests.system.host import Host

ROOT = Path(__file__).parents[2]
View = dict[str, Any]


@contextmanager
def one_host(lab: Lab, more: str = "") -> Iterator[Host]:
    """A started daemon for the tests of one module; ``more``: lines of its configuration."""
    host = Host(lab)
    try:
        configure(host, more)
        yield host.start()
    finally:
        host.close()
        lab.remove_all()


def configure(host: Host, more: str) -> None:
    folder = host.dir / "nodeorch.d"
    folder.mkdir(exist_ok=True)
    (folder / "test.toml").write_text(more)


def clear(host: Host) -> None:
    """Remove every workload and what was left of broken files, as a person would."""
    for path in host.specs.iterdir():
        if path.is_dir() and not path.is_symlink():
            path.rmdir()
        else:
            path.unlink()

    def gone() -> bool:
        if node(host)["brake"]:
            run(host, "confirm")
        return not host.status() and not node(host)["rejected"]

    wait_for(gone, 30, "all workloads are gone")


def run(host: Host, *args: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    """``nodeorch ARGS``, whatever its exit code."""
    return subprocess.run(
        [sys.executable, "-m", "nodeorch.cli.main", "--socket", str(host.socket), *args],
        input=stdin,
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )


def as_json(host: Host, *args: str) -> Any:
    """What ``nodeorch --json ARGS`` prints."""
    return json.loads(host.cli("--json", *args))


def node(host: Host) -> View:
    view: View = host.client.get("/v1/node")
    return view


def events(host: Host, code: str | None = None, workload: str | None = None) -> list[View]:
    query = {"last": 10_000, "workload": workload}
    return [e for e in host.client.stream("/v1/events", query) if code in (None, e["code"])]


def until_event(
    host: Host, code: str, workload: str | None = None, words: str = "", deadline: float = 20.0
) -> View:
    """The first event with this code whose words contain ``words``."""

    def look() -> View | None:
        found = events(host, code, workload)
        return next((e for e in found if words in e["words"]), None)

    found = wait_for(look, deadline, f"{code} {words}\n{host.journal()}")
    assert found is not None
    return found


Runs = dict[str, tuple[str, int, str]]


def runs(host: Host) -> Runs:
    """instance → (container id, pid, start time): what must not change under work that is well."""
    return {
        i["name"]: (i["container_id"], i["pid"], i["started_at"])
        for w in host.status()
        for i in w["instances"]
    }


def until_runs(host: Host, before: Runs) -> None:
    """For a new daemon: the first listing tells start times in whole seconds, looks follow."""
    patiently(lambda: _same(host, before))


def _same(host: Host, before: Runs) -> None:
    now = runs(host)
    assert now == before, f"{now} is not {before}\n{host.journal()[-4000:]}"


def until_rejected(host: Host, name: str, words: str) -> str:
    """Wait until the file NAME is rejected for a reason with these words; the reason."""

    def look() -> str:
        said: str = node(host)["rejected"].get(name, "")
        return said if words in said else ""

    try:
        return wait_for(look, 10)
    except AssertionError:
        said = node(host)["rejected"]
        raise AssertionError(f"{name} is not rejected with {words!r}: {said}") from None


def patiently(check: Callable[[], object], deadline: float = 10.0) -> None:
    """Until ``check`` raises no AssertionError any more."""
    last: list[AssertionError] = []

    def look() -> bool:
        try:
            check()
        except AssertionError as error:
            last[:] = [error]
            return False
        return True

    try:
        wait_for(look, deadline)
    except AssertionError:
        raise last[0] from None
