"""GET openapi.json: the API described by its own route table and views (OpenAPI 3.1).

Made when it is asked for: nobody who does not ask pays for it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from aiohttp.web import StreamResponse

from nodeorch import __version__
from nodeorch.api.call import Call, answer
from nodeorch.api.shape import PARAMS, PATH, Param, Raw, Stream
from nodeorch.model.view import ErrorView

if TYPE_CHECKING:
    from nodeorch.api.routes import Route

JSON = "application/json"
LINES = "application/x-ndjson"
REF = "#/components/schemas/{name}"

WORDS = {
    400: "The request is not understood: a parameter, the body, or the name.",
    403: "The peer's role does not permit it.",
    404: "There is no such workload, generation, change or run.",
    408: "Not in time: the body did not come, or what was waited for is not so yet.",
    409: "The state of the workload or of the node does not allow it.",
    413: "The body is too large: 64 KiB, 1 MiB of apply.",
    415: "The body is encoded.",
    422: "What was declared is not valid; `problems` has every problem.",
    429: "Its uid holds too many connections, streams or large bodies.",
    500: "An error inside nodeorchd, or a file that cannot be written.",
    502: "The engine, Serf or another host failed.",
    503: "The database does not work, or the engine does not answer.",
    507: "The disk has no room, or takes no writes.",
}
"""What each status means, wherever it is given."""

ALWAYS = (400, 403, 415, 429, 500, 502, 503)


async def show(call: Call) -> StreamResponse:
    from nodeorch.api.routes import ROUTES  # the table has a row for this

    return answer(document(ROUTES))


def document(routes: Iterable[Route]) -> dict[str, Any]:
    routes = tuple(routes)
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "nodeorch",
            "version": __version__,
            "description": "HTTP/1.1 on the unix socket of nodeorchd; see docs/api.md.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "http://localhost", "description": "any host: it is a unix socket"}],
        "paths": paths,
        "components": {"schemas": _components(routes)},
    }


def statuses(route: Route) -> list[int]:
    """All that it can answer above 399."""
    found = {*ALWAYS, *route.fails}
    if "{" in route.path:
        found.add(404)
    if route.takes is not None:
        found |= {408, 413}
    if route.mutation:
        found.add(409)
    return sorted(found)


def _operation(route: Route) -> dict[str, Any]:
    in_path = [part[1:-1] for part in route.path.split("/") if part.startswith("{")]
    parameters = [_parameter(name, "path", PATH[name]) for name in in_path]
    parameters += [_parameter(name, "query", PARAMS[name]) for name in sorted(route.query)]
    error = _content(ErrorView)
    words = route.does.format_map({name: f"the {PATH[name].noun}" for name in in_path})
    found: dict[str, Any] = {
        "operationId": _id(route),
        "summary": words[:1].upper() + words[1:],
        "description": f"Needs the role {route.role.name.lower()}." if route.role else "",
        "parameters": parameters,
        "responses": {
            "200": {"description": "Done.", "content": _content(route.gives)},
            **{str(n): {"description": WORDS[n], "content": error} for n in statuses(route)},
        },
    }
    if route.takes is not None:
        found["requestBody"] = {"content": _content(route.takes), "required": _required(route)}
    return found


def _id(route: Route) -> str:
    """ "getWorkloadsWhy": from the method and the fixed parts of the path."""
    parts = route.path.removeprefix("/v1/").replace(".", "/").split("/")
    words = [part for part in parts if not part.startswith("{")]
    one = "One" if parts[-1].startswith("{") else ""
    return route.method.lower() + "".join(word.capitalize() for word in words) + one


def _parameter(name: str, place: str, param: Param) -> dict[str, Any]:
    return {
        "name": name,
        "in": place,
        "required": place == "path",
        "description": param.words,
        "schema": param.schema,
    }


def _required(route: Route) -> bool:
    """An empty body is read as {}."""
    if isinstance(route.takes, Raw):
        return True
    from msgspec.structs import fields

    return any(field.required for field in fields(route.takes))


def _content(kind: Any) -> dict[str, Any]:
    if isinstance(kind, Raw):
        return {kind.media: {}, **(_content(kind.dry) if kind.dry else {})}
    from msgspec.json import schema_components

    if isinstance(kind, Stream):
        lines, _ = schema_components(kind.lines, ref_template=REF)
        return {LINES: {"schema": {"description": "Of each line.", "anyOf": list(lines)}}}
    (schema,), _ = schema_components([kind], ref_template=REF)
    return {JSON: {"schema": schema}}


def _components(routes: Iterable[Route]) -> dict[str, Any]:
    """Answers carry every field of their struct, bodies may leave those with a default away."""
    from msgspec.json import schema_components

    given: list[Any] = [ErrorView]
    taken: list[Any] = []
    for route in routes:
        if isinstance(route.gives, Stream):
            given += route.gives.lines
        else:
            kind = route.gives.dry if isinstance(route.gives, Raw) else route.gives
            given += [kind] if kind else []
        if route.takes is not None and not isinstance(route.takes, Raw):
            taken.append(route.takes)
    _, answers = schema_components(given, ref_template=REF)
    for schema in answers.values():
        if "properties" in schema:
            schema["required"] = list(schema["properties"])
    _, bodies = schema_components(taken, ref_template=REF)
    return dict(sorted({**answers, **bodies}.items()))
