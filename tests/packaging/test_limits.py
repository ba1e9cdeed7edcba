"""packaging/limits.py finds what is too long."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

LIMITS = Path(__file__).parents[2] / "packaging" / "limits.py"


def run(*files: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, LIMITS, *files], capture_output=True, text=True)


def function(lines: int) -> str:
    return "async def long_one():\n" + "    pass\n" * (lines - 1)


def test_what_is_just_short_enough_passes(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text(function(50))
    (tmp_path / "b.sh").write_text("true\n" * 400)
    done = run(tmp_path / "a.py", tmp_path / "b.sh")
    assert (done.returncode, done.stdout) == (0, "all within limits\n")


def test_a_long_function_is_named_with_its_place(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("\n" + function(51))
    done = run(tmp_path / "a.py")
    assert done.returncode == 1
    assert f"{tmp_path}/a.py:2: long_one has 51 lines, at most 50" in done.stdout


def test_a_long_file_of_any_kind_is_named(tmp_path: Path) -> None:
    (tmp_path / "b.sh").write_text("true\n" * 401)
    done = run(tmp_path / "b.sh")
    assert done.returncode == 1
    assert "401 lines in the file, at most 400" in done.stdout
