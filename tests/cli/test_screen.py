"""``nodeorch top`` on a real terminal: it obeys keys and leaves everything as it was."""

from __future__ import annotations

import contextlib
import os
import pty
import signal
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from nodeorch.cli.screen import ENTER, LEAVE
from tests.api.harness import WEB, Harness, spec
from tests.api.standin import Sample
from tests.cli.terminal import Terminal
from tests.lab.wait import wait_for

Open = Callable[..., Terminal]
FOOT = "scroll"
"""The last word of a frame."""


@pytest.fixture
def terminal(harness: Harness) -> Iterator[Open]:
    harness.declare(WEB, spec("db"))
    samples = {"web.0.g1": Sample(1 << 20, 1.0), "db.0.g1": Sample(9 << 20, 0.5)}
    harness.do(lambda: harness.standin.samples.update(samples))
    opened: list[Terminal] = []

    def make(*arguments: str, **more: Any) -> Terminal:
        opened.append(Terminal(*arguments, socket=harness.socket, **more))
        return opened[-1]

    yield make
    for each in opened:
        each.close()


def restored(screen: Terminal, said: str) -> None:
    assert screen.settings() == screen.before
    assert LEAVE in said
    assert ENTER not in said.partition(LEAVE)[2]


def test_q_ends_it(terminal: Open) -> None:
    screen = terminal("top")
    frame = screen.read(FOOT)
    assert frame.startswith(ENTER)
    assert "\x1b[32mrunning" in frame
    assert screen.settings() != screen.before
    screen.type("q")
    code, said = screen.ends()
    assert code == 0
    restored(screen, said)


@pytest.mark.parametrize(
    ("how", "code"),
    [("^C", 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)],
)
def test_signals_leave_the_terminal_as_it_was(
    terminal: Open, how: str | signal.Signals, code: int
) -> None:
    screen = terminal("top")
    screen.read(FOOT)
    if isinstance(how, signal.Signals):
        os.kill(screen.process.pid, how)
    else:
        screen.type("\x03")
    found, said = screen.ends()
    assert found == code
    restored(screen, said)
    assert "Traceback" not in said


LOST = """
import os, signal
from nodeorch.cli.screen import opened

class Lost:
    def __del__(self):
        os.kill(os.getpid(), signal.SIGINT)

with opened() as screen:
    Lost()
    while True:
        screen.key(0.05)
"""


def test_a_signal_counts_also_where_what_it_raises_is_ignored() -> None:
    pid, master = pty.fork()
    if pid == 0:
        os.execv(sys.executable, [sys.executable, "-c", LOST])
    try:
        ended = wait_for(lambda: os.waitpid(pid, os.WNOHANG)[1] or None)
        assert os.waitstatus_to_exitcode(ended) == 130
    finally:
        with contextlib.suppress(OSError):
            os.kill(pid, signal.SIGKILL)
        os.close(master)


def test_an_error_in_the_middle_leaves_the_terminal_as_it_was(
    harness: Harness, terminal: Open
) -> None:
    screen = terminal("top", "--every", "200ms")
    screen.read(FOOT)
    harness.do(lambda: setattr(harness.standin, "stats", lambda: {"nonsense": 1}))
    code, said = screen.ends()
    assert code == 1
    assert "KeyError" in said.partition(LEAVE)[2]  # told where it can be read
    restored(screen, said)


def test_keys_sort_and_scroll(harness: Harness, terminal: Open) -> None:
    screen = terminal("top", "--every", "1h")
    screen.resize(80, 5)  # room for one instance
    screen.read("1-1 of 2")
    screen.read(FOOT)
    for key, first in (("m", "db.0.g1"), ("c", "web.0.g1"), ("n", "db.0.g1")):
        screen.type(key)
        frame = screen.read(FOOT)
        assert f"\r\n{first}" in frame, key
    for key, first in (("\x1b[B", "web.0.g1"), ("j", "web.0.g1"), ("\x1b[A", "db.0.g1")):
        screen.type(key)
        frame = screen.read(FOOT)
        assert f"\r\n{first}" in frame, key
    assert harness.standin.looks == 1  # keys ask the daemon nothing


def test_one_request_for_each_refresh(harness: Harness, terminal: Open) -> None:
    asked: list[str] = []
    find = harness.do(lambda: harness.standin.stats)
    harness.do(lambda: setattr(harness.standin, "stats", lambda: (asked.append("x"), find())[1]))
    screen = terminal("top", "--every", "200ms")
    for frames in range(1, 5):
        screen.read(FOOT)
        assert len(asked) <= frames + 1
    assert len(asked) >= 3


def test_another_size_shows_at_once(terminal: Open) -> None:
    screen = terminal("top", "--every", "1h")
    assert "PSI c/m/i" in screen.read(FOOT)
    screen.resize(40, 10)
    frame = screen.read("restar…")
    assert "PSI" not in frame
    assert frame.count("\r\n") == 9
    screen.resize(80, 24)
    assert "PSI c/m/i" in screen.read(FOOT)


def test_a_daemon_that_restarts_is_waited_for(harness: Harness, terminal: Open) -> None:
    screen = terminal("top", "--every", "200ms")
    screen.read(FOOT)
    harness.close_server()
    frame = screen.read("cannot reach nodeorchd")
    assert "web.0.g1" in frame  # what was seen stays
    harness.open()
    screen.read(FOOT)
    screen.type("q")
    assert screen.ends()[0] == 0


def test_put_aside_and_taken_up_again(terminal: Open) -> None:
    screen = terminal("top", "--every", "1h", shell=True)
    screen.type("$NODEORCH\n")
    screen.read(ENTER)
    screen.read(FOOT)
    screen.type("\x1a")
    assert LEAVE in screen.read("Stopped")
    screen.type("fg\n")
    screen.read(ENTER)
    screen.read(FOOT)
    screen.type("q")
    screen.read(LEAVE)
    screen.type("exit\n")
    assert screen.ends()[0] == 0


def test_no_color_is_honoured(
    terminal: Open, monkeypatch: pytest.MonkeyPatch, harness: Harness
) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    screen = terminal("top", "--once")
    code, said = screen.ends()
    assert code == 0
    assert "\x1b" not in said and "running" in said
    wait_for(lambda: harness.standin.looks == 1)
