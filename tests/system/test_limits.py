"""Limits as the kernel holds them, read here from its own files and not by our reader."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lab import Lab
from tests.lab.wait import wait_for
from tests.system.host import Host
from tests.system.kit import as_json, clear, configure, events, one_host, run, until_event

MIB = 1 << 20


@pytest.fixture
def host(shared: Host) -> Iterator[Host]:
    yield shared
    clear(shared)


def declare(
    host: Host, name: str, resources: str, command: str = "exec sleep 1000000", more: str = ""
) -> Path:
    return host.declare(
        name,
        f"""\
[workload]
name = "{name}"
image = "localhost/bb:1"
command = ["sh", "-c", "{command}"]
networks = ["none"]
[stop]
grace = "100ms"
[resources]
{resources}
{more}
""",
    )


V1 = {
    "memory": ("memory", "memory.limit_in_bytes"),
    "memory_high": ("memory", "memory.soft_limit_in_bytes"),
    "used": ("memory", "memory.usage_in_bytes"),
    "cpu": ("cpu", "cpu.cfs_quota_us"),
    "pids": ("pids", "pids.max"),
    "cpuset": ("cpuset", "cpuset.cpus"),
    "shares": ("cpu", "cpu.shares"),
}
V2 = {
    "memory": "memory.max",
    "memory_high": "memory.high",
    "used": "memory.current",
    "cpu": "cpu.max",
    "pids": "pids.max",
    "cpuset": "cpuset.cpus",
    "weight": "cpu.weight",
}


def files_of(pid: int) -> dict[str, Path]:
    """The files of a process' cgroup."""
    places = {}
    for line in Path(f"/proc/{pid}/cgroup").read_text().splitlines():
        _, controllers, place = line.split(":", 2)
        places |= dict.fromkeys(controllers.split(","), place)
    root = Path("/sys/fs/cgroup")
    if (root / "cgroup.controllers").exists():
        folder = root / places[""].lstrip("/")
        folder = folder if (folder / "memory.max").exists() else folder.parent
        files = {key: folder / name for key, name in V2.items()}
    else:
        mounts = {c: d for d in os.listdir(root) for c in d.split(",")}
        files = {
            key: root / mounts[controller] / places[controller].lstrip("/") / name
            for key, (controller, name) in V1.items()
        }
    return {key: file for key, file in files.items() if file.exists()}


def kernel(pid: int) -> dict[str, str]:
    return {key: file.read_text().split()[0] for key, file in files_of(pid).items()}


def now(host: Host, name: str) -> dict[str, str]:
    return kernel(host.instance(name)["pid"])


def until_kernel(host: Host, name: str, **wanted: object) -> None:
    expected = {key: str(value) for key, value in wanted.items()}
    host.running(name)
    wait_for(lambda: {k: now(host, name).get(k) for k in expected} == expected, 15, str(expected))


def test_what_is_declared_is_in_the_kernel(host: Host) -> None:
    declare(
        host,
        "web",
        """\
memory = "48MiB"
memory_high = "40MiB"
cpu = 0.25
cpu_weight = 200
cpuset = "0"
pids = 33
ulimits = { nofile = { soft = 256, hard = 512 }, nproc = { soft = 90, hard = 1000000000 } }
""",
    )
    host.declare(
        "plain", '[workload]\nname = "plain"\nimage = "localhost/bb:1"\n[stop]\ngrace = "1s"\n'
    )
    host.running("web")
    host.running("plain")
    found = now(host, "web")
    assert found["memory"] == str(48 * MIB) and found["memory_high"] == str(40 * MIB)
    assert (found["cpu"], found["cpuset"], found["pids"]) == ("25000", "0", "33")
    assert found.get("weight") == "200" or 5000 < int(found["shares"]) < 5400
    limits = Path(f"/proc/{host.instance('web')['pid']}/limits").read_text()
    assert re.search(r"^Max open files +256 +512 ", limits, re.M), limits
    own = re.search(r"^Max processes +90 +(\d+|unlimited) ", limits, re.M)
    assert own and own[1] != "1000000000"  # lowered to what this host allows, not fatal
    assert host.instance("web")["memory_limit_bytes"] == 48 * MIB
    # What a spec is silent about: the node's default memory, 256 pids.
    plain = now(host, "plain")
    assert plain["memory"] == str(256 * MIB) and plain["pids"] == "256"
    assert host.instance("plain")["memory_limit_bytes"] == 256 * MIB


def test_limits_change_live_and_survive_a_restart_of_the_container(host: Host) -> None:
    declare(host, "web", 'memory = "48MiB"\ncpu = 0.25\npids = 33\n')
    first = host.running("web")["instances"][0]
    path = declare(host, "web", 'memory = "80MiB"\ncpu = 0.5\npids = 44\n')
    host.until("web", lambda w: w["generation"] == 2)
    until_kernel(host, "web", memory=80 * MIB, cpu=50000, pids=44)
    second = host.instance("web")
    assert (second["pid"], second["container_id"]) == (first["pid"], first["container_id"])
    host.until(
        "web", lambda w: w["instances"] and w["instances"][0]["memory_limit_bytes"] == 80 * MIB
    )

    os.kill(first["pid"], signal.SIGKILL)  # the engine forgets live changes at a start
    host.until("web", lambda w: w["ready"] == 1 and w["instances"][0]["restarts"] == 1)
    until_kernel(host, "web", memory=80 * MIB, cpu=50000, pids=44)

    text = path.read_text().replace("80MiB", "24MiB").replace("cpu = 0.5\n", "")
    declared = host.dir / "web.toml"
    declared.write_text(text)
    plan = run(host, "plan", str(declared))
    assert plan.returncode == 2 and plan.stdout.count(" live") == 2, plan.stdout
    pid = host.instance("web")["pid"]
    host.cli("apply", str(declared))
    until_kernel(host, "web", memory=24 * MIB, cpu=-1 if "shares" in now(host, "web") else "max")
    assert host.instance("web")["pid"] == pid


def test_memory_below_what_is_used_is_refused_with_the_figure_unless_forced(host: Host) -> None:
    busy = "dd if=/dev/zero of=/data/x bs=1M count=40; sync"
    busy += "; cat /data/x /data/x /data/x > /tmp/0; cat /data/x > /dev/null; exec sleep 1000000"
    busy = busy.replace("/tmp/0", "/dev/null")
    data = '[[volumes]]\nname = "limits-test"\ntarget = "/data"\n'
    path = declare(host, "web", 'memory = "96MiB"', busy, data)
    before = host.running("web")["instances"][0]
    wait_for(lambda: len(Path(f"/proc/{before['pid']}/comm").read_text()) and sleeps(before), 20)
    text = path.read_text()
    path.write_text(text.replace("96MiB", "20MiB"))
    view = host.until("web", lambda w: w["instances"] and "in use" in w["instances"][0]["reason"])
    words = view["instances"][0]["reason"]
    assert re.search(r"20 MiB is below the \d\d(\.\d)? MiB in use", words), words
    assert "--force" in words
    assert now(host, "web")["memory"] == str(96 * MIB)
    assert any("in use" in e["words"] for e in events(host, workload="web"))

    declared = host.dir / "web.toml"
    declared.write_text(path.read_text())
    host.cli("apply", "--force", str(declared))
    until_kernel(host, "web", memory=20 * MIB)
    assert host.instance("web")["pid"] == before["pid"]
    host.until("web", lambda w: w["instances"] and w["instances"][0]["reason"] == "")


def sleeps(instance: dict[str, object]) -> bool:
    return Path(f"/proc/{instance['pid']}/cmdline").read_text().startswith("sleep")


def test_the_out_of_memory_are_named(host: Host) -> None:
    never = '[restart]\npolicy = "never"\n'
    small = 'memory = "16MiB"'
    eat = "tail /dev/zero"
    declare(host, "first", small, f"exec {eat}", never)
    declare(host, "through", small, f"{eat} || exit 9", never)
    declare(host, "child", small, f"{eat}; exec sleep 1000000")
    declare(host, "strict", small + '\noom = "restart"', f"{eat} & exec sleep 1000000")

    first = host.until("first", lambda w: w["state"] == "failed")["instances"][0]
    assert first["exit_code"] == 137 and "out of memory" in first["reason"]
    through = host.until("through", lambda w: w["state"] == "failed")["instances"][0]
    assert through["exit_code"] == 9 and "out of memory" in through["reason"]
    assert through["oom_kills"] == 1

    host.until("child", lambda w: w["instances"] and w["instances"][0]["oom_kills"] == 1)
    child = host.one("child")
    assert child["ready"] == 1 and child["instances"][0]["restarts"] == 0
    told = until_event(host, "OomKilled", "child")
    assert "killed 1 of its processes" in told["words"]

    strict = host.until("strict", lambda w: w["instances"] and w["instances"][0]["restarts"] >= 1)[
        "instances"
    ][0]
    assert strict["oom_kills"] >= 1
    for name in ("first", "through", "child", "strict"):
        assert "out of memory" in host.cli("why", name)


def test_what_is_changed_by_hand_is_seen_and_healed(host: Host) -> None:
    declare(host, "web", 'memory = "48MiB"\ncpu = 0.25\npids = 33\n')
    declare(host, "db", 'memory = "48MiB"\n')
    web, db = (host.running(name)["instances"][0] for name in ("web", "db"))
    podman = host.lab.podman
    podman("update", "--memory=96m", "--memory-swap=96m", db["container_id"])
    host.kill()  # a new daemon reads the kernel when it adopts
    podman("update", "--cpus=1", web["container_id"])
    files_of(web["pid"])["pids"].write_text("99")
    host.start()
    until_kernel(host, "web", cpu=25000, pids=33)
    until_kernel(host, "db", memory=48 * MIB)
    assert host.instance("web")["pid"] == web["pid"] and host.instance("db")["pid"] == db["pid"]
    drift = " ".join(e["words"] for e in events(host, "DriftDetected", "web"))
    assert "cpu is 1.0, declared 0.25" in drift and "pids is 99, declared 33" in drift
    drift = " ".join(e["words"] for e in events(host, "DriftDetected", "db"))
    assert "memory is 96 MiB, declared 48 MiB" in drift

    podman("update", "--memory=64m", "--memory-swap=64m", web["container_id"])
    until_event(host, "DriftDetected", "web", "memory is 64 MiB", deadline=45)  # read every 30 s
    until_kernel(host, "web", memory=48 * MIB)
    assert host.instance("web")["pid"] == web["pid"]
    assert "the kernel holds the declared limits" in host.cli("events", "web")


def test_what_does_not_fit_waits_and_starts_when_there_is_room(lab: Lab) -> None:
    total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    reserve = f"{total // 1024 - 100 * 1024}KiB"
    with one_host(lab, f'[node]\nmemory_reserve = "{reserve}"\n') as host:
        declare(host, "first", 'memory = "64MiB"')
        before = host.running("first")["instances"][0]
        declare(host, "low", 'memory = "64MiB"')
        high = declare(host, "high", 'memory = "64MiB"')
        high.write_text(high.read_text().replace("networks", "priority = 10\nnetworks"))
        reason = "insufficient memory (need 64 MiB, 36 MiB free)"
        for name in ("low", "high"):
            host.until(name, lambda w: (w["state"], w["reason"]) == ("pending", reason))
            assert "insufficient memory" in host.cli("why", name)
        declare(host, "small", 'memory = "32MiB"')
        host.running("small")  # what fits is not held up by what does not
        declare(host, "first", 'memory = "80MiB"')  # nor may a live change take what is not there
        host.until("first", lambda w: w["generation"] == 2)
        assert now(host, "first")["memory"] == str(64 * MIB)

        os.unlink(host.specs / "first.toml")
        host.running("high")
        host.until("low", lambda w: w["state"] == "pending")
        assert not Path(f"/proc/{before['pid']}").exists()
        host.cli("stop", "high")
        host.running("low")
        assert as_json(host, "status", "high")[0]["state"] == "stopped"

        # As much again, where that is configured.
        host.stop()
        configure(host, f'[node]\nmemory_reserve = "{reserve}"\novercommit = 2.0\n')
        host.start()
        host.cli("start", "high")
        host.running("high")
        host.running("low")
