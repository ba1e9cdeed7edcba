"""The document says all that the API does, and the API does what the document says."""

from __future__ import annotations

import ast
import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from msgspec import structs
from schemathesis.checks import CHECKS

from nodeorch import api
from nodeorch.api.openapi import WORDS, document, statuses
from nodeorch.api.routes import ROUTES, Route
from nodeorch.api.shape import PARAMS, Raw, Stream
from nodeorch.client.unix import Client
from nodeorch.model.frames import BEGIN, frame
from nodeorch.ports import LogLine
from tests.api import fleets
from tests.api.harness import WEB, Harness, spec
from tests.api.over_unix import session

DOCUMENT = document(ROUTES)
EXAMPLES = 12
"""Requests of each route: the whole takes a few seconds."""


def ids(route: Route) -> str:
    return f"{route.method} {route.path}"


def operation(route: Route) -> dict[str, Any]:
    found: dict[str, Any] = DOCUMENT["paths"][route.path][route.method.lower()]
    return found


def test_the_document_is_served_and_is_openapi(client: Client) -> None:
    served = client.get("/v1/openapi.json")
    assert served == json.loads(json.dumps(DOCUMENT))
    assert schemathesis.openapi.from_dict(served).specification.version == "3.1.0"


def test_every_route_is_in_it_and_nothing_else() -> None:
    found = {(m.upper(), path) for path, item in DOCUMENT["paths"].items() for m in item}
    assert found == {(route.method, route.path) for route in ROUTES}
    names = [op["operationId"] for item in DOCUMENT["paths"].values() for op in item.values()]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("route", ROUTES, ids=ids)
def test_each_route_is_described_whole(route: Route) -> None:
    found = operation(route)
    told = {(p["in"], p["name"]) for p in found["parameters"]}
    in_path = {part[1:-1] for part in route.path.split("/") if part.startswith("{")}
    assert told == {("path", p) for p in in_path} | {("query", p) for p in route.query}
    assert ("requestBody" in found) == (route.takes is not None)
    assert set(found["responses"]) == {"200", *map(str, statuses(route))}
    assert "{" not in found["summary"]


def test_every_reference_leads_somewhere() -> None:
    text = json.dumps(DOCUMENT)
    names = {part.partition('"')[0] for part in text.split("#/components/schemas/")[1:]}
    assert names <= set(DOCUMENT["components"]["schemas"])


def test_every_status_that_the_code_answers_has_its_words() -> None:
    """``Problem(409, …)`` in any handler; 405 is no route's."""
    found = set()
    for path in Path(api.__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "Problem":
                first = node.args[0]
                found |= {n.value for n in ast.walk(first) if isinstance(n, ast.Constant)} - {405}
    assert {n for n in found if isinstance(n, int)} <= set(WORDS)


def schema_of(kind: str, route: Route, status: str = "200") -> dict[str, Any]:
    [content] = operation(route)["responses"][status]["content"].values()
    return {**content["schema"], "components": DOCUMENT["components"]}


def furnish(harness: Harness) -> None:
    harness.declare(WEB, spec("db", "replicas = 2"), spec("job", 'kind = "job"', schedule="@daily"))
    for state in harness.standin.world.workloads.values():
        for instance in state.instances.values():
            line = LogLine(instance.name, "stdout", "2024-05-01T10:00:02Z", "hi")
            harness.standin.engine.lines[instance.record.container_id] = [line]
    harness.standin.engine.files.texts["/etc/motd"] = b"hello"
    harness.client.post("/v1/workloads/web/restart")
    harness.obey()
    fleets.change(harness, **structs.asdict(fleets.fleet()))


BODIES: dict[str, Any] = {
    "/v1/apply": {"files": {"new.toml": spec("new")}},
    "/v1/workloads/{name}/scale": {"replicas": 3},
    "/v1/workloads/{name}/exec": frame(BEGIN, b'{"command": ["true"]}'),
    "/v1/workloads/{name}/copy-in": b"\0" * 1024,
    "/v1/cluster/keys": {"verb": "list"},
}
"""Of those that need more than {}."""

PATHS = {"/v1/workloads/{name}/copy-out": "/etc/motd", "/v1/workloads/{name}/copy-in": "/tmp"}
"""What has to be said as ?path=."""

NAMES = {"/run": "job", "/runs": "job", "/take": "afar"}
"""Of which workload, by the end of the path; else web."""

REFUSED = {"/v1/confirm", "/v1/workloads/{name}/rollback"}
"""Nothing to confirm, nothing to go back to: 409, as documented too."""


@pytest.mark.parametrize("route", ROUTES, ids=ids)
def test_the_documented_answer_is_the_real_one(harness: Harness, route: Route) -> None:
    furnish(harness)
    name = next((named for ends, named in NAMES.items() if route.path.endswith(ends)), "web")
    path = route.path.replace("{name}", name).replace("{id}", "1")
    query = {"timeout": "0"} if "timeout" in route.query else {}
    query |= {"path": PATHS[route.path]} if route.path in PATHS else {}
    body = BODIES.get(route.path, {}) if route.takes is not None else None
    body = json.dumps(body) if isinstance(body, dict) else body
    if route.path == "/v1/shutdown":
        query["dry_run"] = "1"
    with session(str(harness.socket)) as peer:
        answer = peer.request(route.method, f"http://x{path}", params=query, data=body)
        wrong = peer.request(route.method, f"http://x{path}", params={"nonsense": "1"})
    refused = route.path in REFUSED
    assert answer.status_code == (409 if refused else 200), answer.text
    if isinstance(route.gives, Stream) and not refused:
        lines = answer.text.splitlines()
        assert lines
        for line in lines:
            jsonschema.validate(json.loads(line), schema_of("lines", route))
    elif not isinstance(route.gives, Raw):
        view = schema_of("json", route, "409" if refused else "200")
        jsonschema.validate(answer.json(), view)
    assert wrong.status_code == 400
    jsonschema.validate(wrong.json(), schema_of("error", route, "400"))


def test_an_answer_with_a_field_too_few_is_not_valid() -> None:
    route = next(r for r in ROUTES if r.path == "/v1/version")
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"version": "1"}, schema_of("json", route))


def test_parameters_are_described_once() -> None:
    assert set(PARAMS) == {name for route in ROUTES for name in route.query}


SCHEMA = schemathesis.openapi.from_dict(json.loads(json.dumps(DOCUMENT)))

PICKY = {
    "/v1/apply": "a random text is no spec",
    "/v1/workloads/{name}/wait": "not so in the time that it gets here: 408",
    "/v1/shutdown": "the same",
    "/v1/cluster/keys": "a key goes with every verb but list",
}
"""Where well-formed requests are refused for what they mean."""


@pytest.fixture(scope="module")
def fuzzed(tmp_path_factory: pytest.TempPathFactory) -> Any:
    made = Harness(tmp_path_factory.mktemp("fuzzed"))
    furnish(made)
    yield made
    made.close()


@SCHEMA.exclude(path_regex="/(exec|copy-in)$").parametrize()
@settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)
def test_requests_of_every_kind_get_documented_answers(
    case: schemathesis.Case, fuzzed: Harness
) -> None:
    """Valid and invalid ones, by schemathesis; whatever is asked, the server goes on.

    Frames and archives it cannot make: test_exec.py and test_copy.py do.
    """
    _bound(case)
    left_out = [c for c in CHECKS.get_all() if c.__name__ == "positive_data_acceptance"]
    with session(str(fuzzed.socket)) as peer:
        case.call_and_validate(
            base_url="http://localhost",
            session=peer,
            excluded_checks=left_out if case.path in PICKY else [],
        )
        assert peer.get("http://localhost/v1/version").status_code == 200


def _bound(case: schemathesis.Case) -> None:
    """A stream that is followed does not end, and a wait can last an hour."""
    case.query.pop("follow", None)
    if case.path.endswith(("/wait", "/shutdown")) and _is_number(case.query.get("timeout", "90")):
        case.query["timeout"] = "0.001"


def _is_number(value: object) -> bool:
    try:
        return 0 <= float(str(value)) <= 3600
    except ValueError:
        return False
