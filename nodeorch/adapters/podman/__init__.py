"""Podman behind its API socket: the one place that knows it.

client       transport: podman-py in a few threads for short calls, aiohttp for streams
create       a workload as Podman's SpecGenerator; pure
limits       resources as the OCI runtime wants them; pure
verify       does a created container have what was asked for? pure
replies      what Podman answers, as our structs; pure
images       is the image here, and pull it
streams      events, logs and exec
sessions     the state and the end of a command begun with exec
interactive  a command with a person at its terminal
archive      files in and out of a container
engine       ports.Engine, out of all that
"""

from __future__ import annotations

from nodeorch.adapters.podman.engine import PodmanEngine

__all__ = ["PodmanEngine"]
