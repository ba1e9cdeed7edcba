"""What is looked at of a fleet and of etcd: real files, real servers."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from nodeorch.cluster import certs, folder
from nodeorch.clusterserf import keyring, serf_config
from nodeorch.doctor import read_cluster
from nodeorch.doctor.facts import Fleet
from nodeorch.spec.settings import ClusterSettings, LeaseSettings, NodeSettings, Settings
from tests.lab.certificates import NAME, Certificates

DAY = 86400.0


@pytest.fixture
def files(tmp_path: Path) -> Path:
    now = time.time() - 100 * DAY
    ca_key, ca = certs.authority("demo", now)
    key, csr = certs.request("h1")
    with folder.prepared(tmp_path / "cluster") as new:
        folder.write(new / folder.CA, ca)
        folder.write(new / folder.RPC_KEY, "secret")
        folder.write(new / folder.RING, keyring(["A" * 43 + "="]))
        ring = str(tmp_path / "cluster" / folder.RING)
        config = serf_config("h1", "10.0.0.1", rpc_key="secret", keyring_file=ring, snapshot="/s")
        folder.write(new / folder.SERF, config)
        folder.write_pair(new, key, certs.sign(ca_key, ca, csr, "h1", now))
    return tmp_path / "cluster"


def fleet(files: Path, serf: int, door: int) -> Fleet:
    settings = Settings(
        node=NodeSettings(name="h1"),
        cluster=ClusterSettings(
            name="demo", address="127.0.0.1", port=door, files=str(files), serf=f"127.0.0.1:{serf}"
        ),
    )
    facts, unseen = read_cluster.fleet(settings)
    assert unseen == [] and facts["node"] == "h1"
    found: Fleet = facts["fleet"]
    return found


def test_a_host_that_is_alone_is_not_looked_at() -> None:
    assert read_cluster.fleet(Settings()) == ({}, [])


def test_ports_files_and_the_certificate(files: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as open_one, socket.socket() as shut:
        shut.bind(("127.0.0.1", 0))
        here, there = open_one.getsockname()[1], shut.getsockname()[1]
        seen = fleet(files, here, here)
        assert (seen.serf_listens, seen.door_trouble, seen.problems) == (True, "", ())
        assert seen.certificate is not None
        assert (seen.certificate.name, seen.certificate.fits) == ("h1", True)
        assert seen.certificate.left / DAY == pytest.approx(265, abs=1)
        assert seen.certificate.life / DAY == pytest.approx(365, abs=1)
        (files / "serf.json").chmod(0o644)
        seen = fleet(files, there, there)
        assert (seen.serf_listens, seen.door_trouble) == (False, "connection refused")
        assert [code for code, _ in seen.problems] == ["E291"]


def test_a_key_of_another_certificate_and_none_at_all(files: Path) -> None:
    folder.write(files / "node.key", certs.request("h1")[0])
    seen = read_cluster.certificate(str(files))
    assert seen is not None and not seen.fits
    for content in ("rubbish", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"):
        folder.write(files / "node.crt", content)
        assert read_cluster.certificate(str(files)) is None
    assert read_cluster.certificate(str(files / "nowhere")) is None


# -- etcd


@contextlib.contextmanager
def member(health: object, made: Certificates | None = None) -> Iterator[int]:
    class Answers(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            about = {"etcdserver": "3.4.23", "etcdcluster": "3.4.0"}
            body = json.dumps(health if self.path == "/health" else about).encode()
            self.send_response(200 if health == {"health": "true"} else 503)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Answers)
    if made is not None:
        server.socket = made.server().wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def test_a_member_by_its_own_word() -> None:
    with member({"health": "true"}) as port:
        endpoint = f"http://127.0.0.1:{port}"
        [seen] = read_cluster.etcds(LeaseSettings(endpoints=(endpoint,)))["etcds"]
        assert (seen.endpoint, seen.trouble, seen.version) == (endpoint, "", "3.4.23")
    assert "refused" in read_cluster.etcd(endpoint, LeaseSettings()).trouble
    with member({"health": "false"}) as port:
        seen = read_cluster.etcd(f"http://127.0.0.1:{port}", LeaseSettings())
        assert "may have no leader" in seen.trouble
    with member(["nonsense"]) as port:
        seen = read_cluster.etcd(f"http://127.0.0.1:{port}", LeaseSettings())
        assert seen.trouble == "what answers is no etcd"


def test_a_member_over_tls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = Certificates(tmp_path)
    real = socket.create_connection

    def resolved(address: tuple[str, int], *rest: object, **more: object) -> socket.socket:
        return real(("127.0.0.1", address[1]), *rest, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(socket, "create_connection", resolved)
    with member({"health": "true"}, made) as port:
        good = read_cluster.etcd(f"https://{NAME}:{port}", LeaseSettings(ca=str(made.ca)))
        assert (good.trouble, good.version) == ("", "3.4.23")
        other = read_cluster.etcd(f"https://{NAME}:{port}", LeaseSettings(ca=str(made.other)))
        assert other.trouble.startswith("TLS: ")
        missing = read_cluster.etcd(f"https://{NAME}:{port}", LeaseSettings(ca="/nowhere"))
        assert missing.trouble == "no such file or directory"
