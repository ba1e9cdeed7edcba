"""All that can be asked. A request for anything else is denied before a handler sees it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, NamedTuple

from aiohttp.web import StreamResponse

from nodeorch.api import (
    apply,
    changes,
    copy,
    delete,
    events,
    exec,
    fleet,
    jobs,
    logs,
    metrics,
    node,
    openapi,
    operate,
    plan,
    stats,
    wait,
    workloads,
)
from nodeorch.api.auth import Role
from nodeorch.api.call import Call
from nodeorch.api.shape import Raw, Stream
from nodeorch.model.fleetview import HomeView, KeysView, MemberView, SaidView
from nodeorch.model.view import (
    ChangeView,
    CopyView,
    ErrorView,
    EventView,
    GapView,
    GenerationView,
    HealthView,
    HistoryView,
    MutationView,
    NodeView,
    PlanView,
    RunView,
    StatsView,
    VersionView,
    WhyView,
    WorkloadView,
)
from nodeorch.ports import LogLine

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
    gives: Any
    """The type of the answer's JSON, or a Stream or Raw."""
    takes: Any = None
    """The type of the body's JSON, or Raw; None: it has none."""
    fails: tuple[int, ...] = ()
    """Its statuses above 399, beside those that any such route has (see openapi)."""
    query: frozenset[str] = frozenset()
    """The query parameters that it knows (described in shape.PARAMS); others are refused."""
    mutation: bool = False
    """Runs to its end even when the peer hangs up, unless it is a session."""
    max_body: int = SMALL
    session: bool = False
    """Lives as long as its peer is there: ended when that hangs up, or the daemon stops."""

    @property
    def is_large(self) -> bool:
        return self.max_body > SMALL


def _open(path: str, does: str, handler: Handler, gives: Any) -> Route:
    """For everybody who can connect: on a loopback port nobody knows who asks."""
    return Route("GET", path, Role.NONE, does, handler, gives)


def _read(
    path: str,
    does: str,
    handler: Handler,
    *query: str,
    gives: Any,
    fails: tuple[int, ...] = (),
) -> Route:
    return Route(
        "GET", path, Role.VIEWER, does, handler, gives, fails=fails, query=frozenset(query)
    )


def _write(
    method: str,
    path: str,
    does: str,
    handler: Handler,
    *query: str,
    gives: Any = MutationView,
    takes: Any = None,
    fails: tuple[int, ...] = (),
    role: Role = Role.OPERATOR,
    max_body: int = SMALL,
) -> Route:
    return Route(
        method, path, role, does, handler, gives, takes, fails,
        frozenset({"dry_run", *query}), mutation=True, max_body=max_body,
    )  # fmt: skip


_NONE = operate.Nothing


def _session(path: str, does: str, handler: Handler, *query: str, takes: Any, gives: Any) -> Route:
    """With a peer that stays there, and a body or an answer that is no JSON."""
    return Route(
        "POST", path, Role.OPERATOR, does, handler, gives, takes,
        query=frozenset({"dry_run", "instance", *query}), mutation=True, session=True,
    )  # fmt: skip


ROUTES: tuple[Route, ...] = (
    _open("/metrics", "show metrics", metrics.metrics, Raw("application/openmetrics-text")),
    _open("/healthz", "call nodeorchd healthy", metrics.healthz, HealthView),
    _open("/readyz", "call nodeorchd ready", metrics.readyz, HealthView),
    _read("/v1/openapi.json", "show this document", openapi.show, gives=Raw("application/json")),
    _read("/v1/version", "show the version", node.version, gives=VersionView),
    _read("/v1/node", "show the node", node.show, gives=NodeView),
    _read(
        "/v1/status", "show the status", workloads.status, "name",
        gives=list[WorkloadView], fails=(404,),
    ),
    _read("/v1/stats", "show what is used", stats.live, gives=StatsView),
    _read("/v1/plan", "show the plan", plan.show, gives=PlanView),
    _read(
        "/v1/events", "show events", events.show, "after", "workload", "last", "follow",
        gives=Stream((EventView, GapView, ErrorView)), fails=(404,),
    ),
    _read("/v1/workloads/{name}/why", "explain {name}", workloads.why, "last", gives=WhyView),
    _read(
        "/v1/workloads/{name}/history", "show the history of {name}", workloads.history,
        gives=list[GenerationView],
    ),
    _read(
        "/v1/workloads/{name}/logs", "show the logs of {name}", logs.show,
        "follow", "tail", "since", "instance", gives=Stream((LogLine,)),
    ),
    _read(
        "/v1/workloads/{name}/stats", "show what {name} used", stats.history, gives=HistoryView
    ),
    _read(
        "/v1/workloads/{name}/wait", "wait for {name}", wait.wait, "for", "timeout",
        gives=list[WorkloadView], fails=(408,),
    ),
    _read(
        "/v1/changes", "show changes", changes.show, "workload", "last",
        gives=list[ChangeView], fails=(404,),
    ),
    _read("/v1/changes/{id}", "show change {id}", changes.one, gives=ChangeView),
    _read(
        "/v1/changes/{id}/wait", "wait for change {id}", changes.wait, "timeout",
        gives=ChangeView, fails=(408,),
    ),
    _read(
        "/v1/changes/{id}/follow", "follow change {id}", changes.follow,
        gives=Stream((ChangeView,)),
    ),
    _read(
        "/v1/workloads/{name}/runs", "show the runs of {name}", jobs.runs, "number", "timeout",
        gives=list[RunView], fails=(409,),
    ),
    _write("POST", "/v1/workloads/{name}/run", "run {name}", jobs.run, takes=jobs.RunBody),
    _write(
        "POST", "/v1/apply", "apply", apply.apply, takes=apply.Body, fails=(422, 507),
        role=Role.ADMIN, max_body=APPLY,
    ),
    _write(
        "DELETE", "/v1/workloads/{name}", "delete {name}", delete.delete, fails=(507,),
        role=Role.ADMIN,
    ),
    _write("POST", "/v1/workloads/{name}/restart", "restart {name}", operate.restart, takes=_NONE),
    _write("POST", "/v1/workloads/{name}/stop", "stop {name}", operate.stop, takes=_NONE),
    _write("POST", "/v1/workloads/{name}/start", "start {name}", operate.start, takes=_NONE),
    _write(
        "POST", "/v1/workloads/{name}/scale", "scale {name}", operate.scale, takes=operate.Scale
    ),
    _write(
        "POST", "/v1/workloads/{name}/rollback", "roll {name} back", operate.rollback,
        takes=operate.Rollback,
    ),
    _write("POST", "/v1/confirm", "confirm", operate.confirm, takes=_NONE, role=Role.ADMIN),
    _write(
        "POST", "/v1/shutdown", "shut down", operate.shutdown, "timeout", takes=_NONE,
        role=Role.ADMIN,
    ),
    _read("/v1/members", "show the hosts", fleet.members, gives=list[MemberView]),
    _read("/v1/homes", "show the homes", fleet.homes, gives=list[HomeView]),
    _write(
        "POST", "/v1/homes/{name}/take", "take {name}", fleet.take, gives=SaidView,
        takes=fleet.Take, role=Role.ADMIN,
    ),
    _write(
        "POST", "/v1/cluster/leave", "remove the host", fleet.leave, gives=SaidView,
        takes=fleet.Leave, role=Role.ADMIN,
    ),
    _write(
        "POST", "/v1/cluster/keys", "change the keys", fleet.keys, gives=KeysView,
        takes=fleet.Keys, role=Role.ADMIN,
    ),
    _session(
        "/v1/workloads/{name}/exec", "run a command in {name}", exec.run,
        takes=Raw(exec.KIND), gives=Raw(exec.KIND, lasts=True, dry=MutationView),
    ),
    _session(
        "/v1/workloads/{name}/copy-out", "copy from {name}", copy.out, "path",
        takes=_NONE, gives=Raw(copy.TAR, lasts=True, dry=CopyView),
    ),
    _session(
        "/v1/workloads/{name}/copy-in", "copy into {name}", copy.into, "path",
        takes=Raw(copy.TAR), gives=CopyView,
    ),
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
