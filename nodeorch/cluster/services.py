"""The units, where systemd runs; elsewhere what a person is to do."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import struct
import subprocess

from nodeorch.cluster import folder
from nodeorch.cluster.place import Place

SERF_UNIT, DAEMON_UNIT, DEBIANS = "nodeorch-serf.service", "nodeorchd.service", "serf.service"
_PEER = struct.Struct("3i")


def begin(place: Place) -> list[str]:
    """Start Serf with this host's configuration, and the daemon anew. What was done, in words."""
    config = place.files / folder.SERF
    words = []
    if shutil.which("serf") is None:
        words.append("Serf is not installed, and without it the hosts do not find each other: "
                     "apt-get install serf")  # fmt: skip
    if not _managed(place):
        return [
            *words,
            f"Now start Serf: serf agent -config-file {config}",
            f"Then start nodeorchd anew: nodeorchd --config {place.config}",
        ]
    if _succeeds("is-enabled", "--quiet", DEBIANS):
        _systemctl("disable", "--now", DEBIANS)
        words.append(f"Disabled {DEBIANS} of Debian: it listens without encryption.")
    for verb in (("enable", SERF_UNIT), ("restart", SERF_UNIT), ("restart", DAEMON_UNIT)):
        if trouble := _systemctl(*verb):
            words.append(f"systemctl {' '.join(verb)} failed: {trouble}")
    return words or [f"{SERF_UNIT} and {DAEMON_UNIT} were started."]


def end(place: Place) -> list[str]:
    """Serf is stopped, and the daemon started anew without a fleet. What was done, in words."""
    if not _managed(place):
        return [f"Now stop Serf, and start nodeorchd anew: nodeorchd --config {place.config}"]
    words = []
    for verb in (("disable", "--now", SERF_UNIT), ("restart", DAEMON_UNIT)):
        if trouble := _systemctl(*verb):
            words.append(f"systemctl {' '.join(verb)} failed: {trouble}")
    return words or [f"{SERF_UNIT} was stopped, {DAEMON_UNIT} started anew. Containers run on."]


def reread(place: Place) -> str:
    """Have the daemon read its certificate again, with SIGHUP to whoever listens on its socket."""
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as asked:
            asked.settimeout(5.0)
            asked.connect(place.settings.paths.socket)
            told = asked.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _PEER.size)
        os.kill(_PEER.unpack(told)[0], signal.SIGHUP)
    except OSError as error:
        why = (error.strerror or str(error)).lower()
        return f"nodeorchd could not be told ({why}); it reads it when it starts."
    return "nodeorchd reads it now; connections that there are go on with the former one."


def _managed(place: Place) -> bool:
    return place.usual and os.path.isdir("/run/systemd/system")


def _succeeds(*words: str) -> bool:
    return subprocess.run(["systemctl", *words], capture_output=True).returncode == 0


def _systemctl(*words: str) -> str:
    """Empty, or why it failed."""
    done = subprocess.run(["systemctl", *words], capture_output=True, text=True)
    return (done.stderr.strip() or f"exit code {done.returncode}") if done.returncode else ""
