"""A host that stalls, as the kernel's files would tell it: recorded ones lie over them here."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lab import Lab
from tests.system.host import Host
from tests.system.kit import node, one_host, runs, until_event

LINE = "{kind} avg10={percent:.2f} avg60=0.00 avg300=0.00 total=1\n"
RULES = '[pressure]\nmemory = 20\nrest = "1s"\n'


def stalled(percent: float) -> str:
    return "".join(LINE.format(kind=kind, percent=percent) for kind in ("some", "full"))


@pytest.fixture
def files(tmp_path: Path) -> Iterator[Path]:
    """What /proc/pressure shows, in the tests' own mount namespace."""
    for name in ("cpu", "memory", "io"):
        (tmp_path / name).write_text(stalled(0))
    subprocess.run(["mount", "--bind", str(tmp_path), "/proc/pressure"], check=True)
    try:
        yield tmp_path
    finally:
        subprocess.run(["umount", "/proc/pressure"], check=True)


def test_the_expendable_is_evicted_and_comes_back(lab: Lab, files: Path) -> None:
    with one_host(lab, RULES) as host:
        host.sleeper("db")
        idle = host.declare("idle", _idle(host))
        assert idle.exists()
        host.running("db")
        host.running("idle")
        before = runs(host)["db.0.g1"]
        (files / "memory").write_text(stalled(37.5))
        host.until("idle", lambda w: w["state"] == "pending" and "38 %" in w["reason"])
        assert any("memory pressure" in words for words in node(host)["warnings"])
        assert until_event(host, "Evicted", "idle")
        assert "evicted: memory pressure is 38 %" in host.cli("why", "idle")
        (files / "memory").write_text(stalled(0))
        host.running("idle")
        assert runs(host)["db.0.g1"] == before
        assert node(host)["warnings"] == []


def _idle(host: Host) -> str:
    text = (host.specs / "db.toml").read_text()
    return text.replace('"db"', '"idle"').replace("replicas", "priority = -1\nreplicas")
