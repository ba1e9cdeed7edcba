"""What a well-formed workload may not mean: jobs, their schedules and their time zones."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from nodeorch.model.workload import Concurrency, Workload
from nodeorch.schedule import BadSchedule, UnknownZone, find_zone, schedule, zone_fix
from nodeorch.spec.faults import Fault, quote

_JOB = ("job",)


def only_of_jobs(w: Workload) -> Iterator[Fault]:
    if w.job is not None and not w.is_job:
        fix = 'write kind = "job" in [workload], or remove [job]'
        yield Fault(_JOB, "E260", "this workload is a service", fix, on_key=True)


def times(w: Workload) -> Iterator[Fault]:
    expression, zone = w.terms.schedule, w.terms.timezone
    try:
        find_zone(zone)
    except UnknownZone as error:
        message = f"{quote(zone)}: {error.message}"
        yield Fault((*_JOB, "timezone"), "E262", message, zone_fix(zone))
    if expression is None:
        return
    try:
        schedule(expression, "UTC")
    except BadSchedule as error:
        message = f"{quote(expression)} {error.message}"
        if error.at or error.message.startswith("field"):
            message = error.message
        path = (*_JOB, "schedule")
        yield Fault(path, "E261", message, error.fix, inside=error.at)


def shape(w: Workload) -> Iterator[Fault]:
    if not w.is_job:
        return
    if w.main.replicas != 1:
        fix = 'remove replicas; [job] concurrency = "allow" lets runs go on side by side'
        yield Fault(("workload", "replicas"), "E263", "a job has no replicas", fix)
    for i, port in enumerate(w.ports):
        if port.host and w.terms.concurrency is Concurrency.ALLOW:
            fix = 'remove host, or write concurrency = "forbid"'
            message = f"several runs cannot share host port {port.host}"
            yield Fault(("ports", i, "host"), "E264", message, fix)


def written(w: Workload, data: dict[str, Any]) -> Iterator[Fault]:
    """Of the file as it was read: a default that is written down is a word about it, too."""
    restart = data.get("restart")
    if w.is_job and isinstance(restart, dict) and "policy" in restart:
        fix = "remove it; [job] retries says how often a run is tried again"
        yield Fault(("restart", "policy"), "E263", "a job has no restart policy", fix)


RULES = (only_of_jobs, times, shape)
