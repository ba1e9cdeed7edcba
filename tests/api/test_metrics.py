"""The exposition is OpenMetrics, says what is so, and stays bounded."""

from __future__ import annotations

import asyncio
import http.client
import json
import math
import socket
from collections import Counter
from collections.abc import Iterator

import pytest
from prometheus_client import Metric
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from nodeorch.api.catalogue import CATALOGUE, JOBS
from nodeorch.api.metrics import STALLED, not_ready
from nodeorch.api.openmetrics import Family, Kind, render
from nodeorch.api.port import keep_listening
from nodeorch.api.reading import Reading
from nodeorch.api.routes import ROUTES
from nodeorch.client.unix import _Connection
from nodeorch.decide.status import NOTHING, workload_view
from nodeorch.meters import Histogram, ProbeMeter
from nodeorch.model.facts import ClockSeen
from nodeorch.model.view import STATES
from nodeorch.model.workload import Backoff, Probe, Restart, Tcp
from nodeorch.model.workload import Kind as WorkloadKind
from nodeorch.model.world import Code, Engine, World
from nodeorch.ports import ProbeTarget
from tests.api.harness import WEB, Harness, spec
from tests.api.nought import no_meters
from tests.api.standin import Sample
from tests.decide.story import Story, workload
from tests.decide.test_happened import Counted
from tests.lab.wait import wait_for

LABELS = {
    "cause", "code", "kind", "method", "operation", "probe", "python", "result", "route", "state",
    "status", "version", "workload",
}  # fmt: skip
"""Each has a bounded set of values. Think before adding one."""

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


def get(harness: Harness, path: str) -> tuple[int, str, str]:
    """Status, content type and body."""
    connection = _Connection(str(harness.socket))
    connection.timeout = 10.0
    connection.request("GET", path)
    response = connection.getresponse()
    body = response.read().decode()
    connection.close()
    return response.status, response.headers["Content-Type"], body


def families(text: str) -> dict[str, Metric]:
    """What Prometheus' own client for Python reads in it; it raises on what is not the format."""
    return {family.name: family for family in text_string_to_metric_families(text)}


def samples(text: str) -> Samples:
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in families(text).values()
        for sample in family.samples
    }


def scrape(harness: Harness) -> Samples:
    return samples(get(harness, "/metrics")[2])


def value(found: Samples, name: str, **labels: str) -> float:
    return found[name, frozenset(labels.items())]


def test_every_family_of_the_catalogue_is_there_as_it_is_described(harness: Harness) -> None:
    harness.declare(WEB)
    harness.standin.meters.engine.add("start", "ok", 0.07)
    status, content_type, text = get(harness, "/metrics")
    assert (status, content_type) == (
        200,
        "application/openmetrics-text; version=1.0.0; charset=utf-8",
    )
    found = families(text)
    assert list(found) == [family.name for family in CATALOGUE]
    for family in CATALOGUE:
        read = found[family.name]
        assert (read.type, read.unit, read.documentation) == (
            family.kind.value,
            family.unit,
            family.help,
        )
        assert {sample.name for sample in read.samples} <= set(family.samples)


@pytest.mark.parametrize("family", CATALOGUE, ids=lambda f: f.name)
def test_names_units_and_labels_follow_the_rules(family: Family[Reading]) -> None:
    assert family.name.startswith("nodeorch_")
    assert not family.name.endswith(("_total", "_info", "_count", "_sum", "_bucket"))
    assert set(family.labels) <= LABELS
    assert family.help.endswith(".")
    for other in ("milliseconds", "ms", "percent", "kib", "mib", "megabytes", "minutes"):
        assert not family.name.endswith(other), "base units"
    assert family.unit == "" or family.name.endswith("_" + family.unit)
    assert family.kind is not Kind.HISTOGRAM or family.unit == "seconds"
    assert bool(family.states) == (family.kind is Kind.STATES)


def test_it_says_what_is_so(harness: Harness) -> None:
    harness.declare(WEB, spec("db", "replicas = 2"))
    met = harness.standin.meters
    harness.standin.samples |= {"db.0.g1": Sample(3, 100.0), "db.1.g1": Sample(4, 50.0)}
    met.engine.add("start", "ok", 0.07)
    met.engine.add("start", "timeout", 60.5)
    met.workloads.by_name["web"].restarts = 3
    met.loop.entries[Code.READY] += 2
    found = scrape(harness)
    assert value(found, "nodeorch_workload_desired_replicas", workload="db") == 2
    assert value(found, "nodeorch_workload_ready_replicas", workload="web") == 1
    assert value(found, "nodeorch_workload_restarts_total", workload="web") == 3
    assert value(found, "nodeorch_workload_restarts_total", workload="db") == 0
    assert value(found, "nodeorch_workload_memory_bytes", workload="db") == 7
    assert value(found, "nodeorch_workload_cpu_ratio", workload="db") == 1.5
    assert value(found, "nodeorch_node_memory_requested_bytes") == 192 << 20
    assert value(found, "nodeorch_node_memory_free_bytes") == (8 << 30) - (192 << 20)
    calls = {"operation": "start"}
    assert value(found, "nodeorch_engine_calls_total", result="timeout", **calls) == 1
    buckets = [
        value(found, "nodeorch_engine_call_seconds_bucket", le=le, **calls)
        for le in ("0.05", "0.1", "60.0", "+Inf")
    ]
    assert buckets == [0, 1, 1, 2]
    assert value(found, "nodeorch_engine_call_seconds_sum", **calls) == pytest.approx(60.57)
    assert value(found, "nodeorch_engine_answering") == 1
    assert value(found, "nodeorch_journal_entries_total", code="Ready") == 2
    state = "nodeorch_workload_state"
    shown = {s: value(found, state, workload="web", **{state: s}) for s in STATES}
    assert shown == {s: float(s == "running") for s in STATES}


def test_a_job_tells_its_last_and_its_next_run() -> None:
    story = Story(workload("backup", kind=WorkloadKind.JOB)).up()
    story.tell(ClockSeen(ahead=1e9)).settle()
    read = {family.name: family.read for family in JOBS.metrics}

    def values() -> dict[str, float]:
        reading = Reading(story.world, story.now, [], None, None, 0)  # type: ignore[arg-type]
        return {name: value for name, get in read.items() for _, value in get(reading)}

    assert values() == {"nodeorch_job_runs_active": 1}
    story.die(next(iter(story.running())), code=0).settle()
    ended = values()
    assert ended["nodeorch_job_runs_active"] == 0 and ended["nodeorch_job_last_succeeded"] == 1
    assert ended["nodeorch_job_last_end_time_seconds"] > 1e9


def test_a_state_that_the_table_lacks_is_shown_all_the_same() -> None:
    family = Family(
        "x", Kind.STATES, "", ("workload",), "X.", lambda _: [(("web",), "odd")], ("a",)
    )
    found = samples(render([family], None).decode())
    assert value(found, "x", workload="web", x="odd") == 1
    assert value(found, "x", workload="web", x="a") == 0


def test_odd_text_stays_inside_its_quotes() -> None:
    odd = 'a"b\\c\nd'
    family = Family("x", Kind.GAUGE, "", ("label",), odd, lambda _: [((odd,), math.pi)])
    text = render([family], None).decode()
    assert families(text)["x"].documentation == odd
    assert value(samples(text), "x", label=odd) == math.pi


def test_an_observation_counts_in_the_smallest_bound_that_is_not_below_it() -> None:
    histogram = Histogram((0.1, 1.0))
    for seconds in (0.05, 0.1, 0.100001, 1.0, 7.0):
        histogram.add(seconds)
    assert histogram.counts == [2, 2, 1]


def test_no_text_of_a_person_and_no_id_is_in_it(harness: Harness) -> None:
    harness.declare(
        spec(
            "web",
            'env = { TOKEN = "sentinel-env" }\nlabels = { team = "sentinel-label" }\n'
            'command = ["sentinel-command"]',
            image="localhost/sentinel-image:1",
        )
    )
    harness.standin.say("sentinel-words", "web")
    text = get(harness, "/metrics")[2]
    assert "sentinel" not in text
    (view,) = harness.standin.status("web")
    assert view.instances[0].container_id and view.instances[0].container_id not in text
    assert view.instances[0].name not in text


def test_requests_are_counted_by_route_and_never_by_what_was_asked_for(harness: Harness) -> None:
    harness.declare(WEB, spec("db"))
    for path in ("/v1/workloads/web/why", "/v1/workloads/db/why", "/sentinel", "/v1/status?sen=1"):
        get(harness, path)
    text = get(harness, "/metrics")[2]
    found = samples(text)
    name = "nodeorch_api_requests_total"
    assert value(found, name, route="GET /v1/workloads/{name}/why", status="200") == 2
    assert value(found, name, route="none", status="404") == 1
    assert value(found, name, route="none", status="400") == 1
    assert "sen" not in text.replace("absent", "")


def test_what_is_deleted_takes_its_series_along(harness: Harness) -> None:
    harness.declare(WEB, spec("gone"))
    met = harness.standin.meters
    met.workloads.by_name["gone"].exits["Exited"] += 1
    met.probes.failures["gone", "liveness"] += 1
    assert 'workload="gone"' in get(harness, "/metrics")[2]
    world = harness.standin.world
    left = {name: state for name, state in world.workloads.items() if name != "gone"}
    harness.standin.world = World(node=world.node, engine=world.engine, workloads=left)
    text = get(harness, "/metrics")[2]
    assert "gone" not in text.replace("gone back", "")
    assert not met.probes.failures and "gone" not in met.workloads.by_name


def series(story: Counted) -> set[tuple[str, frozenset[tuple[str, str]]]]:
    meters = no_meters()
    meters.workloads = story.meters
    views = [workload_view(story.world, s, NOTHING) for s in story.world.workloads.values()]
    reading = Reading(story.world, story.now, views, meters, meters.process(), 0)
    return set(samples(render(CATALOGUE, reading).decode()))


def test_1000_restarts_add_no_series() -> None:
    quick = Restart(backoff=Backoff(initial=0.0, max=0.0))
    story = Counted(workload(restart=quick)).up()
    causes: list[tuple[int, bool]] = [(1, False), (137, False), (137, True)]
    for code, oom in causes:
        story.die("web.0.g1", code, oom).settle()
    before = series(story)
    for turn in range(1000):
        story.die("web.0.g1", *causes[turn % 3]).settle()
    assert story.of().restarts == 1003
    assert series(story) == before


def target(name: str, kind: str = "liveness") -> ProbeTarget:
    return ProbeTarget(name, "c1", kind, "10.88.0.2", Probe(tcp=Tcp(port=80)))


def test_tries_of_probes_are_counted_by_workload_and_not_by_instance() -> None:
    meter = ProbeMeter()
    for slot in range(3):
        meter.add(target(f"web.{slot}.g1"), False, 0.002)
    meter.add(target("web.0.g1"), True, 0.002)
    meter.add(target("web.0.g1"), None, 1.0)
    assert meter.failures == Counter({("web", "liveness"): 3})
    assert meter.tries == Counter(
        {
            ("liveness", "tcp", "failed"): 3,
            ("liveness", "tcp", "passed"): 1,
            ("liveness", "tcp", "not_tried"): 1,
        }
    )
    assert sum(meter.seconds["tcp"].counts) == 4, "what was not tried took no time"


# health ---------------------------------------------------------------------------------------


def test_healthy_while_the_loop_steps(harness: Harness) -> None:
    assert get(harness, "/healthz") == (200, "application/json", OK)
    harness.standin.clock.time += STALLED + 1
    status, _, body = get(harness, "/healthz")
    assert status == 503
    assert "no step for 11 s" in body


OK = '{"ok":true}'


def test_ready_when_engine_and_database_work(harness: Harness) -> None:
    assert get(harness, "/readyz")[::2] == (200, OK)
    engine = Engine(answering=False, words="cannot reach Podman")
    harness.standin.world = World(engine=engine, store_trouble="disk full")
    status, _, body = get(harness, "/readyz")
    assert status == 503
    assert json.loads(body)["problems"] == ["database: disk full", "engine: cannot reach Podman"]


def test_an_engine_that_was_never_listed_is_not_ready() -> None:
    listed = Engine(answering=True, listed_at=1.0)
    assert not_ready(World(engine=listed)) == []
    assert not_ready(World(engine=Engine(answering=True))) == ["engine: not listed yet"]
    assert not_ready(World(engine=listed, shutdown=True)) == ["the host shuts down"]


# the port -------------------------------------------------------------------------------------


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


class Port:
    def __init__(self, harness: Harness, number: int) -> None:
        self.number = number
        self._harness = harness
        address = f"127.0.0.1:{number}"
        self.task = harness.do(
            lambda: asyncio.ensure_future(keep_listening(harness.standin, address, 0.01))
        )

    def ask(self, method: str, path: str) -> tuple[int, str]:
        connection = http.client.HTTPConnection("127.0.0.1", self.number, timeout=10.0)
        connection.request(method, path)
        response = connection.getresponse()
        body = response.read().decode()
        connection.close()
        return response.status, body

    def answers(self) -> bool:
        try:
            return self.ask("GET", "/healthz")[0] == 200
        except OSError:
            return False

    def close(self) -> None:
        self._harness.do(self.task.cancel)
        wait_for(self.task.done)


@pytest.fixture
def port(harness: Harness) -> Iterator[Port]:
    harness.declare(WEB)
    made = Port(harness, free_port())
    wait_for(made.answers)
    yield made
    made.close()


def test_the_open_port_answers_three_questions_and_no_other(port: Port) -> None:
    for route in ROUTES:
        status, body = port.ask(route.method, route.path.replace("{name}", "web"))
        if route.path in ("/metrics", "/healthz", "/readyz"):
            assert status == 200
        else:
            assert status == 403, route.path
            assert "use the unix socket" in body
    assert port.ask("GET", "/nothing")[0] == 404
    assert not port._harness.standin.world.workloads["web"].record.stopped


def test_the_port_goes_at_the_end(port: Port) -> None:
    port.close()
    with pytest.raises(ConnectionRefusedError):
        port.ask("GET", "/healthz")


def test_a_port_that_is_taken_is_had_when_it_is_free(harness: Harness) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        made = Port(harness, other.getsockname()[1])
        assert not made.task.done()
    wait_for(made.answers)
    made.close()
