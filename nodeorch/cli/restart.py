"""nodeorch restart"""

from __future__ import annotations

from nodeorch.cli.operate import operation

command = operation("restart", help="Stop and start the instances of workloads.")
