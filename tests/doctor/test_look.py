"""Every check, by made-up facts: a healthy host gives nothing, each fault its finding."""

from __future__ import annotations

import re
import string
from typing import Any

import pytest
from msgspec.structs import fields, replace

from nodeorch.adapters.sqlite.schema import MIGRATIONS
from nodeorch.doctor import look_node
from nodeorch.doctor.catalogue import CATALOGUE
from nodeorch.doctor.catalogue_cluster import CLUSTER
from nodeorch.doctor.catalogue_kernel import KERNEL
from nodeorch.doctor.catalogue_node import NODE
from nodeorch.doctor.catalogue_podman import PODMAN as PODMANS
from nodeorch.doctor.examine import Told, examine, failed
from nodeorch.doctor.facts import Daemon, Etcd, Facts, Found, Serf, Service, Workload
from nodeorch.doctor.finding import Severity
from tests.doctor.healthy import CERTIFICATE, DISK, FLEET, GIB, HEALTHY, PODMAN, SERVICE

OURS = {"nodeorch.workload": "web"}
V1 = frozenset({"memory", "pids", "cpu", "cpuset", "blkio"})
NARROW = Service(may_raise_limits=False, nofile=20000, nproc=30000)

ETCDS = tuple(Etcd(f"https://10.0.0.{n}:2379", version="3.5.16") for n in (1, 2))
DAY = 86400.0


def fleet_with(**changes: Any) -> Any:
    return replace(FLEET, certificate=replace(CERTIFICATE, **changes))


FAULTS: list[tuple[str, dict[str, Any]]] = [
    ("kernel-too-old", {"kernel": "5.2.9"}),
    ("pidfd-refused", {"pidfd": False}),
    ("cgroup-missing", {"cgroup": "none", "controllers": None}),
    ("cgroup-read-only", {"cgroup_read_only": True}),
    ("cgroup-v1", {"cgroup": "hybrid", "controllers": V1}),
    ("cgroup-v1", {"cgroup": "v1", "controllers": V1}),
    ("controller-missing", {"controllers": frozenset({"cpu", "cpuset", "io", "pids"})}),
    ("cgroup-undelegated", {"undelegated": frozenset({"memory"})}),
    ("swap-unaccounted", {"swap_accounting": False}),
    ("psi-missing", {"psi": False}),
    ("inotify-exhausted", {"inotify_left": False}),
    ("inotify-low", {"inotify_instances": 63}),
    ("pids-low", {"pid_max": 32768, "tasks": 30000}),
    ("pids-low", {"pid_max": 32768, "workloads": {"web": Workload(pids=32769)}}),
    ("clock-wrong", {"year": 1970}),
    ("clock-went-back", {"ahead": 3600.0}),
    ("clock-unsynchronised", {"synchronised": False}),
    ("zones-missing", {"zones": False}),
    ("no-systemd", {"systemd": False, "podman": replace(PODMAN, manager="cgroupfs")}),
    ("unit-missing", {"unit": False}),
    ("unit-disabled", {"unit_enabled": False}),
    ("podman-missing", {"podman_version": "", "podman": None, "podman_listens": False}),
    ("podman-too-old", {"podman_version": "4.2.1"}),
    ("podman-socket-missing", {"podman_listens": False}),
    ("podman-silent", {"podman_trouble": "no answer within 1 s"}),
    ("podman-socket-open", {"podman_open": True}),
    ("podman-rootless", {"podman": replace(PODMAN, rootless=True)}),
    ("runtime-cannot-start", {"trials": {"ours": "crun: cgroup", "plain": "crun: cgroup"}}),
    ("default-ulimits", {"trials": {"ours": "", "plain": "setting rlimits"}}),
    ("default-ulimits", {"trials": {}, "service": NARROW}),
    ("network-cannot-start", {"trials": {"ours": "", "plain": "", "network": "iptables"}}),
    ("network-cni", {"podman": replace(PODMAN, backend="cni")}),
    ("helper-missing", {"helpers": HEALTHY.helpers - {"netavark"}}),  # type: ignore[operator]
    ("helper-missing", {"helpers": HEALTHY.helpers - {"nft"}}),  # type: ignore[operator]
    ("manager-systemd", {"systemd": False}),
    ("manager-cgroupfs", {"podman": replace(PODMAN, manager="cgroupfs")}),
    ("events-off", {"podman": replace(PODMAN, events_logger="none")}),
    ("events-off", {"journald": False}),
    ("exit-delay", {"workloads": {"web": Workload(pids=1, exec_probes=True)}}),
    ("conmon-hides-oom", {"podman": replace(PODMAN, conmon="2.1.6")}),
    ("storage-vfs", {"podman": replace(PODMAN, driver="vfs")}),
    ("locks-low", {"podman": replace(PODMAN, free_locks=49)}),
    ("subids-missing", {"subids": False}),
    ("auto-update", {
        "updater_enabled": True,
        "containers": (Found("web.0.g1", "x", OURS | {"io.containers.autoupdate": "registry"}),),
    }),
    ("self-restarting", {"self_restarting": ("web.0.g1",)}),
    ("other-keeper", {"containers": (Found("healer", "docker.io/willfarrell/autoheal:1"),)}),
    ("leftover", {"containers": (Found("old.0.g3", "x", {"nodeorch.workload": "old"}),)}),
    ("disk-read-only", {"disks": (replace(DISK, read_only=True),)}),
    ("disk-full", {"disks": (replace(DISK, free=99 << 20),)}),
    ("disk-low", {"disks": (replace(DISK, free=2 * GIB),)}),
    ("inodes-low", {"disks": (replace(DISK, free_inodes=100_000),)}),
    ("state-open", {"state_mode": 0o750}),
    ("schema-newer", {"schema": len(MIGRATIONS) + 1}),
    ("config-missing", {"config_missing": True}),
    ("config-bad", {"settings_problems": ("nodeorch.toml:1:1: error",)}),
    ("spec-bad", {"spec_problems": ("web.toml:1:1: error",)}),
    ("group-missing", {"group": "nodeorch-viewer", "group_known": False}),
    ("daemon-down", {"daemon_listens": False, "daemon": None}),
    ("daemon-silent", {"daemon_trouble": "no answer in time", "daemon": None}),
    ("daemon-denied", {"daemon_denied": True, "daemon": None}),
    ("daemon-version", {"version": "2.0"}),
    ("daemon-engine", {"daemon": Daemon("1.0", engine_answering=False)}),
    ("daemon-brake", {"daemon": Daemon("1.0", brake="5 of 9 are gone")}),
    ("socket-open", {"socket_mode": 0o666}),
    ("serf-open", {"serfs": (Serf(7, "0.0.0.0", False),), "serf_enabled": True}),
    ("serf-enabled", {"serf_enabled": True}),
    ("fleet-serf-missing", {"fleet": replace(FLEET, serf_installed=False, serf_listens=False)}),
    ("fleet-serf-down", {"fleet": replace(FLEET, serf_listens=False)}),
    ("fleet-files-bad", {"fleet": replace(FLEET, problems=(("E292", "no rpc_auth"),))}),
    ("fleet-files-open", {"fleet": replace(FLEET, problems=(("E291", "others may read"),))}),
    ("fleet-certificate-ends", {"fleet": fleet_with(left=80 * DAY)}),
    ("fleet-certificate-ends", {"fleet": fleet_with(left=-3 * DAY)}),
    ("fleet-certificate-wrong", {"fleet": fleet_with(name="h2")}),
    ("fleet-certificate-wrong", {"fleet": fleet_with(fits=False)}),
    ("fleet-door-shut", {"fleet": replace(FLEET, door_trouble="connection refused")}),
    ("etcd-silent", {"etcds": (*ETCDS, Etcd("https://10.0.0.3:2379", "no answer within 2 s"))}),
    ("etcd-old", {"etcds": (*ETCDS, Etcd("https://10.0.0.3:2379", version="3.4.23"))}),
    ("etcd-old", {"etcds": (*ETCDS, Etcd("https://10.0.0.3:2379", version="3.5.12"))}),
]  # fmt: skip


def codes(facts: Facts) -> list[str]:
    return [told.code for told in examine(facts)]


def only(facts: Facts, code: str) -> Told:
    [told] = [told for told in examine(facts) if told.code == code]
    return told


def test_a_healthy_host_has_no_findings() -> None:
    assert examine(HEALTHY) == []


def test_of_what_could_not_be_looked_at_nothing_is_said() -> None:
    assert examine(Facts(root=False, user="jane")) == []


@pytest.mark.parametrize(("code", "change"), FAULTS, ids=[code for code, _ in FAULTS])
def test_each_fault_is_found_alone(code: str, change: dict[str, Any]) -> None:
    found = codes(replace(HEALTHY, **change))
    if code == "manager-systemd":  # it takes a host without systemd
        found.remove("no-systemd")
    assert found == [code]


def test_each_finding_of_the_catalogue_is_found() -> None:
    assert {code for code, _ in FAULTS} == set(CATALOGUE)
    assert len(CATALOGUE) == len(KERNEL) + len(NODE) + len(PODMANS) + len(CLUSTER)


@pytest.mark.parametrize(("code", "change"), FAULTS, ids=[code for code, _ in FAULTS])
def test_each_fix_is_filled_in(code: str, change: dict[str, Any]) -> None:
    for more in ({}, {"systemd": False}, {"conf_file": "/srv/containers.conf"}, {"boot": ""}):
        for told in examine(replace(HEALTHY, **(change | more))):
            assert told.fix and told.found and told.means.endswith((".", ":"))
            assert not re.search(r"\{[a-z_]+\}", told.fix + told.found), told


def test_no_text_has_braces_that_nobody_fills() -> None:
    for entry in CATALOGUE.values():
        for text in (entry.fix, entry.argument, *(entry.setting or ())):
            list(string.Formatter().parse(text))


def test_gravest_first() -> None:
    facts = replace(HEALTHY, psi=False, synchronised=False, podman_listens=False, subids=False)
    told = examine(facts)
    assert [t.severity for t in told] == ["error", "warning", "note", "note"]
    assert failed(told, strict=False)
    assert not failed(told[1:], strict=False)
    assert failed(told[1:], strict=True)
    assert not failed(told[2:], strict=True)


# -- what is said, where it depends


def test_the_runtime_that_is_known_to_refuse_is_found_without_a_trial() -> None:
    facts = replace(HEALTHY, cgroup="hybrid", trials={})
    assert "runtime-cannot-start" in codes(facts)
    assert "runtime-cannot-start" not in codes(
        replace(facts, podman=replace(PODMAN, runtime="runc"))
    )
    assert "runtime-cannot-start" not in codes(replace(facts, cgroup="v2"))


def test_the_other_runtime_is_the_fix() -> None:
    bad = replace(HEALTHY, trials={"ours": "no"})
    assert 'runtime = "runc"' in only(bad, "runtime-cannot-start").fix
    runc = replace(bad, podman=replace(PODMAN, runtime="runc"))
    assert 'runtime = "crun"' in only(runc, "runtime-cannot-start").fix


def test_default_ulimits_that_fit_are_no_finding() -> None:
    facts = replace(HEALTHY, trials={}, service=NARROW)
    fit = {"containers": {"default_ulimits": ["nofile=20000:20000", "nproc=30000:30000"]}}
    high = {"containers": {"default_ulimits": ["nofile=20001:20001", "nproc=30000:30000"]}}
    assert codes(replace(facts, conf=fit)) == []
    assert "nofile 20001" in only(replace(facts, conf=high), "default-ulimits").found
    assert codes(replace(facts, service=SERVICE)) == []


def test_a_setting_goes_into_a_file_of_its_own_or_into_the_only_one_that_is_read() -> None:
    facts = replace(HEALTHY, journald=False)
    fix = only(facts, "events-off").fix
    assert fix.splitlines() == [
        "mkdir -p /etc/containers/containers.conf.d",
        "printf '%s\\n' '[engine]' 'events_logger = \"file\"' "
        ">/etc/containers/containers.conf.d/nodeorch-events-off.conf",
        "systemctl restart podman.service",
    ]
    alone = only(replace(facts, conf_file="/srv/c.conf"), "events-off").fix
    assert alone.startswith('# in /srv/c.conf, below [engine]:\nevents_logger = "file"\n')


def test_kernel_arguments_by_the_way_this_host_boots() -> None:
    facts = replace(HEALTHY, psi=False)
    assert "/etc/default/grub" in only(facts, "psi-missing").fix
    assert "--args='psi=1'" in only(replace(facts, boot="grubby"), "psi-missing").fix
    raspberry = only(replace(facts, boot="/boot/cmdline.txt"), "psi-missing").fix
    assert raspberry.startswith("sed -i '1s/$/ psi=1/' /boot/cmdline.txt")


def test_netavark_of_podman_4_needs_iptables_and_of_5_nftables() -> None:
    assert HEALTHY.helpers is not None
    for version, needed, package in (
        ("4.9.3", "iptables", "iptables"),
        ("5.0.0", "nft", "nftables"),
    ):
        facts = replace(HEALTHY, podman_version=version)
        assert codes(replace(facts, helpers=HEALTHY.helpers - {"iptables", "nft"} | {needed})) == []
        told = only(replace(facts, helpers=HEALTHY.helpers - {needed}), "helper-missing")
        assert told.fix == f"apt-get install -y {package}"
    names = only(replace(HEALTHY, helpers=HEALTHY.helpers - {"aardvark-dns"}), "helper-missing")
    assert names.severity is Severity.WARNING


def test_ranges_of_ids_are_grave_when_a_workload_needs_them() -> None:
    facts = replace(HEALTHY, subids=False)
    assert only(facts, "subids-missing").severity is Severity.NOTE
    asking = replace(facts, workloads={"web": Workload(pids=1, userns=True)})
    assert only(asking, "subids-missing").severity is Severity.ERROR


def test_a_short_exit_delay_is_no_finding() -> None:
    probing = replace(HEALTHY, workloads={"web": Workload(pids=1, exec_probes=True)})
    assert codes(replace(probing, conf={"engine": {"exit_command_delay": 2}})) == []


def test_a_container_of_a_workload_that_only_the_daemon_knows_is_no_leftover() -> None:
    old = Found("old.0.g3", "x", {"nodeorch.workload": "old"})
    facts = replace(HEALTHY, containers=(old,))
    assert codes(replace(facts, daemon=Daemon("1.0", frozenset({"old"})))) == []
    assert codes(replace(facts, workloads=None)) == []
    assert codes(replace(facts, spec_problems=("old.toml:1:1",))) == ["spec-bad"]


def test_disks_by_their_size() -> None:
    small = replace(DISK, size=4 * GIB, free=GIB)
    assert codes(replace(HEALTHY, disks=(small,))) == []
    large = replace(DISK, size=4096 * GIB, free=40 * GIB)
    assert codes(replace(HEALTHY, disks=(large,))) == []
    none = replace(DISK, inodes=0, free_inodes=0)
    assert codes(replace(HEALTHY, disks=(none,))) == []
    last = replace(DISK, free_inodes=100)
    assert only(replace(HEALTHY, disks=(last,)), "inodes-low").severity is Severity.ERROR


def test_serf_on_loopback_or_with_a_key_is_no_finding() -> None:
    for agent in (Serf(7, "127.0.0.1:7946", False), Serf(7, "0.0.0.0", True)):
        assert codes(replace(HEALTHY, serfs=(agent,))) == []
    bare = replace(HEALTHY, serfs=(Serf(7, "0.0.0.0", False),))
    assert only(bare, "serf-open").fix.startswith("kill 7")


def test_a_certificate_that_will_be_renewed_by_itself_is_no_finding() -> None:
    assert codes(replace(HEALTHY, fleet=fleet_with(left=110 * DAY))) == []
    ended = only(replace(HEALTHY, fleet=fleet_with(left=-3 * DAY)), "fleet-certificate-ends")
    assert ended.severity is Severity.ERROR and "ended 3 days ago" in ended.found
    assert codes(replace(HEALTHY, fleet=replace(FLEET, certificate=None))) == []


def test_the_certificate_says_which_of_the_two_is_wrong() -> None:
    other = only(replace(HEALTHY, fleet=fleet_with(name="h2")), "fleet-certificate-wrong")
    assert "is of h2, this node is h1" in other.found
    unfit = only(replace(HEALTHY, fleet=fleet_with(fits=False)), "fleet-certificate-wrong")
    assert "does not belong to node.key" in unfit.found


def test_a_door_is_missed_only_where_a_daemon_answers() -> None:
    """Else that nobody listens is told already."""
    shut = replace(FLEET, door_trouble="connection refused")
    assert codes(replace(HEALTHY, fleet=shut, daemon=None, daemon_listens=False)) == ["daemon-down"]


def test_without_a_majority_of_etcd_it_is_grave() -> None:
    silent = tuple(replace(each, trouble="no answer") for each in ETCDS)
    one = replace(HEALTHY, etcds=(*ETCDS, silent[0]))
    assert only(one, "etcd-silent").severity is Severity.WARNING
    for members in (silent, (ETCDS[0], silent[1])):
        told = [t for t in examine(replace(HEALTHY, etcds=members)) if t.code == "etcd-silent"]
        assert {t.severity for t in told} == {Severity.ERROR}


def test_how_serf_is_started_is_by_who_runs_it() -> None:
    down = replace(HEALTHY, fleet=replace(FLEET, serf_listens=False))
    assert only(down, "fleet-serf-down").fix == "systemctl enable --now nodeorch-serf.service"
    other = only(replace(down, config="/srv/h2/nodeorch.toml"), "fleet-serf-down")
    assert other.fix == "serf agent -config-file /etc/nodeorch/cluster/serf.json &"


def test_every_fact_is_used() -> None:
    """A fact that no check reads is not worth looking at."""
    import inspect

    from nodeorch.doctor import examine as examining
    from nodeorch.doctor import look_cluster, look_kernel, look_podman

    source = "".join(
        map(inspect.getsource, (examining, look_cluster, look_kernel, look_node, look_podman))
    )
    unused = {f.name for f in fields(Facts)} - set(re.findall(r"facts\.(\w+)", source))
    assert unused == {"root", "unseen"}
