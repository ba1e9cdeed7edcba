"""What this process uses of the host: proc(5), of ourselves."""

from __future__ import annotations

import os
import resource
import time

from nodeorch.meters import Process

_PAGE = os.sysconf("SC_PAGE_SIZE")
_STARTED = time.time()


def own_process() -> Process:
    with open("/proc/self/statm", "rb") as file:
        resident = int(file.read().split()[1]) * _PAGE
    return Process(
        resident=resident,
        cpu_seconds=time.process_time(),
        open_files=len(os.listdir("/proc/self/fd")) - 1,  # one of them is the listing's own
        most_files=resource.getrlimit(resource.RLIMIT_NOFILE)[0],
        started_wall=_STARTED,
    )
