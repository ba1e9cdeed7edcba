"""nodeorch as users have it: Debian's python, the locked runtime dependencies, nothing else."""

from __future__ import annotations

import subprocess
from pathlib import Path

REPOSITORY = Path(__file__).parents[1]

MAKE = """
set -Eeuo pipefail
. packaging/lib.sh
make_venv "$1" packaging/requirements.lock packaging/requirements-build.lock
install_nodeorch "$1" .
"""


def install(folder: Path) -> None:
    """Into a virtual environment at ``folder``; what is there already is kept where it fits."""
    subprocess.run(["bash", "-c", MAKE, "bash", str(folder)], cwd=REPOSITORY, check=True)
