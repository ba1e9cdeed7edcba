"""Words to systemd, received by a real datagram socket."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from nodeorch.adapters.systemd import Systemd


@pytest.fixture
def manager(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(tmp_path / "notify"))
        listener.setblocking(False)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        monkeypatch.delenv("WATCHDOG_USEC", raising=False)
        monkeypatch.delenv("WATCHDOG_PID", raising=False)
        yield listener


def test_what_is_said(manager: socket.socket) -> None:
    systemd = Systemd()
    systemd.ready("3 workloads")
    assert manager.recv(4096) == b"READY=1\nSTATUS=3 workloads"
    systemd.status("zwölf\nREADY=0 → 12")
    assert manager.recv(4096) == b"STATUS=zw?lf READY=0 ? 12"
    systemd.alive()
    assert manager.recv(4096) == b"WATCHDOG=1"
    systemd.stopping()
    assert manager.recv(4096) == b"STOPPING=1"


def test_a_manager_that_reads_nothing_does_not_block(manager: socket.socket) -> None:
    systemd = Systemd()
    for _ in range(5000):
        systemd.alive()


def test_without_systemd_nothing_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    monkeypatch.setenv("WATCHDOG_USEC", "30000000")
    systemd = Systemd()
    assert systemd.watchdog_interval is None
    systemd.ready("x")
    systemd.stopping()


def test_a_dead_manager_is_no_error(manager: socket.socket) -> None:
    systemd = Systemd()
    manager.close()
    systemd.ready("x")


@pytest.mark.parametrize(
    ("usec", "pid", "interval"),
    [
        ("30000000", None, 15.0),
        ("30000000", "own", 15.0),
        ("30000000", "1", None),
        ("0", None, None),
        ("soon", None, None),
        (None, None, None),
    ],
)
def test_the_watchdog_is_fed_twice_a_period(
    manager: socket.socket,
    monkeypatch: pytest.MonkeyPatch,
    usec: str | None,
    pid: str | None,
    interval: float | None,
) -> None:
    if usec is not None:
        monkeypatch.setenv("WATCHDOG_USEC", usec)
    if pid is not None:
        monkeypatch.setenv("WATCHDOG_PID", str(os.getpid()) if pid == "own" else pid)
    assert Systemd().watchdog_interval == interval
