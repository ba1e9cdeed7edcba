"""Looks at all of a host that ``nodeorch doctor`` judges."""

from __future__ import annotations

import getpass
import os
from typing import Any

from nodeorch.doctor import read_cluster, read_kernel, read_node, read_podman, trial
from nodeorch.doctor.facts import Facts, Podman

JOURNALS = ("/var/log/journal", "/run/log/journal")
HOLDS = "/var/tmp"
"""Where the program of a trial is put, unless nothing there may be executed."""


def read(config: str, socket: str | None, trials: tuple[str, ...]) -> Facts:
    """``socket``: the daemon's; None: that of the settings. Without ``trials`` it changes nothing.

    Never raises for what it cannot look at: that is said in Facts.unseen.
    """
    root = os.geteuid() == 0
    seen: dict[str, Any] = {"root": root, "user": _user()}
    settings, found, unseen = read_node.settings(config)
    seen |= found | read_kernel.kernel() | read_kernel.cgroups() | read_kernel.systemd()
    state, hidden = read_node.state(settings.paths.state)
    unseen += hidden
    seen |= state | read_kernel.clock(settings.paths.state)
    specs, hidden = read_node.specs(settings)
    unseen += hidden
    seen |= specs | read_node.serf() | read_node.daemon(socket or settings.paths.socket)
    fleet, hidden = read_cluster.fleet(settings)
    unseen += hidden
    seen |= fleet | read_cluster.etcds(settings.lease)
    seen |= read_podman.programs() | read_podman.subids()
    about, hidden = _podman(settings.podman.socket, root, trials)
    seen |= about
    unseen += hidden
    podman = seen.get("podman")
    graph_root = podman.graph_root if podman else "/var/lib/containers/storage"
    seen["disks"] = read_kernel.disks(
        [
            ("images and containers", graph_root),
            ("the state of nodeorch", settings.paths.state),
            ("workload files", settings.paths.workloads),
            ("the journal", next(filter(os.path.isdir, JOURNALS), JOURNALS[0])),
        ]
    )
    return Facts(**seen, unseen=tuple(unseen))


def _podman(socket: str, root: bool, trials: tuple[str, ...]) -> tuple[dict[str, Any], list[str]]:
    """(facts, what could not be looked at).

    When nobody listens there, Podman is asked through a service of our own that ends at once.
    """
    seen = read_podman.programs() | read_podman.subids()
    about, hidden, pid = read_podman.api(socket)
    seen |= about
    if about.get("podman_listens") is False and root and trials:
        try:
            with read_podman.borrowed_service() as ours:
                asked, _, own = read_podman.api(ours)
                names = ("podman", "podman_version", "containers", "self_restarting")
                seen |= {name: asked[name] for name in names if name in asked}
                more, unseen = _inside(ours, own, asked.get("podman"), trials)
                return seen | more, unseen
        except OSError as error:
            hidden = f"Podman: {error}"
    more, unseen = _inside(socket, pid, about.get("podman"), trials)
    return seen | more, [*([hidden] if hidden else []), *unseen]


def _inside(
    socket: str, pid: int, podman: Podman | None, trials: tuple[str, ...]
) -> tuple[dict[str, Any], list[str]]:
    seen = read_podman.conf(pid) | {"service": read_podman.service(pid)}
    if not trials:
        return seen, []
    if podman is None:
        return seen, ["whether containers start: Podman could not be asked"]
    try:
        return seen | {"trials": trial.run(socket, trials, (HOLDS, podman.graph_root))}, []
    except OSError as error:
        return seen, [f"whether containers start: {error}"]


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return str(os.geteuid())
