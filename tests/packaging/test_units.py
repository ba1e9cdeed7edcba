"""The systemd units keep what the manual promises."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from nodeorch.cluster import folder
from nodeorch.cluster.place import DEFAULT, Place
from nodeorch.spec.settings import Settings

UNITS = Path(__file__).parents[2] / "systemd"


def settings(name: str) -> list[str]:
    lines = (UNITS / name).read_text().splitlines()
    return [line for line in lines if line and not line.startswith("#")]


@pytest.mark.parametrize(
    "line",
    [
        "Type=notify",
        "Restart=always",
        "KillMode=mixed",
        "RuntimeDirectoryPreserve=yes",
        "CapabilityBoundingSet=",
        "NoNewPrivileges=yes",
    ],
)
def test_the_daemon_is_guarded(line: str) -> None:
    assert line in settings("nodeorchd.service")


def test_what_the_manual_names_in_usr_share_is_installed() -> None:
    """packaging/install runs on whole machines alone; here only its list is looked at."""
    text = (UNITS.parent / "packaging" / "install").read_text()
    lines = re.findall(r"-t (/usr/share/nodeorch\S*) \"\$REPO\"/(\S+)", text)
    found = {f"{folder}/{path.name}" for folder, glob in lines for path in UNITS.parent.glob(glob)}
    share = "/usr/share/nodeorch"
    assert found == {
        f"{share}/workload.schema.json",
        f"{share}/settings.schema.json",
        f"{share}/prometheus/nodeorch.rules.yml",
        f"{share}/prometheus/prometheus.yml",
        f"{share}/grafana/nodeorch.json",
    }


def test_a_stop_of_the_daemon_stops_nothing_else() -> None:
    """Nothing pulls the unit that stops workloads down with the daemon."""
    text = "\n".join(settings("nodeorch-shutdown.service"))
    for bond in ("Requires=", "BindsTo=", "PartOf=", "StopPropagatedFrom="):
        assert bond not in text
    assert "RefuseManualStop=yes" in text


def test_serf_is_its_own_unit_and_comes_back() -> None:
    """A daemon that stops must not look like a host that fails, whoever of the two is stopped."""
    for bond in ("Requires=", "BindsTo=", "PartOf=", "StopPropagatedFrom=", "Requisite="):
        for name in ("nodeorch-serf.service", "nodeorchd.service"):
            assert bond not in "\n".join(settings(name))
    lines = settings("nodeorch-serf.service")
    assert "Restart=always" in lines
    assert "StartLimitIntervalSec=0" in lines
    [start] = [line for line in lines if line.startswith("ExecStart=")]
    config = start.split()[-1]
    assert f"ConditionPathExists={config}" in lines
    assert "key" not in start, "secrets are in files"


def test_the_unit_and_the_commands_mean_the_same_files() -> None:
    here = Place(Path(DEFAULT), Settings(), ())
    lines = settings("nodeorch-serf.service")
    assert f"ExecStart=/usr/bin/serf agent -config-file {here.files / folder.SERF}" in lines
    assert f"ReadWritePaths={here.files / folder.RING}" in lines
    assert f"StateDirectory={here.snapshot.parent.relative_to('/var/lib')}" in lines
    assert f"ReadWritePaths=-{here.files}" in settings("nodeorchd.service")


@pytest.mark.parametrize("name", sorted(path.name for path in UNITS.glob("*.service")))
def test_systemd_reads_it(name: str, tmp_path: Path) -> None:
    """But for the programs, which are not where this test runs."""
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not installed")
    unit = tmp_path / name
    text = re.sub(r"^(Exec\w+)=\S+", r"\1=/bin/true", (UNITS / name).read_text(), flags=re.M)
    unit.write_text(text)
    done = subprocess.run(["systemd-analyze", "verify", unit], capture_output=True, text=True)
    assert [line for line in done.stderr.splitlines() if name in line] == []


@pytest.mark.parametrize(
    "name", ["nodeorchd.service", "nodeorch-shutdown.service", "nodeorch-serf.service"]
)
def test_exposure_is_low(name: str) -> None:
    """systemd's own score; 9.6 is a unit with no hardening at all."""
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not installed")
    done = subprocess.run(
        ["systemd-analyze", "security", "--offline=yes", "--threshold=25", UNITS / name],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr
    assert "Overall exposure level" in done.stdout
