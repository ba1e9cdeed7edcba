"""A command with its streams attached: the fake engine and real Podman alike, then what only
Podman can show."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from nodeorch.adapters.podman import PodmanEngine
from nodeorch.adapters.podman.interactive import PodmanTerminal
from nodeorch.model.workload import MIB, Main, Pull, Resources, Workload
from nodeorch.ports import Attach, Engine, EngineError, Terminal
from tests.fakes import FakeEngine
from tests.lab import Lab, async_wait_for

IMAGE = "localhost/bb:1"
LABELS = {"nodeorch.workload": "web"}
SMALL = Resources(memory=64 * MIB, pids=32)


@pytest.fixture(params=["fake", "podman"])
async def engine(request: pytest.FixtureRequest) -> AsyncIterator[Engine]:
    made: Engine
    if request.param == "fake":
        made = FakeEngine()
    else:
        made = PodmanEngine(request.getfixturevalue("lab").socket)
    yield made
    await made.close()


@pytest.fixture
async def podman(lab: Lab) -> AsyncIterator[PodmanEngine]:
    made = PodmanEngine(lab.socket)
    yield made
    await made.close()


async def create(engine: Engine, user: str = "") -> str:
    main = Main(name="web", image=IMAGE, command=("sleep", "100000"), networks=("none",))
    spec = Workload(main=main, resources=SMALL)
    image, _ = await engine.ensure_image(IMAGE, Pull.MISSING)
    return await engine.create("web.0.g1", spec, image, LABELS, SMALL)


async def running(engine: Engine) -> str:
    created = await create(engine)
    await engine.start(created)
    return created


async def everything(terminal: Terminal) -> tuple[int, bytes, bytes]:
    """(exit code, stdout, stderr)."""
    said = {"stdout": bytearray(), "stderr": bytearray()}
    while (piece := await terminal.read()) is not None:
        said[piece[0]] += piece[1]
    code = await terminal.wait()
    assert await terminal.close()
    return code, bytes(said["stdout"]), bytes(said["stderr"])


async def attach(engine: Engine, container: str, *command: str, **options: object) -> Terminal:
    return await engine.terminal(container, Attach(command=command, **options))  # type: ignore[arg-type]


async def test_output_and_exit_code(engine: Engine) -> None:
    container = await running(engine)
    assert await everything(await attach(engine, container, "echo", "a", "b")) == (0, b"a b\n", b"")
    assert await everything(await attach(engine, container, "false")) == (1, b"", b"")
    code, _, words = await everything(await attach(engine, container, "no-such-command"))
    assert code == 127 and b"no-such-command" in words


async def test_input_comes_back_byte_for_byte(engine: Engine) -> None:
    container = await running(engine)
    terminal = await attach(engine, container, "cat", stdin=True)
    data = bytes(range(256)) * 4096 * 5
    # Podman's own detach keys are among it: each alone, as if typed.

    async def feed() -> None:
        for byte in b"\x10\x11":
            await terminal.write(bytes([byte]))
            await asyncio.sleep(0.02)
        for at in range(0, len(data), 65536):
            await terminal.write(data[at : at + 65536])
        await terminal.end_input()

    feeding = asyncio.create_task(feed())
    code, out, _ = await everything(terminal)
    await feeding
    assert code == 0
    assert hashlib.sha256(out).digest() == hashlib.sha256(b"\x10\x11" + data).digest()


async def test_a_terminal_has_a_size_that_changes(engine: Engine) -> None:
    container = await running(engine)
    terminal = await attach(
        engine, container, "sh", "-c", "stty size; read x; stty size",
        tty=True, stdin=True, rows=33, columns=111,
    )  # fmt: skip
    seen = b""
    while b"\n" not in seen:
        piece = await terminal.read()
        assert piece is not None and piece[0] == "stdout"
        seen += piece[1]
    assert seen.strip() == b"33 111"
    await terminal.resize(40, 132)
    await terminal.write(b"\n")
    code, out, _ = await everything(terminal)
    assert (code, out.split()) == (0, [b"40", b"132"])


async def test_who_closes_kills(engine: Engine) -> None:
    container = await running(engine)
    terminal = await attach(engine, container, "sleep", "4712")
    assert await terminal.close()
    assert await terminal.wait() != 0


async def test_a_signal_ends_it(engine: Engine) -> None:
    container = await running(engine)
    terminal = await attach(engine, container, "sleep", "4713")
    await terminal.signal("TERM")
    assert (await everything(terminal))[0] == 143


async def test_what_does_not_run_cannot_be_attached_to(engine: Engine) -> None:
    created = await create(engine)
    with pytest.raises(EngineError) as caught:
        await attach(engine, created, "true")
    assert caught.value.kind == "refused"
    with pytest.raises(EngineError) as caught:
        await attach(engine, "f" * 64, "true")
    assert caught.value.kind == "not_found"


# Podman alone


def commands(lab: Lab) -> list[str]:
    """The command lines of all processes on this machine."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            found.append(path.read_bytes().replace(b"\0", b" ").decode(errors="replace").strip())
        except OSError:
            continue
    return found


@pytest.mark.parametrize("tty", [False, True])
async def test_closing_kills_its_children_too(lab: Lab, podman: PodmanEngine, tty: bool) -> None:
    container = await running(podman)
    script = "sleep 4714 & sleep 4715; echo never"
    terminal = await attach(podman, container, "sh", "-c", script, tty=tty)
    await async_wait_for(lambda: {"sleep 4714", "sleep 4715"} <= set(commands(lab)))
    assert await terminal.close()
    await async_wait_for(lambda: not {"sleep 4714", "sleep 4715"} & set(commands(lab)))


async def test_user_folder_and_environment(podman: PodmanEngine) -> None:
    container = await running(podman)
    terminal = await attach(
        podman, container, "sh", "-c", "id -u; pwd; echo $COLOUR; echo oops >&2; exit 7",
        user="1000", workdir="/var", env=("COLOUR=deep blue",),
    )  # fmt: skip
    assert await everything(terminal) == (7, b"1000\n/var\ndeep blue\n", b"oops\n")
    code, _, words = await everything(await attach(podman, container, "/etc/passwd"))
    assert code == 126 and b"/etc/passwd" in words


async def test_a_signal_reaches_the_process_of_another_user(
    podman: PodmanEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As under the hardened unit: the daemon may not signal it, the container's kill does."""
    container = await running(podman)
    monkeypatch.setattr(
        "nodeorch.adapters.podman.sessions.signal.pidfd_send_signal", _not_permitted
    )
    terminal = await attach(podman, container, "sh", "-c", "sleep 4716; true", user="1000")
    await async_wait_for(lambda: "sleep 4716" in commands(None))  # type: ignore[arg-type]
    assert await terminal.close()


def _not_permitted(handle: int, number: int) -> None:
    raise PermissionError


async def test_what_podman_says_of_itself_is_left_out() -> None:
    """Podman 4 does so now and then, of a command that could not be run."""
    reader = asyncio.StreamReader()
    for said in (
        b"Error: no such command\n",
        b"Error: read unixpacket @->/proc/self/fd/13/attach: read: connection reset by peer\n",
        b"x" * 100_000,
        b"read: connection reset by peer\n",
    ):
        reader.feed_data(b"\2\0\0\0" + len(said).to_bytes(4, "big") + said)
    reader.feed_eof()
    terminal = PodmanTerminal(None, "", "", False, (reader, None))  # type: ignore[arg-type]
    heard = b""
    while (piece := await terminal.read()) is not None:
        heard += piece[1]
    assert (
        heard == b"Error: no such command\n" + b"x" * 100_000 + b"read: connection reset by peer\n"
    )
