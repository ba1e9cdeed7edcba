"""Kernel files of both layouts: as recorded ones, and those of real containers."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from nodeorch.adapters.cgroup import CgroupReader, weight_of_blkio, weight_of_shares
from nodeorch.adapters.podman.limits import blkio_weight, shares
from nodeorch.model.view import Pressure
from nodeorch.model.world import Limits
from tests.lab import Lab, wait_for
from tests.lab.lab import IMAGE
from tests.lab.teardown import late_teardown

CID = "4f2d" * 16
MAX_V1 = "9223372036854771712"

V2 = {
    "memory.max": "67108864",
    "memory.high": "50331648",
    "memory.swap.max": "0",
    "memory.current": "30000000",
    "memory.stat": "anon 1\nfile 2\ninactive_file 10000000\nactive_file 5",
    "memory.events": "low 0\nhigh 12\nmax 3\noom 2\noom_kill 2\noom_group_kill 0",
    "cpu.max": "50000 100000",
    "cpu.weight": "300",
    "cpu.stat": "usage_usec 2500000\nuser_usec 1\nsystem_usec 2",
    "cpuset.cpus": "0-1",
    "pids.max": "64",
    "io.weight": "default 500\n8:0 200",
    "io.max": "999:0 rbps=1048576 wbps=max riops=max wiops=50",
}
V1 = {
    "memory/memory.limit_in_bytes": "67108864",
    "memory/memory.memsw.limit_in_bytes": "83886080",
    "memory/memory.soft_limit_in_bytes": "33554432",
    "memory/memory.usage_in_bytes": "30000000",
    "memory/memory.stat": "cache 1\ntotal_inactive_file 10000000",
    "memory/memory.oom_control": "oom_kill_disable 0\nunder_oom 0\noom_kill 4",
    "cpu,cpuacct/cpu.cfs_quota_us": "25000",
    "cpu,cpuacct/cpu.cfs_period_us": "100000",
    "cpu,cpuacct/cpu.shares": "1024",
    "cpu,cpuacct/cpuacct.usage": "2500000000",
    "cpuset/cpuset.cpus": "0",
    "pids/pids.max": "64",
    "blkio/blkio.bfq.weight": "200",
    "blkio/blkio.throttle.read_bps_device": "999:0 1048576",
    "blkio/blkio.throttle.write_iops_device": "999:0 50",
}
IO = {"999:0": {"read_bytes": 1048576, "write_ops": 50}}
PROCESS = """\
Limit                     Soft Limit           Hard Limit           Units
Max core file size        0                    unlimited            bytes
Max open files            1024                 4096                 files
"""
ULIMITS = {"core": (0, -1), "nofile": (1024, 4096)}
CROWD = ("memory", "cpu,cpuacct", "cpuset", "pids", "blkio")


class Tree:
    """A made-up /sys/fs/cgroup and /proc with one container."""

    def __init__(self, base: Path, v2: bool, inside: str) -> None:
        self.root, self.proc, self.v2 = base / "cgroup", base / "proc", v2
        self.where = f"machine.slice/libpod-{CID}.scope"
        (self.proc / "7").mkdir(parents=True)
        if v2:
            self.write({}, "cgroup.controllers", "cpu io memory pids")
            lines = [f"0::/{self.where}{inside}"]
        else:
            lines = [f"{n}:{c}:/{self.where}{inside}" for n, c in enumerate(CROWD, 2)]
            lines += ["1:name=systemd:/elsewhere", "0::/"]
        (self.proc / "7" / "limits").write_text(PROCESS)
        (self.proc / "7" / "cgroup").write_text("\n".join(lines) + "\n")

    def write(self, files: dict[str, str], *more: str) -> None:
        pairs = [(self.path(name), text) for name, text in files.items()]
        if more:
            pairs.append((self.root / more[0], more[1]))
        for path, text in pairs:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text + "\n")

    def path(self, name: str) -> Path:
        if self.v2:
            return self.root / self.where / name
        controller, _, file = name.partition("/")
        return self.root / controller / self.where / file

    def reader(self) -> CgroupReader:
        return CgroupReader(str(self.root), str(self.proc), now=lambda: 5.0)


@pytest.fixture(params=["", "/container"])
def v2(request: pytest.FixtureRequest, tmp_path: Path) -> Tree:
    """With and without the level that crun puts below."""
    tree = Tree(tmp_path, v2=True, inside=request.param)
    tree.write(V2)
    return tree


@pytest.fixture
def v1(tmp_path: Path) -> Tree:
    tree = Tree(tmp_path, v2=False, inside="")
    tree.write(V1)
    return tree


def test_v2_limits(v2: Tree) -> None:
    assert v2.reader().limits(7, CID) == Limits(
        memory=67108864,
        memory_high=50331648,
        swap=0,
        cpu=0.5,
        cpu_weight=300,
        cpuset="0-1",
        pids=64,
        io_weight=500,
        io=IO,
        ulimits=ULIMITS,
    )


PSI = {
    "cpu.pressure": "some avg10=1.50 avg60=0.90 avg300=0.22 total=2500000",
    "memory.pressure": """\
some avg10=0.00 avg60=0.00 avg300=0.00 total=170678
full avg10=0.00 avg60=0.00 avg300=0.00 total=99999999""",
    "io.pressure": """\
some avg10=12.34 avg60=1.25 avg300=0.81 total=1000001
full avg10=1.19 avg60=0.43 avg300=0.44 total=71262917""",
}
"""As kernel 6.1 writes them."""


def test_v2_pressure_is_of_some_tasks_in_seconds(v2: Tree) -> None:
    v2.write(PSI)
    usage = v2.reader().usage(7, CID)
    assert usage is not None
    assert usage.stalled == {"cpu": 2.5, "memory": 0.170678, "io": 1.000001}


@pytest.mark.parametrize(
    "text", ["", "some", "some total", "some total=x", "some total=", "full 1"]
)
def test_pressure_that_the_kernel_does_not_tell(v2: Tree, text: str) -> None:
    v2.write({"cpu.pressure": text})
    usage = v2.reader().usage(7, CID)
    assert usage is not None and usage.stalled == {}


def test_v1_has_no_pressure(v1: Tree) -> None:
    usage = v1.reader().usage(7, CID)
    assert usage is not None and usage.stalled == {}


def test_the_host(v1: Tree) -> None:
    assert v1.reader().host().pressure == Pressure()
    assert v1.reader().host().memory_total is None
    (v1.proc / "pressure").mkdir()
    for name, text in PSI.items():
        (v1.proc / "pressure" / name.partition(".")[0]).write_text(text + "\n")
    (v1.proc / "meminfo").write_text(
        "MemTotal:        4025128 kB\nMemFree:          118324 kB\nMemAvailable:    2718024 kB\n"
    )
    host = v1.reader().host()
    assert host.pressure == Pressure(cpu=1.5, memory=0.0, io=12.34)
    assert (host.memory_total, host.memory_available) == (4025128 << 10, 2718024 << 10)
    assert host.cpus >= 1


def test_v2_without_limits(v2: Tree) -> None:
    nothing = dict.fromkeys(("memory.max", "memory.high", "memory.swap.max", "pids.max"), "max")
    v2.write(nothing | {"cpu.max": "max 100000", "cpuset.cpus": "", "io.weight": "default 100"})
    assert v2.reader().limits(7, CID) == Limits(
        cpu_weight=300, io_weight=100, io=IO, ulimits=ULIMITS
    )


def test_v2_block_weight_of_bfq_and_missing_controllers(v2: Tree) -> None:
    v2.path("io.weight").unlink()
    v2.write({"io.bfq.weight": "default 1000"})
    assert v2.reader().limits(7, CID).io_weight == 10000  # type: ignore[union-attr]
    for name in V2:
        v2.path(name).unlink(missing_ok=True)
    v2.path("io.bfq.weight").unlink()
    assert v2.reader().limits(7, CID) == Limits(ulimits=ULIMITS)


def test_v2_usage(v2: Tree) -> None:
    usage = v2.reader().usage(7, CID)
    assert usage is not None
    assert (usage.memory, usage.cpu_seconds, usage.oom_kills) == (20000000, 2.5, 2)
    assert usage.at == 5.0


def test_v1_limits(v1: Tree) -> None:
    assert v1.reader().limits(7, CID) == Limits(
        memory=67108864,
        memory_high=33554432,
        swap=16777216,
        cpu=0.25,
        cpu_weight=40,
        cpuset="0",
        pids=64,
        io_weight=1920,
        io=IO,
        ulimits=ULIMITS,
    )


def test_v1_without_limits(v1: Tree) -> None:
    v1.write(
        {
            "memory/memory.limit_in_bytes": MAX_V1,
            "memory/memory.memsw.limit_in_bytes": MAX_V1,
            "memory/memory.soft_limit_in_bytes": MAX_V1,
            "cpu,cpuacct/cpu.cfs_quota_us": "-1",
            "pids/pids.max": "max",
        }
    )
    assert v1.reader().limits(7, CID) == Limits(
        cpu_weight=40, cpuset="0", io_weight=1920, io=IO, ulimits=ULIMITS
    )


def test_v1_without_swap_accounting(v1: Tree) -> None:
    v1.path("memory/memory.memsw.limit_in_bytes").unlink()
    limits = v1.reader().limits(7, CID)
    assert limits is not None and limits.memory == 67108864 and limits.swap is None


def test_v1_usage(v1: Tree) -> None:
    usage = v1.reader().usage(7, CID)
    assert usage is not None
    assert (usage.memory, usage.cpu_seconds, usage.oom_kills) == (20000000, 2.5, 4)


def test_oom_kills_of_one_that_died_before_it_was_looked_at(v2: Tree) -> None:
    assert v2.reader().oom_kills(CID) == 2
    assert v2.reader().oom_kills("5" + CID[1:]) is None


def test_the_same_on_v1(v1: Tree) -> None:
    assert v1.reader().oom_kills(CID) == 4
    assert v1.reader().oom_kills("5" + CID[1:]) is None


def test_oom_kills_can_be_read_after_the_first_process_died(v2: Tree) -> None:
    reader = v2.reader()
    assert reader.limits(7, CID) is not None
    shutil.rmtree(v2.proc / "7")
    assert reader.oom_kills(CID) == 2
    shutil.rmtree(v2.root / v2.where)
    assert reader.oom_kills(CID) is None


@pytest.mark.parametrize("weight", [1, 2, 39, 40, 99, 100, 5000, 9999, 10000])
def test_weights_come_back_from_v1_scales(weight: int) -> None:
    assert weight_of_shares(shares(weight)) == weight
    assert abs(weight_of_blkio(blkio_weight(weight)) - weight) <= 10
    assert 2 <= shares(weight) <= 262144 and 10 <= blkio_weight(weight) <= 1000


def test_limits_of_a_real_container(lab: Lab) -> None:
    flags = ("--memory=64m", "--memory-swap=64m", "--cpus=0.5", "--pids-limit=33")
    container = lab.podman("run", "-d", *flags, "--cpuset-cpus=0", "localhost/bb:1")
    reader, pid = CgroupReader(), lab.pid(container)
    limits = reader.limits(pid, container)
    assert limits is not None
    assert (limits.memory, limits.swap, limits.cpu) == (64 << 20, 0, 0.5)
    assert (limits.pids, limits.cpuset) == (33, "0")
    usage = reader.usage(pid, container)
    assert usage is not None and usage.oom_kills == 0
    assert usage.memory is not None and 0 < usage.memory < 64 << 20
    assert usage.cpu_seconds is not None and usage.cpu_seconds > 0
    assert reader.limits(1, container) is None


def test_an_empty_cgroup_is_swept_and_one_that_lives_is_not(lab: Lab) -> None:
    container = lab.podman("run", "-d", "--network=none", IMAGE)
    reader = CgroupReader()
    pid = lab.pid(container)
    assert reader.limits(pid, container)
    reader.sweep({container})
    reader.sweep(set())
    assert reader.limits(pid, container), "it runs on in its cgroup"
    with late_teardown(container) as frozen:
        assert reader.kill(container) == 1
        wait_for(frozen.is_set, 10, "it has ended")
        reader.sweep(set())
        assert not list(Path("/sys/fs/cgroup").glob(f"*/libpod_parent/libpod-{container}"))


def test_an_oom_kill_right_after_the_start_is_counted(lab: Lab) -> None:
    """Its first process is dead before anybody could ask where its cgroup is."""
    eat = ("--memory=16m", IMAGE, "tail", "/dev/zero")
    container = lab.podman("create", "--network=none", *eat)
    with late_teardown(container) as frozen:
        lab.podman("start", container)
        wait_for(frozen.is_set, 10, "it has ended")
        assert CgroupReader().oom_kills(container) == 1


def test_an_oom_kill_of_a_child_is_counted(lab: Lab) -> None:
    """The first process lives on; only the cgroup tells."""
    leak = "while true; do (x=a; while true; do x=$x$x; done); sleep 0.2; done"
    flags = ("--memory=16m", "--memory-swap=16m")
    container = lab.podman("run", "-d", *flags, "localhost/bb:1", "sh", "-c", leak)
    reader, pid = CgroupReader(), lab.pid(container)
    assert reader.limits(pid, container)
    wait_for(lambda: (reader.oom_kills(container) or 0) > 0, 20)
    assert lab.pid(container) == pid


@pytest.mark.parametrize("gone", ["memory", "pids"])
def test_a_cgroup_that_goes_while_it_is_read_has_no_limits_to_tell(v1: Tree, gone: str) -> None:
    """The kernel takes the directories away one by one; the process may still be a zombie."""
    shutil.rmtree(v1.path(f"{gone}/x").parent)
    assert v1.reader().limits(7, CID) is None


def test_on_v2_too(v2: Tree) -> None:
    shutil.rmtree(v2.path("x").parent)
    assert v2.reader().limits(7, CID) is None
