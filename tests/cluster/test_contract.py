"""What a fleet's certificates need is in no daemon's memory."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_one_module_imports_cryptography() -> None:
    files = (ROOT / "nodeorch").rglob("*.py")
    pattern = re.compile(r"^ *(from|import) cryptography\b", re.MULTILINE)
    found = [f.relative_to(ROOT).as_posix() for f in files if pattern.search(f.read_text())]
    assert found == ["nodeorch/cluster/certs.py"]


def test_who_runs_the_process_that_signs_has_none_of_it_in_memory() -> None:
    code = (
        "import nodeorch.cluster.command, nodeorch.daemon.main, sys; "
        "print([m for m in ('cryptography', 'nodeorch.cluster.certs') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout.strip() == "[]", done.stderr
