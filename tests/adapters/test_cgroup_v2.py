"""The layout of a host with cgroup v2, systemd's cgroup manager and crun, as Debian 13 has it.

Every file that a scope has there is in the tree, with the whole text in the kernel's form
(Documentation/admin-guide/cgroup-v2.rst, Linux 6.12), and so are the neighbours that could be
mistaken for the container: crun's cgroup below it, conmon's beside it, another container's.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from nodeorch.adapters.cgroup import CgroupReader
from nodeorch.model.world import Limits

CID, OTHER = "7c31" * 16, "7c32" * 16
SLICE = "machine.slice"
POD = f"{SLICE}/machine-libpod_pod_{'ab' * 32}.slice"

LIMITED = {
    "cgroup.controllers": "cpuset cpu io memory hugetlb pids rdma misc dmem",
    "cgroup.events": "populated 1\nfrozen 0",
    "cgroup.procs": "",
    "cgroup.subtree_control": "",
    "cgroup.type": "domain",
    "cpu.max": "50000 100000",
    "cpu.max.burst": "0",
    "cpu.pressure": "some avg10=2.04 avg60=1.00 avg300=0.21 total=1433041\n"
    "full avg10=2.04 avg60=1.00 avg300=0.21 total=1433041",
    "cpu.stat": "usage_usec 4120345\nuser_usec 3100218\nsystem_usec 1020127\nnice_usec 0\n"
    "core_sched.force_idle_usec 0\nnr_periods 412\nnr_throttled 31\nthrottled_usec 903114\n"
    "nr_bursts 0\nburst_usec 0",
    "cpu.weight": "79",
    "cpuset.cpus": "0,2-3",
    "cpuset.cpus.effective": "0,2-3",
    "cpuset.mems": "",
    "io.max": "253:0 rbps=10485760 wbps=5242880 riops=max wiops=max\n"
    "259:7 rbps=max wbps=max riops=1000 wiops=500",
    "io.pressure": "some avg10=0.00 avg60=0.00 avg300=0.00 total=20117\n"
    "full avg10=0.00 avg60=0.00 avg300=0.00 total=20005",
    "io.stat": "253:0 rbytes=3280896 wbytes=0 rios=96 wios=0 dbytes=0 dios=0",
    "io.weight": "default 100",
    "memory.current": "52428800",
    "memory.events": "low 0\nhigh 40\nmax 12\noom 3\noom_kill 2\noom_group_kill 0",
    "memory.events.local": "low 0\nhigh 40\nmax 12\noom 3\noom_kill 0\noom_group_kill 0",
    "memory.high": "max",
    "memory.max": "134217728",
    "memory.oom.group": "0",
    "memory.peak": "60817408",
    "memory.pressure": "some avg10=0.00 avg60=0.00 avg300=0.00 total=170678\n"
    "full avg10=0.00 avg60=0.00 avg300=0.00 total=168000",
    "memory.stat": "anon 20971520\nfile 31457280\nkernel 1228800\nkernel_stack 65536\n"
    "pagetables 163840\nsec_pagetables 0\npercpu 1152\nsock 0\nvmalloc 0\nshmem 0\nzswap 0\n"
    "zswapped 0\nfile_mapped 8192000\nfile_dirty 0\nfile_writeback 0\nswapcached 0\n"
    "anon_thp 0\nfile_thp 0\nshmem_thp 0\ninactive_anon 20889600\nactive_anon 81920\n"
    "inactive_file 12582912\nactive_file 18874368\nunevictable 0\nslab_reclaimable 600000\n"
    "slab_unreclaimable 300000\nslab 900000\nworkingset_refault_anon 0\npgfault 11822\n"
    "pgmajfault 91",
    "memory.swap.current": "0",
    "memory.swap.max": "0",
    "memory.zswap.max": "max",
    "pids.current": "5",
    "pids.events": "max 0",
    "pids.max": "128",
    "pids.peak": "9",
}
FREE = {
    "cpu.max": "max 100000",
    "cpu.weight": "100",
    "cpuset.cpus": "",
    "memory.high": "max",
    "memory.max": "max",
    "memory.swap.max": "max",
    "memory.current": "1",
    "memory.events": "low 0\nhigh 0\nmax 0\noom 0\noom_kill 0\noom_group_kill 0",
    "memory.stat": "anon 1\ninactive_file 0",
    "cpu.stat": "usage_usec 1",
    "pids.max": "max",
}
"""Of a cgroup that somebody else limits, or nobody."""


class Host:
    def __init__(self, base: Path, parent: str = SLICE, inside: str = "/container") -> None:
        self.root, self.proc = base / "cgroup", base / "proc"
        self.scope = f"{parent}/libpod-{CID}.scope"
        self.write("", {"cgroup.controllers": LIMITED["cgroup.controllers"]})
        self.write(parent, FREE)
        self.write(self.scope, LIMITED)
        if inside:
            self.write(self.scope + inside, FREE)
        for neighbour in (f"libpod-conmon-{CID}.scope", f"libpod-{OTHER}.scope/container"):
            self.write(f"{parent}/{neighbour}", FREE)
        self.process(4211, self.scope + inside)

    def write(self, where: str, files: dict[str, str]) -> None:
        for name, text in files.items():
            path = self.root / where / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text + "\n" if text else "")

    def process(self, pid: int, where: str) -> None:
        (self.proc / str(pid)).mkdir(parents=True, exist_ok=True)
        (self.proc / str(pid) / "cgroup").write_text(f"0::/{where}\n")

    def reader(self) -> CgroupReader:
        return CgroupReader(str(self.root), str(self.proc), now=lambda: 9.0)


@pytest.fixture(
    params=[(SLICE, "/container"), (POD, "/container"), (SLICE, "")],
    ids=["crun", "crun-in-a-pod", "runc"],
)
def host(request: pytest.FixtureRequest, tmp_path: Path) -> Host:
    return Host(tmp_path, *request.param)


def test_limits_are_those_of_the_scope(host: Host) -> None:
    limits = host.reader().limits(4211, CID)
    assert limits is not None
    devices = [sorted(fields.items()) for fields in limits.io.values()]
    assert devices == [
        [("read_bytes", 10485760), ("write_bytes", 5242880)],
        [("read_ops", 1000), ("write_ops", 500)],
    ]
    assert limits == Limits(
        memory=134217728,
        memory_high=None,
        swap=0,
        cpu=0.5,
        cpu_weight=79,
        cpuset="0,2-3",
        pids=128,
        io_weight=100,
        io=limits.io,
    )


def test_usage_is_that_of_the_scope(host: Host) -> None:
    usage = host.reader().usage(4211, CID)
    assert usage is not None
    assert (usage.memory, usage.cpu_seconds) == (52428800 - 12582912, 4.120345)
    assert usage.stalled == {"cpu": 1.433041, "memory": 0.170678, "io": 0.020117}


def test_kills_below_the_scope_are_counted(host: Host) -> None:
    """memory.events, not memory.events.local: crun's cgroup is below."""
    reader = host.reader()
    usage = reader.usage(4211, CID)
    assert usage is not None and usage.oom_kills == reader.oom_kills(CID) == 2


def test_controllers_that_systemd_did_not_turn_on(host: Host) -> None:
    """Without io in machine.slice, which is usual, there are no io files at all."""
    for name in ("io.max", "io.weight", "io.stat", "cpuset.cpus", "memory.swap.max"):
        (host.root / host.scope / name).unlink()
    limits = host.reader().limits(4211, CID)
    assert limits is not None and (limits.memory, limits.pids) == (134217728, 128)
    assert (limits.io, limits.io_weight, limits.cpuset, limits.swap) == ({}, None, None, None)


def test_a_process_of_elsewhere_tells_nothing(host: Host) -> None:
    """A pid that was used again."""
    host.process(4211, f"{SLICE}/libpod-{OTHER}.scope/container")
    assert host.reader().limits(4211, CID) is None
    host.process(4211, "system.slice/ssh.service")
    assert host.reader().usage(4211, CID) is None


def test_a_zombie_whose_cgroup_is_gone_misleads_nobody_later(host: Host) -> None:
    """The kernel marks its path then; the next run is in a cgroup of the same name."""
    own = (host.proc / "4211" / "cgroup").read_text().strip().removeprefix("0::/")
    away = host.root / "away"
    (host.root / host.scope).rename(away)
    host.process(4211, f"{own} (deleted)")
    reader = host.reader()
    assert reader.limits(4211, CID) is None
    away.rename(host.root / host.scope)
    host.process(4300, own)
    limits = reader.limits(4300, CID)
    assert limits is not None and limits.memory == 134217728
    assert reader.oom_kills(CID) == 2
