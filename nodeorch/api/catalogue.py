"""All metrics: what each is called, what it means, and how it is read.

The answer to GET /metrics and the tables of docs/metrics.md are both made from it. Labels are
bounded: their values are words of our own vocabulary, or names of workloads that are declared.
Never a container's id, an image, an address, or text that a person or a program wrote.
"""

from __future__ import annotations

import platform
from collections import Counter
from collections.abc import Callable, Iterable

from nodeorch import __version__
from nodeorch.api import jobvalues
from nodeorch.api.fleetmetrics import FLEET
from nodeorch.api.openmetrics import Family, Kind
from nodeorch.api.reading import Metric, Reading, Samples, Section, counter, gauge, histogram, one
from nodeorch.meters import WorkloadMeter, short
from nodeorch.model.view import STATES, WorkloadView


def _each(get: Callable[[WorkloadView], float | str | None]) -> Callable[[Reading], Samples]:
    """A value of each declared workload, as `status` shows it."""

    def read(reading: Reading) -> Samples:
        found = ((view.name, get(view)) for view in reading.views)
        return [((name,), value) for name, value in found if value is not None]

    return read


def _met(get: Callable[[WorkloadMeter], float]) -> Callable[[Reading], Samples]:
    """A count of each declared workload, zero included: a rise from nothing would be missed."""

    def read(reading: Reading) -> Samples:
        meters = reading.meters.workloads.by_name
        return [((view.name,), get(meters[view.name])) for view in reading.views]

    return read


def _met_by(get: Callable[[WorkloadMeter], Counter[str]]) -> Callable[[Reading], Samples]:
    def read(reading: Reading) -> Samples:
        meters = reading.meters.workloads.by_name
        return [
            ((view.name, word), count)
            for view in reading.views
            for word, count in sorted(get(meters[view.name]).items())
        ]

    return read


def _job(get: jobvalues.Get) -> Callable[[Reading], Samples]:
    """A value of each job."""
    return lambda reading: jobvalues.each(reading.world, get)


def _actions(reading: Reading) -> Samples:
    counted = reading.meters.loop.actions
    return [((short(kind), result), n) for (kind, result), n in counted.items()]


def _facts(reading: Reading) -> Samples:
    return [((short(kind),), n) for kind, n in reading.meters.loop.facts.items()]


def _probe_failures(reading: Reading) -> Samples:
    known = reading.world.workloads
    failures = reading.meters.probes.failures
    return [(key, count) for key, count in sorted(failures.items()) if key[0] in known]


def _build(reading: Reading) -> Samples:
    return [((__version__, platform.python_version()), 1)]


def _memory(view: WorkloadView) -> float | None:
    return _sum(i.memory_bytes for i in view.instances)


def _cpu(view: WorkloadView) -> float | None:
    used = _sum(i.cpu_percent for i in view.instances)
    return None if used is None else used / 100


def _sum(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) if known else None


DAEMON = Section(
    "The daemon",
    (
        Family(
            "nodeorch_build", Kind.INFO, "", ("version", "python"), "What runs here.", _build
        ),
        histogram(
            "loop_step_seconds", (),
            "From the first fact of a step of the loop until its actions are handed over.",
            one(lambda r: r.meters.loop.steps),
        ),
        counter("loop_facts", ("kind",), "Facts that the loop took in.", _facts),
        counter(
            "loop_actions", ("kind", "result"),
            'Actions that ended: "ok", or how they failed.', _actions,
        ),
        gauge(
            "loop_actions_running", (), "Actions under way.", one(lambda r: len(r.world.busy))
        ),
        gauge(
            "loop_queue_length", (), "Facts that wait for the loop.",
            one(lambda r: r.meters.waiting()),
        ),
        gauge(
            "process_resident_memory_bytes", (), "Memory of the daemon's process.",
            one(lambda r: r.process.resident),
        ),
        counter(
            "process_cpu_seconds", (), "Processor time of the daemon's process.",
            one(lambda r: r.process.cpu_seconds),
        ),
        gauge(
            "process_open_fds", (), "Open files of the daemon's process.",
            one(lambda r: r.process.open_files),
        ),
        gauge(
            "process_max_fds", (), "How many it may open.", one(lambda r: r.process.most_files)
        ),
        gauge(
            "process_start_time_seconds", (), "When it started, since 1970.",
            one(lambda r: r.process.started_wall),
        ),
    ),
)  # fmt: skip

ENGINE = Section(
    "The engine",
    (
        gauge(
            "engine_answering", (), "1 while Podman answers.",
            one(lambda r: int(r.world.engine.answering)),
        ),
        gauge(
            "engine_listing_age_seconds", (),
            "Since the last good listing of containers was begun; absent before the first.",
            one(lambda r: _age(r.world.engine.listed_at, r.now)),
        ),
        counter(
            "engine_calls", ("operation", "result"),
            'Calls of Podman: "ok", or how they failed.',
            lambda r: sorted(r.meters.engine.results.items()),
        ),
        histogram(
            "engine_call_seconds", ("operation",),
            "How long they took, waiting for their turn and failures included.",
            lambda r: [((k,), h) for k, h in sorted(r.meters.engine.seconds.items())],
        ),
    ),
)  # fmt: skip

WORKLOADS = Section(
    "Workloads",
    (
        gauge(
            "workload_desired_replicas", ("workload",),
            "Instances that shall run; 0 while stopped.",
            _each(lambda w: w.desired),
        ),
        gauge(
            "workload_ready_replicas", ("workload",), "Instances that run and are ready.",
            _each(lambda w: w.ready),
        ),
        Family(
            "nodeorch_workload_state", Kind.STATES, "", ("workload",),
            "1 for the state that `nodeorch status` shows, 0 for the others.",
            _each(lambda w: w.state), STATES,
        ),
        gauge(
            "workload_generation", ("workload",), "The generation that shall run.",
            _each(lambda w: w.generation),
        ),
        counter(
            "workload_restarts", ("workload",), "Runs after the first one of an instance.",
            _met(lambda w: w.restarts),
        ),
        counter(
            "workload_exits", ("workload", "cause"),
            "Ends of instances, and starts that the engine refused, by cause.",
            _met_by(lambda w: w.exits),
        ),
        counter(
            "workload_oom_kills", ("workload",),
            "Processes that the kernel killed for want of memory, children included.",
            _met(lambda w: w.oom_kills),
        ),
        counter(
            "workload_updates", ("workload", "result"),
            'Updates that ended: "ok", or "failed" and gone back.', _met_by(lambda w: w.updates),
        ),
        gauge(
            "workload_memory_bytes", ("workload",), "Memory that its instances use.",
            _each(_memory),
        ),
        gauge(
            "workload_memory_limit_bytes", ("workload",),
            "Memory that its running instances may use, as the kernel says.",
            _each(lambda w: _sum(i.memory_limit_bytes for i in w.instances)),
        ),
        gauge(
            "workload_cpu_ratio", ("workload",),
            "Processors that its instances use, 1 is a whole one, over the last 10 s.",
            _each(_cpu),
        ),
        histogram(
            "restart_down_seconds", (),
            "From an end that nobody asked for until the instance runs again; backoff included.",
            one(lambda r: r.meters.workloads.down),
        ),
    ),
)  # fmt: skip

JOBS = Section(
    "Jobs",
    (
        gauge(
            "job_runs_active", ("workload",), "Runs that have not ended.",
            _job(jobvalues.active),
        ),
        gauge(
            "job_next_run_time_seconds", ("workload",),
            "When the next run is due, since 1970; absent without a schedule.",
            _job(jobvalues.next_due),
        ),
        gauge(
            "job_last_end_time_seconds", ("workload",),
            "When its last run ended, since 1970; absent before.",
            _job(jobvalues.last_end),
        ),
        gauge(
            "job_last_succeeded", ("workload",),
            "1 if its last run succeeded, else 0; absent before the first has ended.",
            _job(jobvalues.last_succeeded),
        ),
    ),
)  # fmt: skip

PROBES = Section(
    "Probes",
    (
        counter(
            "probe_tries", ("probe", "method", "result"),
            'Tries: "passed", "failed", or "not_tried" for a reason that is not the workload\'s.',
            lambda r: sorted(r.meters.probes.tries.items()),
        ),
        histogram(
            "probe_seconds", ("method",), "How long a try took.",
            lambda r: [((m,), h) for m, h in sorted(r.meters.probes.seconds.items())],
        ),
        counter(
            "workload_probe_failures", ("workload", "probe"), "Failed tries.", _probe_failures
        ),
    ),
)  # fmt: skip

NODE = Section(
    "The node and what is declared",
    (
        gauge(
            "node_memory_allocatable_bytes", (),
            "What workloads may request in sum: the reserve is taken off, overcommit is in.",
            one(lambda r: r.world.node.memory),
        ),
        gauge(
            "node_memory_requested_bytes", (), "What they hold or are promised.",
            one(lambda r: r.requested),
        ),
        gauge(
            "node_memory_free_bytes", (), "What is left of it.",
            one(lambda r: max(0, r.world.node.memory - r.requested)),
        ),
        gauge(
            "node_stalled", (),
            "1 while the host stalls by the thresholds of [pressure], and evicts.",
            one(lambda r: int(bool(r.world.pressure.words))),
        ),
        gauge(
            "specs_accepted", (), "Declared workloads.", one(lambda r: len(r.world.workloads))
        ),
        gauge(
            "specs_rejected", (),
            "Spec files with an error; the last good version of each stays in force.",
            one(lambda r: len(r.world.rejected)),
        ),
        gauge(
            "specs_deletions_held", (), "Workloads whose deletion waits for `nodeorch confirm`.",
            one(lambda r: len(r.world.brake.names) if r.world.brake else 0),
        ),
    ),
)  # fmt: skip

STORE = Section(
    "The database and the journal",
    (
        gauge(
            "store_working", (), "0 while the database takes no writes.",
            one(lambda r: int(not r.world.store_trouble)),
        ),
        counter(
            "store_saves", ("result",), 'Saves of what a step of the loop changed: "ok", "failed".',
            lambda r: [((how,), n) for (_, how), n in sorted(r.meters.store.results.items())],
        ),
        histogram(
            "store_save_seconds", (), "How long a save took until it was on disk.",
            one(lambda r: r.meters.store.seconds.get("save")),
        ),
        gauge(
            "store_size_bytes", (), "The database's files.", one(lambda r: r.meters.store_bytes())
        ),
        counter(
            "journal_entries", ("code",), "Entries written to the journal, by their code.",
            lambda r: [((code,), n) for code, n in sorted(r.meters.loop.entries.items())],
        ),
    ),
)  # fmt: skip

API = Section(
    "The API",
    (
        counter(
            "api_requests", ("route", "status"),
            'Requests that were answered; the route is "none" if no handler was asked.',
            lambda r: sorted(r.meters.requests.items()),
        ),
    ),
)  # fmt: skip

SECTIONS = (DAEMON, ENGINE, WORKLOADS, JOBS, PROBES, NODE, FLEET, STORE, API)
CATALOGUE: tuple[Metric, ...] = tuple(m for section in SECTIONS for m in section.metrics)


def _age(since: float | None, now: float) -> float | None:
    return None if since is None else max(0.0, now - since)
