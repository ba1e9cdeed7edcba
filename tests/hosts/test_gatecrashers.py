"""Hosts that are not invited, that have another's name, that talk rubbish: nothing moves.

A datagram that is replayed is Serf's to refuse: tests/adapters/test_serf.py.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.hosts.fleet import VENV, Fleet
from tests.hosts.scene import BACK, SEAMLESS, Part, Scene, pinned, thorough

PORT = 18390
CLUSTER = "/etc/nodeorch/cluster"
MEMORY = 24 * 1024
"""KiB that a daemon may have more while somebody throws a gigabyte at it."""

THROW = """\
import http.client, os, socket, ssl, sys, time
address, files, size = sys.argv[1], sys.argv[2], int(sys.argv[3])
context = ssl.create_default_context(cafile=files + "/ca.crt")
context.check_hostname = False
if sys.argv[4] == "known":
    context.load_cert_chain(files + "/node.crt", files + "/node.key")
BLOCK = os.urandom(65536)

def dial(tls):
    plain = socket.create_connection((address, 7444), 5)
    return context.wrap_socket(plain) if tls else plain

def throw(name, tls, head):
    sent, began = 0, time.monotonic()
    try:
        with dial(tls) as conn:
            conn.settimeout(10)
            conn.sendall(head)
            while sent < size and time.monotonic() - began < 10:
                conn.sendall(BLOCK)
                sent += len(BLOCK)
            end = f"all sent, then {conn.recv(100)[:40]!r}"
    except OSError as error:
        end = type(error).__name__
    print(f"{name}: {sent >> 20} MiB in {time.monotonic() - began:.1f} s, {end}")

UPGRADE = b"GET /v1/link HTTP/1.1\\r\\nHost: x\\r\\nUpgrade: websocket\\r\\n"
UPGRADE += b"Connection: Upgrade\\r\\n"
UPGRADE += b"Sec-WebSocket-Version: 13\\r\\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\\r\\n\\r\\n"
FRAME = b"\\x82\\xff" + (1 << 30).to_bytes(8, "big") + b"abcd"
LONG = f"HTTP/1.1\\r\\nHost: x\\r\\nContent-Length: {size}\\r\\n\\r\\n".encode()
throw("rubbish, plain", False, b"")
throw("rubbish, TLS", True, b"")
throw("join", True, b"POST /v1/join " + LONG)
throw("certificate", True, b"POST /v1/certificate " + LONG)
throw("header", True, b"GET /v1/stamps HTTP/1.1\\r\\nX: ")
throw("frame", True, UPGRADE + FRAME)
"""
"""What somebody can send to the peers' port; each a gigabyte, or for ten seconds."""

ASK = """\
import http.client, ssl, sys
address, ca, files, path = sys.argv[1:]
context = ssl.create_default_context(cafile=ca)
context.check_hostname = False
if files:
    context.load_cert_chain(files + "/node.crt", files + "/node.key")
try:
    conn = http.client.HTTPSConnection(address, 7444, timeout=5, context=context)
    conn.request("GET", path)
    print(conn.getresponse().status)
except OSError as error:
    print(type(error).__name__, error)
"""


def python(fleet: Fleet, host: str, script: str, *words: str) -> str:
    return fleet.shell(host, f"{VENV}/bin/python", "-c", script, *words, timeout=120)


@contextmanager
def stranger(fleet: Fleet) -> Iterator[str]:
    """A host on the switch that is no member."""
    name = f"h{len(fleet.hosts) + 1}"
    fleet.lab("up", name[1:], "--alone", timeout=120)
    try:
        yield name
    finally:
        fleet.kill(name)
        shutil.rmtree(fleet.dir / "hosts" / name)


def company() -> tuple[Part, ...]:
    return Part("one", "h1", PORT), Part("two", "h2", PORT + 1), pinned("still", "h3")


HOME: dict[str, int | list[str]] = {"one": ["h1"], "two": ["h2"], "still": ["h3"]}


def unmoved(scene: Scene, seconds: float = 3.0) -> dict[str, float]:
    scene.stays(HOME, seconds)
    scene.fleet.wait_for(scene.fleet.whole, BACK, "all hosts see each other")
    gaps = {name: round(scene.gap(name), 2) for name in scene.watches}
    assert max(gaps.values()) < SEAMLESS
    scene.kept(scene.fleet.hosts)
    return gaps


def peak(fleet: Fleet, host: str) -> int:
    """The most memory that its daemon had since ``forget_peak``, KiB."""
    status = Path(f"/proc/{fleet.pid(host, 'nodeorchd')}/status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM"))


def forget_peak(fleet: Fleet, host: str) -> None:
    Path(f"/proc/{fleet.pid(host, 'nodeorchd')}/clear_refs").write_text("5")


def test_a_gigabyte_of_rubbish(three: Fleet) -> None:
    """From a host of the fleet that has gone mad, with its certificate and without."""
    with Scene(three, *company()) as scene:
        forget_peak(three, "h1")
        before = peak(three, "h1")
        daemon = three.pid("h1", "nodeorchd")
        for who in ("unknown", "known"):
            said = python(three, "h3", THROW, three.address("h1"), CLUSTER, str(1 << 30), who)
            print(f"as one who is {who}: {said}")
            assert len(said.splitlines()) == 6
        more = peak(three, "h1") - before
        gaps = unmoved(scene)
        print(f"rubbish: {more} KiB more at most of {before}; gaps {gaps}")
        assert three.pid("h1", "nodeorchd") == daemon, "it is the same daemon"
        assert more < MEMORY
        for host in three.hosts:
            assert three.members(host)["h1"]["state"] == "up"


@thorough
def test_a_host_that_is_not_invited(three: Fleet) -> None:
    """Another fleet's key and certificate open nothing; its packets change nobody's members."""
    with Scene(three, *company()) as scene, stranger(three) as name:
        address = three.lab("shell", name, "hostname", "-I").split()[0]
        three.shell(name, "nodeorch", "cluster", "init", "other", "--address", address)
        three.shell(
            name, "bash", "-c", "until : 2>/dev/null < /dev/tcp/127.0.0.1/7373; do sleep 0.1; done"
        )
        agent = "serf join -rpc-auth=$(cat /etc/nodeorch/cluster/rpc.key)"
        said = three.shell(name, "sh", "-c", f"{agent} {three.address('h1')}", check=False)
        assert "Error" in said, said
        # The CA of the fleet is no secret; its own certificate is of another one.
        ca = (three.disk("h1") / CLUSTER[1:] / "ca.crt").read_text()
        three.shell(name, "sh", "-c", "cat > /root/ca.crt", stdin=ca)
        answers = {}
        for what, files in (("none", ""), ("another CA's", CLUSTER)):
            for path in ("/v1/stamps", "/v1/views/h1", "/v1/link"):
                asked = (three.address("h1"), "/root/ca.crt", files, path)
                answers[what, path] = python(three, name, ASK, *asked).strip()
        print(f"not invited: {answers}; Serf: {said.strip().splitlines()[-1]}")
        for (what, _), answer in answers.items():
            # With TLS 1.3 a client learns only when it reads that its certificate was refused.
            assert (answer == "401") if what == "none" else not answer.isdigit(), answers
        asked = (three.address("h1"), f"{CLUSTER}/ca.crt", f"{CLUSTER}", "/v1/stamps")
        assert python(three, "h3", ASK, *asked).strip() == "200", "who is invited gets answers"
        unmoved(scene)
        for host in three.hosts:
            assert sorted(three.members(host)) == three.hosts


@thorough
@pytest.mark.parametrize("twin", ["h1", "h2", "h3"])
def test_a_second_host_of_one_name(three: Fleet, twin: str) -> None:
    """A copy of a host's files of the cluster, at another address, without its database: it knows
    of none of its workloads. Of two hosts the one with the smaller name connects to the other."""
    with Scene(three, *company()) as scene, stranger(three) as name:
        address = three.lab("shell", name, "hostname", "-I").split()[0]
        disk, source = three.disk(name), three.disk(twin)
        for folder in ("etc/nodeorch/cluster", "etc/nodeorch/nodeorch.d", "var/lib/nodeorch-serf"):
            shutil.rmtree(disk / folder, ignore_errors=True)
            shutil.copytree(source / folder, disk / folder, symlinks=True)
        for path in ("cluster/serf.json", "nodeorch.d/50-cluster.toml"):
            file = disk / "etc/nodeorch" / path
            file.write_text(file.read_text().replace(three.address(twin), address))
        three.shell(name, "pkill", "-KILL", "--pidfile", "/run/lab/nodeorchd.pid")
        scene.stays(HOME, 10.0)
        said = {host: _said_of(three, host, twin) for host in (*three.hosts, name)}
        print(f"two of the name {twin}: {said}")
        assert any(said[host] for host in said), said
        assert scene.where("one") == ["h1"]
    three.wait_for(three.whole, BACK, "all hosts see each other")
    gaps = {name: round(scene.gap(name), 2) for name in scene.watches}
    print(f"two of the name {twin}: gaps {gaps}")
    scene.kept(three.hosts)


def _said_of(fleet: Fleet, host: str, name: str) -> list[str]:
    words = (f"the name {name}", "name conflict")
    log = fleet.log(host).splitlines() + fleet.log(host, "serf").splitlines()
    return [line for line in log if any(word in line for word in words)][:2]
