"""Prometheus for tests: the programs, and a server of one's own.

NODEORCH_TEST_PROMETHEUS is the folder with both programs; packaging/prometheus makes it.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.lab.wait import wait_for

FOLDER = Path(os.environ.get("NODEORCH_TEST_PROMETHEUS", "/nonexistent"))

needs_prometheus = pytest.mark.skipif(
    not (FOLDER / "promtool").exists() and not os.environ.get("NODEORCH_TEST_STRICT"),
    reason="no Prometheus: run packaging/prometheus DIR, set NODEORCH_TEST_PROMETHEUS",
)

CONFIGS = Path(__file__).parents[2] / "configs"


def promtool(*arguments: str | Path) -> str:
    command = [FOLDER / "promtool", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


class Server:
    """A Prometheus that scrapes one target each second, on a loopback port."""

    def __init__(self, port: int) -> None:
        self._port = port

    def get(self, path: str, **query: str) -> Any:
        url = f"http://127.0.0.1:{self._port}/api/v1/{path}?{urllib.parse.urlencode(query)}"
        with urllib.request.urlopen(url, timeout=10) as answer:
            return json.loads(answer.read())["data"]

    def value(self, query: str) -> float | None:
        """Of the one series that the query finds; None: it finds none."""
        found = self.get("query", query=query)["result"]
        assert len(found) <= 1, found
        return float(found[0]["value"][1]) if found else None

    def answers(self) -> bool:
        try:
            self.get("status/buildinfo")
        except OSError:
            return False
        return True


@contextmanager
def prometheus(folder: Path, target: str) -> Iterator[Server]:
    text = (CONFIGS / "prometheus" / "prometheus.yml").read_text()
    text = text.replace("127.0.0.1:9464", target).replace("15s", "1s")
    (folder / "prometheus.yml").write_text(text)
    rules = (CONFIGS / "prometheus" / "nodeorch.rules.yml").read_text()
    (folder / "nodeorch.rules.yml").write_text(rules)
    port = free_port()
    command: list[str | Path] = [
        FOLDER / "prometheus",
        f"--config.file={folder}/prometheus.yml",
        f"--storage.tsdb.path={folder}/data",
        f"--web.listen-address=127.0.0.1:{port}",
        "--log.level=warn",
    ]
    with (folder / "prometheus.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, cwd=folder)
    try:
        server = Server(port)
        wait_for(server.answers, 30.0, "Prometheus answers")
        yield server
    finally:
        process.kill()
        process.wait(timeout=30)
