"""quickstart leaves alone what is not its own. That it works is proved by running it."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

QUICKSTART = Path(__file__).parents[2] / "packaging" / "quickstart"

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="quickstart needs root")


def run(folder: Path, *args: str) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "NODEORCH_QUICKSTART_DIR": str(folder)}
    return subprocess.run(
        [QUICKSTART, *args], env=env, capture_output=True, text=True, stdin=subprocess.DEVNULL
    )


@pytest.mark.parametrize("args", [(), ("--down",)])
def test_a_folder_of_somebody_else_is_refused_and_kept(
    tmp_path: Path, args: tuple[str, ...]
) -> None:
    (tmp_path / "precious").write_text("data")
    done = run(tmp_path, *args)
    assert done.returncode == 1
    assert "cannot " in done.stderr
    assert "NODEORCH_QUICKSTART_DIR" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["precious"]


def test_down_without_up_is_fine(tmp_path: Path) -> None:
    done = run(tmp_path / "absent", "--down")
    assert (done.returncode, done.stderr) == (0, "")
    assert "nothing to remove" in done.stdout


def test_an_unknown_argument_is_a_usage_error(tmp_path: Path) -> None:
    assert run(tmp_path / "absent", "--frobnicate").returncode == 2
    assert not (tmp_path / "absent").exists()
