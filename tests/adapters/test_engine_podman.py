"""What is Podman's alone: what a container really gets, seen from the kernel and inside."""

from __future__ import annotations

import asyncio
import os
import resource
import select
import signal
import urllib.request
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from nodeorch.adapters.cgroup import CgroupReader
from nodeorch.adapters.podman import PodmanEngine
from nodeorch.adapters.podman.client import Client
from nodeorch.model.workload import (
    MIB,
    DeviceLimit,
    Logs,
    Main,
    Port,
    Pull,
    Resources,
    Security,
    Stop,
    Ulimit,
    Volume,
    Workload,
)
from nodeorch.model.world import Container, State
from nodeorch.ports import EngineError, LogLine
from tests.lab import Lab, async_wait_for

IMAGE = "localhost/bb:1"
SERVE = ("httpd", "-f", "-p", "8080", "-h", "/tmp")


@pytest.fixture
async def engine(lab: Lab) -> AsyncIterator[PodmanEngine]:
    made = PodmanEngine(lab.socket)
    yield made
    await made.close()


def spec(image: str = IMAGE, **parts: Any) -> Workload:
    main = {"name": "web", "image": image} | parts.pop("main", {})
    return Workload(main=Main(**main), **parts)


async def create(engine: PodmanEngine, workload: Workload, name: str = "web.0.g1") -> str:
    image, _ = await engine.ensure_image(workload.main.image, Pull.NEVER)
    labels = {"nodeorch.workload": workload.name}
    return await engine.create(name, workload, image, labels, workload.resources)


async def run(engine: PodmanEngine, workload: Workload, name: str = "web.0.g1") -> Container:
    return await engine.start(await create(engine, workload, name))


def status(pid: int, field: str) -> str:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        key, _, value = line.partition(":")
        if key == field:
            return value.strip()
    raise AssertionError(field)


def limits(pid: int) -> dict[str, tuple[str, str]]:
    """Name → (soft, hard), as the kernel shows them."""
    found = {}
    for line in Path(f"/proc/{pid}/limits").read_text().splitlines()[1:]:
        words = line[26:].split()
        found[line[:26].strip()] = (words[0], words[1])
    return found


async def inside(engine: PodmanEngine, container: Container, script: str) -> tuple[int, str]:
    return await engine.exec(container.id, ["sh", "-c", script], 10)


async def output(engine: PodmanEngine, container: str, **options: Any) -> list[LogLine]:
    chosen: dict[str, Any] = {"follow": False, "tail": None, "since": None} | options
    return [line async for line in engine.logs(container, "web.0.g1", **chosen)]


async def test_defaults_are_safe(engine: PodmanEngine) -> None:
    user = Security(user="1000:1000")
    container = await run(engine, spec(security=user, resources=Resources(memory=32 * MIB)))
    pid = container.pid
    for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
        assert int(status(pid, name), 16) == 0, name
    assert status(pid, "NoNewPrivs") == "1"
    assert status(pid, "Seccomp") == "2"
    assert status(pid, "Uid").split()[0] == "1000"
    assert (await inside(engine, container, "touch /x"))[0] != 0
    assert (await inside(engine, container, "touch /tmp/x"))[0] == 0
    _, mounts = await inside(engine, container, "grep -E ' /(tmp|run) ' /proc/mounts")
    assert mounts.count("nosuid,nodev") == 2
    assert mounts.count(f"size={32 * 1024}k") == 2


async def test_what_the_spec_names_is_relaxed(engine: PodmanEngine) -> None:
    relaxed = Security(
        read_only=False,
        user="app",
        capabilities=("NET_BIND_SERVICE",),
        no_new_privileges=False,
        seccomp="unconfined",
    )
    container = await run(engine, spec(security=relaxed))
    assert int(status(container.pid, "CapEff"), 16) == 1 << 10
    assert int(status(container.pid, "CapBnd"), 16) == 1 << 10
    assert status(container.pid, "NoNewPrivs") == "0"
    assert status(container.pid, "Seccomp") == "0"
    _, mounts = await inside(engine, container, "grep ' / ' /proc/mounts")
    assert " rw," in mounts


async def test_privileged_means_so(engine: PodmanEngine) -> None:
    container = await run(engine, spec(security=Security(privileged=True, read_only=False)))
    assert int(status(container.pid, "CapEff"), 16) & (1 << 21), "CAP_SYS_ADMIN"


@pytest.mark.parametrize(
    "dropped", ["read_only_filesystem", "no_new_privileges", "cap_drop", "healthconfig", "user"]
)
async def test_a_field_that_podman_ignores_is_refused(
    lab: Lab, monkeypatch: pytest.MonkeyPatch, dropped: str
) -> None:
    """As an older Podman does with a field it does not know."""
    lab.build_image("localhost/checked:1", cmd=["sleep", "1000"], healthcheck="CMD true")
    engine, call = PodmanEngine(lab.socket), Client.call

    async def forgetful(self: Client, method: str, path: str, **options: Any) -> Any:
        if path == "containers/create":
            body = {key: value for key, value in options["body"].items() if key != dropped}
            options["body"] = body
        return await call(self, method, path, **options)

    monkeypatch.setattr(Client, "call", forgetful)
    workload = spec("localhost/checked:1", security=Security(user="1000:1000"))
    with pytest.raises(EngineError) as caught:
        await create(engine, workload)
    assert caught.value.kind == "refused"
    assert await engine.list() == ()
    await engine.close()


async def test_command_replaces_and_args_append(lab: Lab, engine: PodmanEngine) -> None:
    tag = "localhost/words:1"
    lab.build_image(tag, entrypoint=["echo", "entry"], cmd=["cmd"])
    for number, (words, expected) in enumerate(
        [
            ({}, "entry cmd"),
            ({"args": ("more", "x y")}, "entry cmd more x y"),
            ({"command": ("echo", "own")}, "own"),
            ({"command": ("echo",), "args": ("and", "more")}, "and more"),
        ]
    ):
        name = f"web.{number}.g1"
        container = await run(engine, spec(tag, main=words), name)
        lines = await output(engine, container.id, follow=True)
        assert [line.text for line in lines] == [expected]


async def test_process_settings(engine: PodmanEngine) -> None:
    main = {"env": {"A": "b c"}, "working_dir": "/etc", "hostname": "there", "init": False}
    container = await run(engine, spec(main=main, stop=Stop(signal="INT", grace=3)))
    _, text = await inside(engine, container, "echo $A; pwd; hostname")
    assert text.split("\n")[:3] == ["b c", "/etc", "there"]


async def test_volumes(lab: Lab, engine: PodmanEngine, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("from the host")
    volumes = (
        Volume(target="/data", name="data"),
        Volume(target="/seen", name="data", read_only=True),
        Volume(target="/host", source=str(tmp_path), read_only=True),
        Volume(target="/both", source=str(tmp_path)),
        Volume(target="/scratch", tmpfs=2 * MIB),
        Volume(target="/tmp", tmpfs=1 * MIB),
    )
    workload = spec(volumes=volumes, security=Security(user="0:0", capabilities=("DAC_OVERRIDE",)))
    container = await run(engine, workload)
    assert await inside(engine, container, "cat /host/file") == (0, "from the host")
    assert (await inside(engine, container, "touch /host/x"))[0] != 0
    assert (await inside(engine, container, "touch /seen/x"))[0] != 0
    assert (await inside(engine, container, "echo 1 >/data/x && cat /seen/x"))[1] == "1\n"
    assert (await inside(engine, container, "echo 2 >/both/y"))[0] == 0
    assert (tmp_path / "y").read_text() == "2\n"
    _, mounts = await inside(engine, container, "grep -E ' /(tmp|scratch) ' /proc/mounts")
    assert "size=1024k" in mounts and "size=2048k" in mounts
    await engine.remove(container.id)
    assert "data" in lab.podman("volume", "ls", "-q").split(), "named volumes stay"
    assert "web" in lab.podman("volume", "inspect", "data")


async def test_memory_file_systems_for_a_user(lab: Lab, engine: PodmanEngine) -> None:
    """A declared one is the user's to write; /run looks as the image has it."""
    lab.build_image("localhost/run:1", cmd=["sleep", "1000"], files={"/run/there/file": "1"})
    volumes = (
        Volume(target="/var/cache", tmpfs=MIB),
        Volume(target="/ro", tmpfs=MIB, read_only=True),
    )
    workload = spec("localhost/run:1", volumes=volumes, security=Security(user="1000:1000"))
    container = await run(engine, workload)
    assert (await inside(engine, container, "touch /var/cache/x; cat /run/there/file"))[1] == "1"
    assert (await inside(engine, container, "touch /var/cache/x"))[0] == 0
    assert (await inside(engine, container, "touch /ro/x"))[0] != 0


async def test_anonymous_volumes_and_health_checks_of_the_image(
    lab: Lab, engine: PodmanEngine
) -> None:
    tag = "localhost/volume:1"
    lab.build_image(tag, cmd=["sleep", "1000"], changes=["VOLUME /v"], healthcheck="CMD false")
    before = set(lab.podman("volume", "ls", "-q").split())
    container = await run(engine, spec(tag))
    assert set(lab.podman("volume", "ls", "-q").split()) - before
    assert "NONE" in str(lab.inspect(container.id)["Config"])
    await engine.remove(container.id)
    assert set(lab.podman("volume", "ls", "-q").split()) == before


def kill(pid: int) -> None:
    """kill -9, and back as soon as the kernel calls it dead."""
    handle = os.pidfd_open(pid)
    os.kill(pid, signal.SIGKILL)
    select.select([handle], [], [])
    os.close(handle)


def disk() -> str | None:
    """A block device whose use can be limited."""
    names = sorted(entry.name for entry in Path("/sys/block").iterdir())
    return next((f"/dev/{name}" for name in names if name[0] in "vsn"), None)


def interfaces(pid: int) -> list[str]:
    lines = Path(f"/proc/{pid}/net/dev").read_text().splitlines()[2:]
    return [line.partition(":")[0].strip() for line in lines]


def get(url: str) -> str:
    try:
        with urllib.request.urlopen(url, timeout=1) as answer:
            return str(answer.read().decode())
    except OSError:
        return ""


async def test_a_published_port_listens_on_loopback_alone(engine: PodmanEngine) -> None:
    script = "echo hello >/tmp/index.html; exec " + " ".join(SERVE)
    ports = (Port(container=8080, host=18080), Port(container=9090))
    container = await run(engine, spec(main={"command": ("sh", "-c", script)}, ports=ports))
    await async_wait_for(lambda: asyncio.to_thread(get, "http://127.0.0.1:18080/"))
    assert get(f"http://{container.address}:8080/") == "hello\n"
    gateway = str(container.address).rpartition(".")[0] + ".1"
    assert get(f"http://{gateway}:18080/") == ""


async def test_networks(lab: Lab, engine: PodmanEngine) -> None:
    own = spec(main={"networks": ("back",), "name": "server", "command": SERVE})
    server = await run(engine, own, "server.0.g1")
    client = await run(engine, spec(main={"networks": ("back",)}), "web.1.g1")
    assert server.address and client.address and server.address != client.address
    _, found = await inside(engine, client, "nslookup server")
    assert server.address in found
    assert "server" in lab.podman("network", "inspect", "back"), "it tells whom it was made for"
    host = await run(engine, spec(main={"networks": ("host",)}), "web.2.g1")
    assert host.address == "127.0.0.1"
    assert os.readlink(f"/proc/{host.pid}/ns/net") == os.readlink("/proc/self/ns/net")
    none = await run(engine, spec(main={"networks": ("none",)}), "web.3.g1")
    assert none.address == ""
    assert interfaces(none.pid) == ["lo"]
    await engine.remove(server.id)
    await engine.remove(client.id)
    lab.podman("network", "rm", "back")


async def test_process_limits_fit_the_host(engine: PodmanEngine) -> None:
    """Above the host's hard limit is lowered, not fatal."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    wanted = {"nofile": Ulimit(soft=1 << 30, hard=1 << 30), "core": Ulimit(soft=0, hard=5)}
    container = await run(engine, spec(resources=Resources(ulimits=wanted)))
    seen = limits(container.pid)
    assert seen["Max open files"] == (str(hard), str(hard))
    assert seen["Max core file size"] == ("0", "5")
    plain = await run(engine, spec(), "web.1.g1")
    assert int(limits(plain.pid)["Max open files"][0]) <= hard


async def test_soft_and_hard_process_limits_are_not_confused(engine: PodmanEngine) -> None:
    wanted = {"nofile": Ulimit(soft=100, hard=200), "nproc": Ulimit(soft=300, hard=400)}
    container = await run(engine, spec(resources=Resources(ulimits=wanted)))
    seen = limits(container.pid)
    assert seen["Max open files"] == ("100", "200")
    assert seen["Max processes"] == ("300", "400")


async def test_limits_in_the_kernel(engine: PodmanEngine) -> None:
    path = disk()
    devices = (DeviceLimit(path=path, read_bytes=1 << 20, write_ops=50),) if path else ()
    wanted = Resources(
        memory=64 * MIB,
        memory_high=48 * MIB,
        swap=16 * MIB,
        cpu=0.25,
        cpu_weight=300,
        cpuset="0",
        pids=40,
        io=devices,
    )
    container = await run(engine, spec(resources=wanted))
    reader = CgroupReader()
    seen = reader.limits(container.pid, container.id)
    assert seen is not None
    assert (seen.memory, seen.memory_high, seen.cpu) == (64 * MIB, 48 * MIB, 0.25)
    assert seen.swap in (16 * MIB, None)
    assert (seen.cpu_weight, seen.cpuset, seen.pids) == (300, "0", 40)
    assert seen.io == ({path: {"read_bytes": 1 << 20, "write_ops": 50}} if path else {})
    assert seen.ulimits["nofile"][0] == seen.ulimits["nofile"][1] > 0
    changed = Resources(memory=128 * MIB, cpu_weight=50, pids=41, memory_high=100 * MIB)
    await engine.update(container.id, changed)
    seen = reader.limits(container.pid, container.id)
    assert seen is not None
    assert (seen.memory, seen.memory_high, seen.cpu) == (128 * MIB, 100 * MIB, None)
    assert (seen.cpu_weight, seen.pids) == (50, 41)


async def test_logs(engine: PodmanEngine) -> None:
    script = "for n in 1 2 3; do echo out $n; echo err $n >&2; done; sleep 1; echo last"
    workload = spec(main={"command": ("sh", "-c", script)}, logs=Logs(max_size=MIB))
    container = await run(engine, workload)
    lines = await output(engine, container.id, follow=True)
    texts = [line.text for line in lines if line.stream == "stdout"]
    assert texts == ["out 1", "out 2", "out 3", "last"]
    assert [line.text for line in lines if line.stream == "stderr"] == ["err 1", "err 2", "err 3"]
    assert {line.instance for line in lines} == {"web.0.g1"}
    assert [line.text for line in await output(engine, container.id, tail=1)] == ["last"]
    since = await output(engine, container.id, since=lines[-1].at)
    assert [line.text for line in since] == ["last"]


async def test_logs_of_what_is_not_there(engine: PodmanEngine) -> None:
    with pytest.raises(EngineError) as caught:
        await output(engine, "f" * 64)
    assert caught.value.kind == "not_found"


async def test_started_again_at_once_after_each_crash(engine: PodmanEngine) -> None:
    """Podman still calls it running for a moment after the kernel knows it dead."""
    container = await run(engine, spec())
    for _ in range(8):
        before = container.pid
        kill(before)
        container = await engine.start(container.id, urgent=True)
        assert container.state is State.RUNNING and container.pid != before


async def test_a_start_that_failed_does_not_keep_its_port(engine: PodmanEngine) -> None:
    ports = (Port(container=80, host=18081),)
    broken = await create(engine, spec(main={"command": ("no-such-command",)}, ports=ports))
    with pytest.raises(EngineError, match="no-such-command"):
        await engine.start(broken)
    fixed = await create(engine, spec(ports=ports), "web.0.g2")
    assert (await engine.start(fixed)).state is State.RUNNING
    taken = await create(engine, spec(ports=ports), "web.1.g2")
    with pytest.raises(EngineError, match="address already in use"):
        await engine.start(taken)


async def test_a_late_command_is_killed_with_all_that_it_began(engine: PodmanEngine) -> None:
    container = await run(engine, spec())
    late = ["sh", "-c", "sleep 4711 & sleep 4710; true"]
    assert (await engine.exec(container.id, late, 0.5))[0] == 124

    async def gone() -> bool:
        return "sleep 471" not in (await inside(engine, container, "ps -o args | grep -v grep"))[1]

    await async_wait_for(gone)
