"""All that can be asked. A request for anything else is denied before a handler sees it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import NamedTuple

from aiohttp.web import StreamResponse

from nodeorch.api import apply, delete, events, logs, node, operate, plan, wait, workloads
from nodeorch.api.auth import Role
from nodeorch.api.call import Call

Handler = Callable[[Call], Awaitable[StreamResponse]]

SMALL = 64 * 1024
APPLY = 1024 * 1024


class Route(NamedTuple):
    method: str
    path: str
    role: Role
    does: str
    """For messages: "cannot <does>: …", with {name} for the workload."""
    handler: Handler
    query: frozenset[str] = frozenset()
    """The query parameters that it knows; others are refused."""
    mutation: bool = False
    """Runs to its end even when the peer hangs up."""
    max_body: int = SMALL


def _read(path: str, does: str, handler: Handler, *query: str) -> Route:
    return Route("GET", path, Role.VIEWER, does, handler, frozenset(query))


def _write(
    method: str,
    path: str,
    does: str,
    handler: Handler,
    *query: str,
    role: Role = Role.OPERATOR,
    max_body: int = SMALL,
) -> Route:
    known = frozenset({"dry_run", *query})
    return Route(method, path, role, does, handler, known, mutation=True, max_body=max_body)


ROUTES: tuple[Route, ...] = (
    _read("/v1/version", "show the version", node.version),
    _read("/v1/node", "show the node", node.show),
    _read("/v1/status", "show the status", workloads.status, "name"),
    _read("/v1/plan", "show the plan", plan.show),
    _read("/v1/events", "show events", events.show, "after", "workload", "last", "follow"),
    _read("/v1/workloads/{name}/why", "explain {name}", workloads.why, "last"),
    _read("/v1/workloads/{name}/history", "show the history of {name}", workloads.history),
    _read(
        "/v1/workloads/{name}/logs", "show the logs of {name}", logs.show,
        "follow", "tail", "since", "instance",
    ),
    _read("/v1/workloads/{name}/wait", "wait for {name}", wait.wait, "for", "timeout"),
    _write("POST", "/v1/apply", "apply", apply.apply, role=Role.ADMIN, max_body=APPLY),
    _write("DELETE", "/v1/workloads/{name}", "delete {name}", delete.delete, role=Role.ADMIN),
    _write("POST", "/v1/workloads/{name}/restart", "restart {name}", operate.restart),
    _write("POST", "/v1/workloads/{name}/stop", "stop {name}", operate.stop),
    _write("POST", "/v1/workloads/{name}/start", "start {name}", operate.start),
    _write("POST", "/v1/workloads/{name}/scale", "scale {name}", operate.scale),
    _write("POST", "/v1/workloads/{name}/rollback", "roll {name} back", operate.rollback),
    _write("POST", "/v1/confirm", "confirm", operate.confirm, role=Role.ADMIN),
    _write("POST", "/v1/shutdown", "shut down", operate.shutdown, "timeout", role=Role.ADMIN),
)  # fmt: skip


def find(method: str, path: str) -> tuple[Route, Mapping[str, str]] | set[str] | None:
    """The route and its parameters; else the methods that the path knows; else None."""
    parts = path.split("/")
    methods: set[str] = set()
    for route, pattern in _PATTERNS:
        params = _match(pattern, parts)
        if params is None:
            continue
        if route.method == method:
            return route, params
        methods.add(route.method)
    return methods or None


_PATTERNS = tuple((route, route.path.split("/")) for route in ROUTES)


def _match(pattern: list[str], parts: list[str]) -> Mapping[str, str] | None:
    if len(pattern) != len(parts):
        return None
    params: dict[str, str] = {}
    for expected, part in zip(pattern, parts, strict=True):
        if expected.startswith("{"):
            params[expected[1:-1]] = part
        elif expected != part:
            return None
    return params
