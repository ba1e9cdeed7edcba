"""What is looked at, on made-up files; and that looking works here, as anybody."""

from __future__ import annotations

import json
import os
import sqlite3
import sys
from pathlib import Path

import pytest

from nodeorch.adapters.sqlite.schema import MIGRATIONS, open_database
from nodeorch.doctor import read_kernel, read_node, read_podman, trial
from nodeorch.doctor.facts import Facts
from nodeorch.doctor.read import read
from nodeorch.spec.settings import PathSettings, Settings

V1 = """\
tmpfs /sys/fs/cgroup tmpfs rw,mode=755 0 0
cgroup /sys/fs/cgroup/memory cgroup rw,relatime,memory 0 0
cgroup /sys/fs/cgroup/cpu,cpuacct cgroup rw,relatime,cpu,cpuacct 0 0
"""
UNIFIED = "cgroup2 /sys/fs/cgroup/unified cgroup2 rw,relatime 0 0\n"
CONTROLLERS = "cpuset cpu io memory pids\n"


def write(folder: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


def cgroups(tmp_path: Path, mounts: str, files: dict[str, str]) -> Facts:
    root = write(tmp_path / "cgroup", files)
    listed = tmp_path / "mounts"
    listed.write_text(mounts.replace("/sys/fs/cgroup", str(root)))
    return Facts(**read_kernel.cgroups(str(root), str(listed)))


def test_cgroup_v2_of_a_host(tmp_path: Path) -> None:
    mounts = "cgroup2 /sys/fs/cgroup cgroup2 rw,nosuid 0 0\n"
    files = {
        "cgroup.controllers": CONTROLLERS,
        "cgroup.subtree_control": "memory pids\n",
        "cgroup.procs": "1\n2\n",
        "system.slice/memory.current": "1\n",
        "system.slice/memory.swap.max": "max\n",
    }
    seen = cgroups(tmp_path, mounts, files)
    assert (seen.cgroup, seen.controllers) == ("v2", frozenset(CONTROLLERS.split()))
    assert (seen.undelegated, seen.cgroup_read_only) == (frozenset(), False)
    assert seen.swap_accounting is True


def test_cgroup_v2_inside_of_a_container(tmp_path: Path) -> None:
    mounts = "cgroup2 /sys/fs/cgroup cgroup2 ro,nosuid 0 0\n"
    files = {
        "cgroup.controllers": CONTROLLERS,
        "cgroup.subtree_control": "memory\n",
        "cgroup.type": "domain\n",
        "cgroup.procs": "1\n",
        "below/memory.current": "1\n",
    }
    seen = cgroups(tmp_path, mounts, files)
    assert seen.undelegated == {"cpuset", "cpu", "io", "pids"}
    assert seen.cgroup_read_only
    assert seen.swap_accounting is False
    (tmp_path / "cgroup" / "cgroup.procs").write_text("")
    again = Facts(**read_kernel.cgroups(str(tmp_path / "cgroup"), str(tmp_path / "mounts")))
    assert again.undelegated == frozenset()


def test_cgroup_v1_hybrid_and_none(tmp_path: Path) -> None:
    swap = {"memory/memory.memsw.limit_in_bytes": "1\n"}
    seen = cgroups(tmp_path, V1, swap)
    assert seen.cgroup == "v1" and seen.swap_accounting
    assert seen.controllers and {"memory", "cpu"} <= seen.controllers
    assert cgroups(tmp_path, V1 + UNIFIED, swap).cgroup == "hybrid"
    assert cgroups(tmp_path, "", {}).cgroup == "none"


def test_agents_of_serf(tmp_path: Path) -> None:
    folder = write(tmp_path, {"a.json": "{}", "b.json": json.dumps({"bind": "10.0.0.7:7946"})})
    open_one = read_node.agent(7, ["serf", "agent", f"-config-dir={folder}", ""])
    assert (open_one.pid, open_one.bind, open_one.encrypted) == (7, "10.0.0.7:7946", False)
    assert read_node.agent(7, ["serf", "agent"]).bind == "0.0.0.0"
    assert read_node.agent(7, ["serf", "agent", "--encrypt", "key"]).encrypted
    (folder / "c.json").write_text('{"encrypt_key": "x"}')
    assert read_node.agent(7, ["serf", "agent", "-config-dir", str(folder)]).encrypted
    assert read_node.agent(7, ["serf", "agent", f"-config-file={folder}/c.json"]).encrypted


def test_containers_conf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(
        tmp_path,
        {
            "usr.conf": '[engine]\nruntime = "crun"\nexit_command_delay = 300\n',
            "etc.conf": '[engine]\nruntime = "runc"\n',
            "etc.d/1.conf": "[engine]\nexit_command_delay = 2\n",
            "etc.d/2.conf": "this is no TOML",
            "alone.conf": '[network]\nnetwork_backend = "cni"\n',
        },
    )
    files = tuple(str(tmp_path / name) for name in ("usr.conf", "etc.conf"))
    monkeypatch.setattr(read_podman, "CONF_FILES", files)
    monkeypatch.setattr(read_podman, "DROP_INS", str(tmp_path / "etc.d" / "*.conf"))
    monkeypatch.delenv("CONTAINERS_CONF", raising=False)
    seen = Facts(**read_podman.conf(0))
    assert seen.conf == {"engine": {"runtime": "runc", "exit_command_delay": 2}}
    assert seen.conf_file == ""
    monkeypatch.setenv("CONTAINERS_CONF", str(tmp_path / "alone.conf"))
    seen = Facts(**read_podman.conf(0))
    assert seen.conf == {"network": {"network_backend": "cni"}}
    assert seen.conf_file == str(tmp_path / "alone.conf")


def test_the_version_of_the_database_is_read_without_opening_it(tmp_path: Path) -> None:
    assert read_node.state(str(tmp_path)) == ({"state": str(tmp_path), "state_mode": 0o700}, [])
    db, _ = open_database(tmp_path / "nodeorch.db", 0.0)
    db.close()
    assert read_node.state(str(tmp_path))[0]["schema"] == len(MIGRATIONS)
    with sqlite3.connect(tmp_path / "nodeorch.db") as again:
        again.execute("PRAGMA user_version = 77")
    again.close()
    assert read_node.state(str(tmp_path))[0]["schema"] == 77
    (tmp_path / "nodeorch.db").write_bytes(b"nonsense")
    assert "schema" not in read_node.state(str(tmp_path))[0]


def test_specs_and_settings(tmp_path: Path) -> None:
    write(
        tmp_path,
        {
            "w/web.toml": '[workload]\nname = "web"\nimage = "i"\nreplicas = 3\n'
            '[probes.liveness]\nexec = ["true"]\n[resources]\npids = 10\n'
            '[security]\nuserns = "auto"\n',
            "w/bad.toml": "[workload\n",
            "w/.hidden.toml": "nonsense",
            "nodeorch.toml": f'[paths]\nworkloads = "{tmp_path}/w"\n[api]\ngroup = "no-such"\n',
        },
    )
    settings, facts, unseen = read_node.settings(str(tmp_path / "nodeorch.toml"))
    seen = Facts(**facts)
    assert (seen.config_missing, seen.group, seen.group_known) == (False, "no-such", False)
    assert (seen.spec_folder, unseen) == (f"{tmp_path}/w", [])
    specs, unseen = read_node.specs(settings)
    seen = Facts(**specs)
    assert seen.workloads is not None and unseen == []
    web = seen.workloads["web"]
    assert (web.pids, web.exec_probes, web.userns) == (30, True, True)
    [problem] = seen.spec_problems
    assert problem.startswith(f"{tmp_path}/w/bad.toml:1:")
    missing = Settings(paths=PathSettings(workloads=f"{tmp_path}/none"))
    assert read_node.specs(missing) == ({"workloads": {}}, [])
    (tmp_path / "nodeorch.toml").write_text("[paths]\nstaet = 1\n")
    _, facts, _ = read_node.settings(str(tmp_path / "nodeorch.toml"))
    assert "did you mean" in facts["settings_problems"][0]


def test_disks_of_one_file_system_are_one(tmp_path: Path) -> None:
    places = [("one", str(tmp_path / "not" / "yet")), ("two", str(tmp_path)), ("proc", "/proc")]
    seen = read_kernel.disks(places)
    assert [(disk.what, disk.path) for disk in seen] == [("one", str(tmp_path)), ("proc", "/proc")]
    assert 0 < seen[0].free < seen[0].size


@pytest.mark.skipif(os.uname().machine not in trial.EXITS, reason="no program for this machine")
def test_the_program_of_the_trial_ends_well(tmp_path: Path) -> None:
    elf = trial.program(os.uname().machine)
    assert elf is not None and len(elf) < 140
    path = tmp_path / "end"
    path.write_bytes(elf)
    path.chmod(0o755)
    assert os.spawnv(os.P_WAIT, str(path), ["end"]) == 0
    assert trial.program("vax") is None


def test_a_whole_look_at_this_host(tmp_path: Path) -> None:
    """Without Podman, without a daemon: nothing is raised, and the kernel is known."""
    config = write(
        tmp_path,
        {
            "nodeorch.toml": f'[podman]\nsocket = "{tmp_path}/p.sock"\n[paths]\n'
            f'state = "{tmp_path}/state"\nsocket = "{tmp_path}/n.sock"\n'
        },
    )
    seen = read(str(config / "nodeorch.toml"), None, ())
    assert seen.podman_listens is False and seen.daemon_listens is False
    assert seen.pidfd and seen.cgroup and seen.inotify_left
    assert seen.synchronised in (True, False) and sys.maxsize > 2**32
    assert seen.root is (os.geteuid() == 0)
    assert not list(tmp_path.glob("state*"))
