"""nodeorch stop"""

from __future__ import annotations

from nodeorch.cli.operate import operation

command = operation("stop", help="Stop workloads until they are started again; the files stay.")
