"""The table denies what is not in it; one function decides about peers."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import socket

import pytest

from nodeorch.api.auth import Peer, Role, authorize, describe, identify, role_of
from nodeorch.api.routes import ROUTES, Route, find
from nodeorch.client.unix import _Connection
from tests.api.harness import WEB, Harness


def ask(
    harness: Harness,
    method: str,
    path: str,
    body: bytes = b"",
    headers: dict[str, str] | None = None,
) -> tuple[int, dict[str, object]]:
    connection = _Connection(str(harness.socket))
    connection.timeout = 10.0
    connection.request(method, path, body, headers or {})
    response = connection.getresponse()
    answer = json.loads(response.read())
    connection.close()
    return response.status, answer


@pytest.mark.parametrize(
    "path",
    ["/", "/v1", "/v2/status", "/v1/status/", "/v1/workloads", "/v1/workloads/web", "/v1//status",
     "/v1/workloads/web/exec", "/v1/workloads/web/why/more", "/v1/../v1/status/x"],
)  # fmt: skip
def test_what_is_not_listed_is_denied(harness: Harness, path: str) -> None:
    method = "GET"
    status, view = ask(harness, method, path)
    assert status in (404, 405)
    assert str(view["error"]).startswith("cannot ")


def test_a_method_that_is_not_listed_is_denied(harness: Harness) -> None:
    status, view = ask(harness, "POST", "/v1/status")
    assert (status, view["code"]) == (405, "NoMethod")
    assert "GET" in str(view["error"])


@pytest.mark.parametrize("route", ROUTES, ids=lambda r: f"{r.method} {r.path}")
def test_every_route_is_found_and_only_by_its_method(route: Route) -> None:
    path = route.path.replace("{name}", "web")
    found = find(route.method, path)
    assert isinstance(found, tuple)
    assert found[0] is route
    assert not isinstance(find("PATCH", path), tuple)


def test_reading_needs_less_than_changing() -> None:
    for route in ROUTES:
        assert route.mutation == (route.method != "GET")
        assert (route.role > Role.VIEWER) == route.mutation
        assert ("dry_run" in route.query) == route.mutation


@pytest.mark.parametrize("role", list(Role))
@pytest.mark.parametrize("route", ROUTES, ids=lambda r: f"{r.method} {r.path}")
def test_the_matrix_of_roles_and_routes(role: Role, route: Route) -> None:
    denied = authorize(Peer(1000, 1000, 1, frozenset(), role), route)
    assert (denied is None) == (role >= route.role)
    assert denied is None or route.role.name.lower() in denied.words


def test_root_the_daemons_user_and_the_group_may_do_everything() -> None:
    assert role_of(0, {0}, 50) is Role.ADMIN
    assert role_of(os.geteuid(), {1}, 50) is Role.ADMIN
    assert role_of(1234, {7, 50}, 50) is Role.ADMIN
    assert role_of(1234, {7}, 50) is Role.NONE


async def test_the_kernel_says_who_the_peer_is() -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX)
    with ours, theirs:
        peer = identify(ours, 12345)
    assert (peer.uid, peer.gid, peer.pid) == (os.getuid(), os.getgid(), os.getpid())
    assert peer.groups == frozenset(os.getgroups())
    assert (await describe(peer)).endswith(f"pid {os.getpid()}")
    if os.getuid() == 0:
        assert await describe(peer) == f"uid 0 (root), pid {os.getpid()}"


@pytest.mark.skipif(os.geteuid() != 0, reason="becomes another user")
def test_another_user_is_denied_and_nothing_happens(harness: Harness) -> None:
    harness.declare(WEB)
    os.chmod(harness.socket, 0o666)
    for folder in (harness.socket.parent, *harness.socket.parents):
        if folder.stat().st_uid == 0 and str(folder).startswith("/tmp/pytest"):
            os.chmod(folder, 0o755)
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        os.setgroups([])
        os.setgid(65534)
        os.setuid(65534)
        try:
            answers = [
                ask(harness, "GET", "/v1/status")[0],
                ask(harness, "POST", "/v1/workloads/web/stop")[0],
            ]
            os.write(write, json.dumps(answers).encode())
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    os.close(write)
    assert json.loads(os.read(read, 100)) == [403, 403]
    os.close(read)
    assert not harness.standin.world.workloads["web"].record.stopped


@pytest.mark.parametrize("name", ["Web", "a_b", "-a", "a.b", "%2e%2e", "a%0a", "a" * 64])
def test_names_are_checked(harness: Harness, name: str) -> None:
    status, view = ask(harness, "POST", f"/v1/workloads/{name}/stop")
    assert status == 400
    assert "is not a name" in str(view["error"])


def test_a_slash_in_a_name_is_another_path(harness: Harness) -> None:
    assert ask(harness, "GET", "/v1/workloads/..%2Fx/why")[0] in (400, 404)


def test_unknown_parameters_are_refused(harness: Harness) -> None:
    status, view = ask(harness, "GET", "/v1/events?folow=1")
    assert (status, view["code"]) == (400, "BadRequest")
    assert '"folow"' in str(view["error"]) and "follow" in str(view["error"])


def test_a_parameter_given_twice_is_refused(harness: Harness) -> None:
    harness.declare(WEB)
    status, _ = ask(harness, "POST", "/v1/workloads/web/stop?dry_run=1&dry_run=0")
    assert status == 400


@pytest.mark.parametrize(
    ("path", "limit"), [("/v1/workloads/web/scale", 64 << 10), ("/v1/apply", 1 << 20)]
)
def test_bodies_are_limited(harness: Harness, path: str, limit: int) -> None:
    harness.declare(WEB)
    status, view = ask(harness, "POST", path, b" " * (limit + 1))
    assert (status, view["code"]) == (413, "TooBig")
    status, view = ask(harness, "POST", path, b" " * limit)
    assert status == 400


def test_a_chunked_body_is_limited_too(harness: Harness) -> None:
    harness.declare(WEB)
    connection = _Connection(str(harness.socket))
    connection.timeout = 10.0
    chunks = iter([b" " * 8192] * 9)
    headers = {"Transfer-Encoding": "chunked"}
    with contextlib.suppress(BrokenPipeError):  # it need not take all of it
        connection.request("POST", "/v1/workloads/web/scale", chunks, headers, encode_chunked=True)
    assert connection.getresponse().status == 413
    connection.close()


def test_an_encoded_body_is_refused(harness: Harness) -> None:
    status, view = ask(harness, "POST", "/v1/apply", b"x", {"Content-Encoding": "gzip"})
    assert (status, view["code"]) == (415, "Encoded")


@pytest.mark.parametrize("body", [b"{", b"[]", b'{"replicas": "x"}', b'{"more": 1}', b"\xff"])
def test_a_bad_body_is_told(harness: Harness, body: bytes) -> None:
    harness.declare(WEB)
    status, view = ask(harness, "POST", "/v1/workloads/web/scale", body)
    assert status == 400
    assert str(view["error"]).startswith("cannot scale web: ")


def test_what_is_not_http_gets_an_answer_in_our_shape(harness: Harness) -> None:
    with socket.socket(socket.AF_UNIX) as raw:
        raw.settimeout(10.0)
        raw.connect(str(harness.socket))
        raw.sendall(b"\x16\x03\x01 nonsense\r\n\r\n")
        response = http.client.HTTPResponse(raw)
        response.begin()
        view = json.loads(response.read())
    assert response.status == 400
    assert view["error"].startswith("cannot read the request")


def test_an_error_inside_does_not_leak(harness: Harness) -> None:
    def explode(name: str) -> list[str]:
        raise RuntimeError("a secret")

    harness.declare(WEB)
    harness.standin.why_now = explode  # type: ignore[method-assign]
    status, view = ask(harness, "GET", "/v1/workloads/web/why")
    assert (status, view["code"]) == (500, "Internal")
    assert "secret" not in json.dumps(view)
