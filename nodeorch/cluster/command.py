"""How a daemon has something signed: a process of its own, of which it keeps no memory.

Imports nothing, so that a daemon may import it.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

PATIENCE = 20.0
"""Seconds that it may take on a busy host."""


def signing(verb: str) -> tuple[list[str], dict[str, str]]:
    """(command, environment) of the process for "sign" or "renew"; see nodeorch.cluster.sign.

    Its standard input: messages.JoinContext or RenewContext as one line of JSON, a line feed, and
    the body as it came. Its standard output: the body of the answer. It ends with 0, unless it
    broke.
    """
    root = str(Path(__file__).resolve().parents[2])
    # -P: what lies in the folder that the daemon was started in is no module of ours.
    return [sys.executable, "-P", "-m", "nodeorch.cluster", verb], {
        **os.environ,
        "PYTHONPATH": root,
    }
