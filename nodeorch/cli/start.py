"""nodeorch start"""

from __future__ import annotations

from nodeorch.cli.operate import operation

command = operation("start", help="Start stopped workloads; try failing ones again now.")
