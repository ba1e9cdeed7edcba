"""`nodeorch exec` from end to end: the real command, through a terminal and through pipes."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import pty
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lab import Lab
from tests.lab.wait import wait_for
from tests.system.host import Host
from tests.system.kit import ROOT, as_json, events, one_host, until_event


@pytest.fixture(scope="module")
def host(lab_session: Lab) -> Iterator[Host]:
    with one_host(lab_session) as host:
        host.sleeper("web", replicas=2)
        host.running("web")
        yield host


def line(host: Host, *args: str) -> list[str]:
    return [sys.executable, "-m", "nodeorch.cli.main", "--socket", str(host.socket), *args]


ENV = {**os.environ, "PYTHONPATH": str(ROOT), "TERM": "vt220"}


def run(host: Host, *args: str, data: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        line(host, "exec", *args), input=data, capture_output=True, timeout=60, env=ENV
    )


def commands() -> set[str]:
    """The command lines of all processes that live."""
    found = set()
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            found.add(path.read_bytes().replace(b"\0", b" ").decode(errors="replace").strip())
        except OSError:
            continue
    return found


def lives(command: str) -> None:
    wait_for(lambda: command in commands(), 20, f"{command} runs")


def gone(command: str) -> None:
    wait_for(lambda: command not in commands(), 20, f"{command} is gone")


class Screen:
    """A person's terminal, with the command in it."""

    def __init__(self, host: Host, *args: str) -> None:
        self.master, self.slave = pty.openpty()
        self.resize(24, 80)
        self.before = termios.tcgetattr(self.slave)
        self.text = b""
        self.process = subprocess.Popen(
            line(host, "exec", *args),
            stdin=self.slave, stdout=self.slave, stderr=self.slave, env=ENV,
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        )  # fmt: skip

    def resize(self, rows: int, columns: int) -> None:
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("4H", rows, columns, 0, 0))

    def type(self, text: bytes) -> None:
        os.write(self.master, text)

    def until(self, words: bytes) -> bytes:
        """Wait until they are on the screen; what came before them, which is forgotten."""
        end = time.monotonic() + 20
        while words not in self.text:
            assert time.monotonic() < end, (words, self.text)
            if select.select([self.master], [], [], 0.1)[0]:
                self.text += os.read(self.master, 65536)
        before, _, self.text = self.text.partition(words)
        return before

    def wait(self) -> int:
        end = time.monotonic() + 20
        while self.process.poll() is None:
            assert time.monotonic() < end, self.text
            if select.select([self.master], [], [], 0.05)[0]:
                self.text += os.read(self.master, 65536)
        return self.process.returncode

    @property
    def restored(self) -> bool:
        return termios.tcgetattr(self.slave) == self.before


@contextlib.contextmanager
def screen(host: Host, *args: str) -> Iterator[Screen]:
    made = Screen(host, *args)
    try:
        yield made
    finally:
        if made.process.poll() is None:
            made.process.kill()
            made.process.wait()
        os.close(made.master)
        os.close(made.slave)


def test_output_code_and_environment(host: Host) -> None:
    script = "id -u; pwd; echo $COLOUR; echo oops >&2; exit 7"
    done = run(
        host, "web.0", "-u", "1000", "-w", "/var", "-e", "COLOUR=red", "--", "sh", "-c", script
    )
    assert (done.returncode, done.stdout, done.stderr) == (7, b"1000\n/var\nred\n", b"oops\n")


@pytest.mark.parametrize(("command", "code"), [("no-such-command", 127), ("/etc/passwd", 126)])
def test_a_command_that_cannot_run(host: Host, command: str, code: int) -> None:
    done = run(host, "web.0", "--", command)
    assert done.returncode == code
    assert command.encode() in done.stderr and done.stdout == b""


def test_which_instance(host: Host) -> None:
    done = run(host, "web", "--", "hostname")
    assert done.returncode == 0 and done.stderr == b"nodeorch: in web.0.g1, one of 2\n"
    other = run(host, "-v", "web.1.g1", "--", "hostname")
    assert other.stderr == b"nodeorch: in web.1.g1\n"
    assert run(host, "web.1", "--", "hostname").stdout == other.stdout != done.stdout
    missing = run(host, "web.7", "--", "true")
    assert missing.returncode == 1
    assert b'it has no instance "web.7"; it has web.0.g1, web.1.g1' in missing.stderr


def test_five_megabytes_go_through_unharmed(host: Host) -> None:
    data = os.urandom(5 << 20)
    done = run(host, "-i", "web.0", "--", "cat", data=data)
    assert done.returncode == 0 and done.stderr == b""
    assert hashlib.sha256(done.stdout).digest() == hashlib.sha256(data).digest()


def test_without_i_there_is_no_input(host: Host) -> None:
    done = run(host, "web.0", "--", "cat", data=b"not passed on")
    assert (done.returncode, done.stdout) == (0, b"")


def test_a_terminal(host: Host) -> None:
    with screen(host, "-it", "web.0", "--", "sh", "-c", "PS1='> ' exec sh") as person:
        person.until(b"> ")
        assert not person.restored, "it is raw"
        person.type(b"stty size; echo $TERM\r")
        person.until(b"24 80\r\nvt220\r\n")
        person.resize(40, 132)
        person.until(b"> ")
        wait_for(lambda: _size(person) == b"40 132", 20)
        person.type(b"sleep 4720\r")
        lives("sleep 4720")
        person.type(b"\x03")
        person.until(b"> ")
        gone("sleep 4720")
        person.type(b"exit 5\r")
        assert person.wait() == 5
        assert person.restored


def _size(person: Screen) -> bytes:
    person.type(b"echo $(stty size).\r")
    person.until(b".\r\n")
    return person.until(b".\r\n")


def test_t_needs_a_terminal(host: Host) -> None:
    done = run(host, "-it", "web.0", "--", "sh")
    assert done.returncode == 2 and b"leave it away" in done.stderr


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGKILL])
def test_a_client_that_is_ended_takes_its_command_along(host: Host, number: int) -> None:
    with screen(host, "-it", "web.0", "--", "sleep", "4721") as person:
        lives("sleep 4721")
        person.process.send_signal(number)
        code = person.wait()
        assert code == (128 + number if number != signal.SIGKILL else -9)
        gone("sleep 4721")
        assert person.restored or number == signal.SIGKILL


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_without_a_terminal_signals_are_passed_on(host: Host, number: int) -> None:
    script = "trap 'echo told; kill $!; exit 9' INT TERM; sleep 4722 & wait"
    process = subprocess.Popen(
        line(host, "exec", "web.0", "--", "sh", "-c", script), stdout=subprocess.PIPE, env=ENV
    )
    lives("sleep 4722")
    process.send_signal(number)
    out, _ = process.communicate(timeout=20)
    assert (process.returncode, out) == (9, b"told\n")
    gone("sleep 4722")


def test_a_client_that_vanishes_while_its_input_is_stuck(host: Host) -> None:
    process = subprocess.Popen(
        line(host, "exec", "-i", "web.0", "--", "sleep", "4723"),
        stdin=subprocess.PIPE,
        env=ENV,
    )
    assert process.stdin is not None
    os.set_blocking(process.stdin.fileno(), False)
    lives("sleep 4723")
    end = time.monotonic() + 1.0
    while time.monotonic() < end:  # more than all buffers on the way hold
        with contextlib.suppress(BlockingIOError):
            os.write(process.stdin.fileno(), b"x" * 65536)
    process.kill()
    process.wait()
    gone("sleep 4723")


def test_a_reader_that_has_gone(host: Host) -> None:
    command = " ".join(line(host, "exec", "web.0", "--", "yes"))
    script = f"{command} | head -n 1; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", script], capture_output=True, timeout=60, env=ENV)
    assert done.stdout == b"y\n141\n", done.stderr
    gone("yes")


def test_the_journal_says_who_ran_what(host: Host) -> None:
    run(host, "web.0", "-e", "KEY=secret", "--", "sh", "-c", "echo journal; exit 3")
    begun = until_event(host, "Exec", "web", "run by uid 0 (root)")
    assert begun["instance"] == "web.0.g1"
    until_event(host, "Exec", "web", "'echo journal; exit 3' ended with exit code 3")
    assert "secret" not in str(events(host, "Exec"))


def test_a_dry_run_runs_nothing(host: Host) -> None:
    before = len(events(host, "Exec"))
    done = run(host, "--dry-run", "web.1", "--", "touch", "/tmp/x")
    assert done.returncode == 0 and b"would run touch /tmp/x in web.1.g1" in done.stdout
    assert len(events(host, "Exec")) == before


def test_what_does_not_run(host: Host) -> None:
    host.sleeper("idle")
    host.running("idle")
    host.cli("stop", "--wait", "idle")
    done = run(host, "idle", "--", "true")
    assert done.returncode == 1
    assert b"cannot run a command in idle: no instance of it runs (stopped" in done.stderr
    assert as_json(host, "status")


def test_a_daemon_that_stops_ends_its_sessions(lab: Lab) -> None:
    host = Host(lab).start()
    try:
        host.sleeper("solo")
        host.running("solo")
        process = subprocess.Popen(
            line(host, "exec", "solo", "--", "sleep", "4724"), stderr=subprocess.PIPE, env=ENV
        )
        lives("sleep 4724")
        began = time.monotonic()
        host.stop()
        assert time.monotonic() - began < 5
        gone("sleep 4724")
        assert process.wait(20) == 69
    finally:
        host.close()
