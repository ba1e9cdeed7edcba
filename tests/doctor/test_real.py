"""On a real Podman: what is wrong with its settings is found, and the printed fix heals it."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from nodeorch.doctor import trial
from nodeorch.doctor.examine import Told, examine
from nodeorch.doctor.facts import Facts
from nodeorch.doctor.libpod import Libpod
from nodeorch.doctor.read import read
from tests.lab import Lab, wait_for

BARE = """
[containers]
[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
runtime = "{runtime}"
[engine.runtimes]
refusing = ["{refusing}"]
[network]
network_backend = "netavark"
"""
REFUSING = (
    "#!/bin/sh\necho 'the requested cgroup controller `memory` is not available' >&2; exit 1\n"
)


class Other:
    """The lab's storage behind a service with a containers.conf of our own."""

    def __init__(self, lab: Lab, folder: Path, runtime: str = "runc") -> None:
        self.lab, self.socket = lab, str(folder / "podman.sock")
        self.conf, self.config = folder / "containers.conf", folder / "nodeorch.toml"
        refusing = folder / "refusing"
        refusing.write_text(REFUSING)
        refusing.chmod(0o755)
        self.conf.write_text(BARE.format(runtime=runtime, refusing=refusing))
        self.config.write_text(
            f'[podman]\nsocket = "{self.socket}"\n[paths]\nstate = "{folder}/state"\n'
        )
        self.env = {**os.environ, "CONTAINERS_CONF": str(self.conf)}

    @contextlib.contextmanager
    def service(self) -> Iterator[None]:
        command = [*self.lab.command, "system", "service", "--time=0", f"unix://{self.socket}"]
        with subprocess.Popen(command, env=self.env, cwd=self.lab.dir) as process:
            try:
                wait_for(lambda: _answers(self.socket))
                yield
            finally:
                process.terminate()

    def examine(self, *trials: str) -> tuple[Facts, dict[str, Told]]:
        with self.service():
            facts = read(str(self.config), f"{self.config}.none", trials or trial.QUICK)
        return facts, {told.code: told for told in examine(facts)}

    def apply(self, fix: str) -> None:
        """As a person would: "# in FILE, below [TABLE]:", then the line."""
        lines = fix.splitlines()
        at = next(number for number, line in enumerate(lines) if line.startswith("# in "))
        where, line = lines[at : at + 2]
        file, _, table = where.removeprefix("# in ").rstrip(":").partition(", below ")
        text = Path(file).read_text()
        assert file == str(self.conf) and table in text
        key = line.partition(" = ")[0]
        kept = [old for old in text.splitlines() if not old.startswith(f"{key} =")]
        kept.insert(kept.index(table) + 1, line)
        self.conf.write_text("\n".join(kept) + "\n")

    def run(self) -> int:
        command = [*self.lab.command, "run", "--rm", "--network=none", "localhost/bb:1", "true"]
        return subprocess.run(
            command, env=self.env, cwd=self.lab.dir, capture_output=True
        ).returncode


def _answers(socket: str) -> bool:
    with contextlib.suppress(OSError):
        return bool(Libpod(socket).ping())
    return False


@pytest.fixture(autouse=True)
def own(lab: Lab) -> None:
    if lab.foreign:
        pytest.skip("the settings of another engine are not ours to change")


def test_ulimits_that_do_not_fit_are_found_and_the_fix_heals(lab: Lab, tmp_path: Path) -> None:
    other = Other(lab, tmp_path)
    facts, found = other.examine()
    assert facts.service is not None
    assert "runtime-cannot-start" not in found, "nodeorch's own way works"
    if facts.service.may_raise_limits:
        assert "default-ulimits" not in found and other.run() == 0
        return
    assert "rlimit" in found["default-ulimits"].found
    assert other.run() != 0
    other.apply(found["default-ulimits"].fix)
    _, found = other.examine()
    assert "default-ulimits" not in found
    assert other.run() == 0


def test_a_runtime_that_refuses_is_found_and_the_fix_heals(lab: Lab, tmp_path: Path) -> None:
    other = Other(lab, tmp_path, runtime="refusing")
    _, found = other.examine()
    assert "requested cgroup controller" in found["runtime-cannot-start"].found
    assert "default-ulimits" not in found, "one cause, one finding"
    other.apply(found["runtime-cannot-start"].fix)
    facts, found = other.examine(*trial.TRIALS)
    assert "runtime-cannot-start" not in found and "network-cannot-start" not in found
    assert facts.trials["ours"] == facts.trials["network"] == ""


def test_nothing_is_left_of_a_trial(lab: Lab, tmp_path: Path) -> None:
    for runtime in ("runc", "refusing"):
        facts, _ = Other(lab, tmp_path, runtime).examine(*trial.TRIALS)
        assert set(facts.trials) == set(trial.TRIALS)
    assert lab.podman("ps", "--all", "--quiet", "--external") == ""
    assert not list(Path("/var/tmp").glob("nodeorch-doctor-*"))


def test_a_podman_without_a_service_is_asked_all_the_same(
    lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = Other(lab, tmp_path)
    storage = tmp_path / "storage.conf"
    storage.write_text(
        f'[storage]\ndriver = "overlay"\ngraphroot = "{tmp_path}/root"\n'
        f'runroot = "{tmp_path}/run"\n'
    )
    own = f'[engine]\ntmp_dir = "{tmp_path}/libpod"\n'
    other.conf.write_text(other.conf.read_text().replace("[engine]\n", own))
    monkeypatch.setenv("CONTAINERS_CONF", str(other.conf))
    monkeypatch.setenv("CONTAINERS_STORAGE_CONF", str(storage))
    facts = read(str(other.config), f"{other.config}.none", trial.QUICK)
    assert facts.podman_listens is False
    assert facts.podman is not None and facts.podman.graph_root == f"{tmp_path}/root"
    assert facts.trials["ours"] == "" and facts.conf_file == str(other.conf)
    assert "podman-socket-missing" in {told.code for told in examine(facts)}
    looked = read(str(other.config), f"{other.config}.none", ())
    assert looked.podman is None and not looked.trials
    subprocess.run(["umount", f"{tmp_path}/root/overlay"], capture_output=True)
