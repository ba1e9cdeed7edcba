"""The systemd units keep what the manual promises."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

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


@pytest.mark.parametrize("name", ["nodeorchd.service", "nodeorch-shutdown.service"])
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
