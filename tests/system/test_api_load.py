"""The API under crowds of slow peers, and at its boundaries: routes, sizes, names."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median

import pytest

from tests.lab import Lab
from tests.lab.wait import wait_for
from tests.system.host import Host
from tests.system.kit import clear, events, node, one_host, run

UID = GID = 65534
"""A user who may use the socket: its group is this one."""

SLACK = 0.05
"""Seconds: other work of the machine; who waits for a slow peer waits for seconds."""


@pytest.fixture(scope="module")
def shared(lab_session: Lab) -> Iterator[Host]:
    with one_host(lab_session, '[api]\ngroup = "nogroup"\n') as host:
        host.dir.chmod(0o711)
        yield host


@pytest.fixture
def host(shared: Host) -> Iterator[Host]:
    yield shared
    clear(shared)


def connect(host: Host) -> socket.socket:
    peer = socket.socket(socket.AF_UNIX)
    peer.settimeout(20)
    peer.connect(str(host.socket))
    return peer


def ask(host: Host, request: bytes) -> tuple[int, dict[str, object]]:
    """Status and body of the answer to these very bytes."""
    with connect(host) as peer:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            peer.sendall(request)
        answer = peer.makefile("rb")
        words = answer.readline().split()
        length = 0
        while line := answer.readline().strip():
            name, _, value = line.decode().partition(":")
            length = int(value) if name.lower() == "content-length" else length
        return int(words[1]), json.loads(answer.read(length) or b"{}")


def request(method: str, path: str, body: bytes = b"", header: str = "") -> bytes:
    head = f"{method} {path} HTTP/1.1\r\nHost: x\r\n{header}"
    if body or method == "POST":
        head += f"Content-Length: {len(body)}\r\n"
    return head.encode() + b"\r\n" + body


def files_open(host: Host) -> int:
    return len(list(Path(f"/proc/{host.pid}/fd").iterdir()))


@contextlib.contextmanager
def crowd(host: Host, uid: int, gid: int, count: int) -> Iterator[None]:
    """So many peers of that user that are silent, slow, half gone, or never read."""
    program = [sys.executable, str(Path(__file__).with_name("crowd.py")), str(host.socket)]
    with subprocess.Popen(
        [*program, str(uid), str(gid), str(count)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as made:
        assert made.stdin is not None and made.stdout is not None
        assert made.stdout.readline() == b"all have connected\n"
        yield
        assert made.poll() is None
        made.stdin.close()


def answer_time(host: Host) -> float:
    """Seconds of a `status`, the median of fifty, each over a connection of its own."""
    taken = []
    for _ in range(50):
        began = time.monotonic()
        client = host.client
        assert client.get("/v1/status")[0]["state"] == "running"
        client.close()
        taken.append(time.monotonic() - began)
    return median(taken)


@pytest.mark.parametrize(("uid", "gid"), [(0, 0), (UID, GID)], ids=["root", "its-group"])
def test_500_bad_peers_hold_up_nobody(host: Host, uid: int, gid: int) -> None:
    host.sleeper("web", '[restart]\nbackoff = { initial = "20ms", max = "50ms" }\n')
    before = host.running("web")["instances"][0]
    quiet_files, quiet = files_open(host), answer_time(host)
    with crowd(host, uid, gid, 500):
        loaded = answer_time(host)
        held = files_open(host) - quiet_files
        print(f"status: {quiet * 1000:.2f} ms alone, {loaded * 1000:.2f} ms among {held} peers")
        assert held >= 300
        assert loaded < 10 * quiet + SLACK
        assert run(host, "status").returncode == 0
        host.cli("scale", "web", "2")
        host.running("web")
        os.kill(before["pid"], signal.SIGKILL)
        host.until("web", lambda w: w["ready"] == 2 and w["instances"][0]["restarts"] == 1)
        assert run(host, "why", "web").returncode == 0
        for _ in range(3):  # root may still open streams when others have used up theirs
            if uid:
                assert list(host.client.stream("/v1/events", {"last": 1}))
    wait_for(lambda: files_open(host) <= quiet_files + 10, 20, "all are forgotten")


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/", 404),
        ("GET", "/v1", 404),
        ("GET", "/v2/status", 404),
        ("GET", "/v1/status/", 404),
        ("GET", "/v1//status", 404),
        ("GET", "/v1/./status", 404),
        ("GET", "/V1/status", 404),
        ("GET", "/v1/workloads/web/exec", 405),
        ("GET", "/v1/workloads/web/nothing", 404),
        ("PUT", "/v1/workloads/web", 405),
        ("DELETE", "/v1/status", 405),
        ("POST", "/v1/status", 405),
        ("GET", "/v1/shutdown", 405),
        ("OPTIONS", "/v1/status", 405),
        ("GET", "/v1/status?verbose=1", 400),
        ("GET", "/v1/events?last=-1", 400),
        ("GET", "/v1/events?follow=perhaps", 400),
        ("GET", "/v1/workloads/..%2fx/why", 404),
        ("GET", "/v1/workloads/%2e%2e/why", 400),
        ("POST", "/v1/workloads/..%2f..%2fetc/stop", 404),
        ("DELETE", "/v1/workloads/..%2fx", 404),
        ("DELETE", "/v1/workloads/WEB", 400),
        ("DELETE", "/v1/workloads/a%00b", 400),
        ("DELETE", "/v1/workloads/" + "a" * 64, 400),
        ("GET", "/v1/workloads/../x/why", 404),
        ("GET", "/v1/status?name=../x", 404),
        ("GET", "/v1/events?workload=../x", 404),
    ],
)
def test_what_is_not_offered_is_denied(host: Host, method: str, path: str, status: int) -> None:
    got, view = ask(host, request(method, path))
    assert got == status and str(view["error"]).startswith("cannot "), view


@pytest.mark.parametrize(
    ("raw", "status"),
    [
        (request("POST", "/v1/workloads/web/stop", b"{" + b" " * 70_000 + b"}"), 413),
        (request("POST", "/v1/apply", b"x" * (1 << 20) + b"x"), 413),
        (
            request("POST", "/v1/confirm", header="Transfer-Encoding: chunked\r\n").replace(
                b"Content-Length: 0\r\n", b""
            )
            + b"%x\r\n" % 70_000
            + b" " * 70_000
            + b"\r\n0\r\n\r\n",
            413,
        ),
        (request("POST", "/v1/apply", b"{}", "Content-Encoding: gzip\r\n"), 415),
        (request("POST", "/v1/apply", b'{"files": {}}'), 400),
        (request("POST", "/v1/apply", b'{"file": {"a.toml": ""}}'), 400),
        (request("POST", "/v1/apply", b"\xff\xfe"), 400),
        (request("POST", "/v1/apply", b"[" * 100_000), 400),
        (request("GET", "/v1/status", header=f"X: {'y' * 20_000}\r\n"), 400),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400),
        (b"GET /v1/status HTTP/1.1\r\nContent-Length: -5\r\n\r\n", 400),
        (
            b"POST /v1/confirm HTTP/1.1\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n"
            b"\r\n0\r\n\r\n",
            400,
        ),
    ],
)
def test_what_is_too_large_or_no_request_is_refused(host: Host, raw: bytes, status: int) -> None:
    got, view = ask(host, raw)
    assert got == status and "error" in view, (got, view)
    assert node(host)["name"] == "h1"


NAMES = ("../x.toml", "/etc/x.toml", "a/b.toml", ".x.toml", "x.toml/../y.toml", "x", "X.toml", "")


@pytest.mark.parametrize("name", NAMES)
def test_apply_writes_no_file_under_another_name(host: Host, name: str) -> None:
    around = sorted(p.name for p in host.dir.iterdir())
    body = json.dumps({"files": {name: '[workload]\nname = "x"\nimage = "localhost/bb:1"\n'}})
    got, view = ask(host, request("POST", "/v1/apply", body.encode()))
    assert got == 400 and "name of a spec file" in str(view["error"])
    assert sorted(p.name for p in host.dir.iterdir()) == around
    assert list(host.specs.iterdir()) == [] and host.status() == []


def test_the_name_in_the_text_must_be_the_files(host: Host) -> None:
    text = '[workload]\nname = "../x"\nimage = "localhost/bb:1"\n'
    body = json.dumps({"files": {"x.toml": text}}).encode()
    got, view = ask(host, request("POST", "/v1/apply", body))
    assert got == 422 and "../x" in " ".join(map(str, view["problems"]))  # type: ignore[call-overload]
    assert list(host.specs.iterdir()) == []


def test_bad_names_on_the_command_line(host: Host) -> None:
    last = events(host)[-1]["seq"]
    for verb in ("status", "why", "stop", "logs", "delete", "history", "restart"):
        said = run(host, verb, "../x")
        assert said.returncode == 2 and "is not a name" in said.stderr, said
    assert events(host)[-1]["seq"] == last
