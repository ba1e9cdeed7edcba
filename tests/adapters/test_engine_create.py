"""A workload as Podman's SpecGenerator, and what of it an inspection has to show."""

from __future__ import annotations

import signal
from typing import Any

import msgspec
import pytest

from nodeorch.adapters.podman import limits, replies, verify
from nodeorch.adapters.podman.client import failure
from nodeorch.adapters.podman.create import Host, ImageConfig, signal_number, specification
from nodeorch.model.workload import (
    MIB,
    DeviceLimit,
    Main,
    Port,
    Resources,
    Security,
    Ulimit,
    Volume,
    Workload,
)
from nodeorch.ports import EngineError

V1, V2 = Host(cgroup_v2=False), Host(cgroup_v2=True)
IMAGE_ID = "a" * 64


def generate(workload: Workload, host: Host = V2, image: ImageConfig | None = None) -> Any:
    return specification(
        "web.0.g1",
        workload,
        IMAGE_ID,
        {"nodeorch.workload": "web"},
        workload.resources,
        host=host,
        image=image or ImageConfig(),
    )


def spec(**parts: Any) -> Workload:
    main = {"name": "web", "image": "localhost/bb:1"} | parts.pop("main", {})
    return Workload(main=Main(**main), **parts)


def test_our_labels_win_over_the_workloads() -> None:
    made = generate(spec(main={"labels": {"nodeorch.workload": "other", "team": "a"}}))
    assert made["labels"] == {"nodeorch.workload": "web", "team": "a"}


def test_podman_neither_restarts_nor_probes() -> None:
    made = generate(spec())
    assert made["restart_policy"] == "no"
    assert made["healthconfig"]["Test"] == ["NONE"]


@pytest.mark.parametrize(
    ("main", "image", "words"),
    [
        ({}, ImageConfig(("e",), ("c",)), None),
        ({"command": ("own", "x")}, ImageConfig(("e",), ("c",)), ["own", "x"]),
        ({"command": ("own",), "args": ("y",)}, ImageConfig(("e",), ("c",)), ["own", "y"]),
        ({"args": ("y",)}, ImageConfig(("e",), ("c",)), ["e", "c", "y"]),
        ({"args": ("y",)}, ImageConfig((), ("c",)), ["c", "y"]),
        ({"args": ("y",)}, ImageConfig(("e",), ()), ["e", "y"]),
    ],
)
def test_command_and_args(main: Any, image: ImageConfig, words: list[str] | None) -> None:
    made = generate(spec(main=main), image=image)
    got = [*made["entrypoint"], *made["command"]] if "entrypoint" in made else None
    assert got == words
    assert words is None or made["entrypoint"], "else the image's command would be used, too"


def test_only_ports_with_a_host_port_are_published() -> None:
    ports = (Port(container=80, host=8080), Port(container=81), Port(container=82, host=82))
    made = generate(spec(ports=ports))
    assert [p["container_port"] for p in made["portmappings"]] == [80, 82]
    assert {p["host_ip"] for p in made["portmappings"]} == {"127.0.0.1"}


def test_a_port_for_everyone_names_no_address() -> None:
    """netavark 1.4 takes 0.0.0.0 for the one address to listen on, and it reaches nobody."""
    made = generate(spec(ports=(Port(container=80, host=80, address="0.0.0.0"),)))
    assert [p["host_ip"] for p in made["portmappings"]] == [""]


@pytest.mark.parametrize("mode", ["host", "none"])
def test_without_a_network_of_its_own_nothing_is_published(mode: str) -> None:
    made = generate(spec(main={"networks": (mode,)}, ports=(Port(container=80, host=80),)))
    assert made["netns"] == {"nsmode": mode}
    assert "portmappings" not in made and "networks" not in made


def test_scratch_unless_declared_otherwise() -> None:
    volumes = (Volume(target="/tmp/", tmpfs=MIB), Volume(target="/run", name="run"))
    made = generate(spec(volumes=volumes))
    assert [m["destination"] for m in made["mounts"]] == ["/tmp/"]
    made = generate(spec())
    assert [m["destination"] for m in made["mounts"]] == ["/tmp", "/run"]
    assert generate(spec(security=Security(read_only=False)))["mounts"] == []


def test_binds_spread_no_mounts_and_read_only_ones_are_so_entirely() -> None:
    volumes = (
        Volume(target="/a", source="/x"),
        Volume(target="/b", source="/y", read_only=True),
    )
    options = [m["options"] for m in generate(spec(volumes=volumes))["mounts"][:2]]
    assert options == [["rbind", "rw", "rprivate"], ["bind", "ro", "rprivate"]]


def test_user_namespace() -> None:
    made = generate(spec(security=Security(userns="auto")))
    assert made["userns"] == {"nsmode": "auto"}
    assert made["idmappings"]["AutoUserNs"] is True


@pytest.mark.parametrize(
    ("name", "number"),
    [("TERM", signal.SIGTERM), ("SIGINT", signal.SIGINT), ("RTMIN+3", signal.SIGRTMIN + 3)],
)
def test_signals(name: str, number: int) -> None:
    assert signal_number(name) == number


def test_a_signal_that_does_not_exist() -> None:
    with pytest.raises(EngineError, match="'NOPE'"):
        signal_number("NOPE")


# -- limits --------------------------------------------------------------------

FULL = Resources(
    memory=64 * MIB,
    memory_high=48 * MIB,
    swap=16 * MIB,
    cpu=0.5,
    cpu_weight=300,
    cpuset="0-1",
    pids=10,
    io_weight=10000,
)


def test_limits_at_creation_on_v2() -> None:
    assert limits.at_creation(FULL, v2=True) == {
        "memory": {"limit": 64 * MIB, "swap": 80 * MIB},
        "cpu": {"period": 100_000, "quota": 50_000, "cpus": "0-1"},
        "pids": {"limit": 10},
        "blockIO": {"weight": 1000},
    }
    assert generate(spec(resources=FULL))["unified"] == {
        "memory.high": str(48 * MIB),
        "cpu.weight": "300",
    }


def test_limits_at_creation_on_v1() -> None:
    made = limits.at_creation(FULL, v2=False)
    assert made["memory"] == {
        "limit": 64 * MIB,
        "swap": 80 * MIB,
        "reservation": 48 * MIB,
    }
    assert made["cpu"]["shares"] == limits.shares(300)
    assert "unified" not in generate(spec(resources=FULL), V1)


def test_no_swap_unless_named_and_none_where_the_kernel_does_not_count_it() -> None:
    wanted = Resources(memory=MIB)
    assert limits.at_creation(wanted, v2=True)["memory"] == {"limit": MIB, "swap": MIB}
    unknown = limits.at_creation(wanted, v2=False, swap_known=False)
    assert unknown["memory"] == {"limit": MIB}
    assert limits.live(Resources(), v2=False, swap_known=False)["memory"].keys() == {
        "limit",
        "reservation",
    }


def test_a_live_change_takes_back_what_is_no_longer_named() -> None:
    assert limits.live(Resources(pids=5), v2=True) == {
        "memory": {"limit": -1, "swap": -1},
        "cpu": {"quota": -1, "period": 100_000},
        "pids": {"limit": 5},
        "unified": {"memory.high": "max", "cpu.weight": "100"},
    }
    assert limits.live(Resources(pids=5), v2=False) == {
        "memory": {"limit": -1, "swap": -1, "reservation": -1},
        "cpu": {"quota": -1, "period": 100_000, "shares": 1024},
        "pids": {"limit": 5},
    }


def test_a_tiny_share_of_a_cpu_is_what_the_kernel_takes() -> None:
    assert limits.at_creation(Resources(cpu=0.001), v2=True)["cpu"]["quota"] == 1000


def test_device_limits() -> None:
    device = DeviceLimit(path="/dev/vda", read_bytes=MIB, write_ops=7)
    assert limits.devices(Resources(io=(device,))) == {
        "throttleReadBpsDevice": {"/dev/vda": {"rate": MIB}},
        "throttleWriteIOPSDevice": {"/dev/vda": {"rate": 7}},
    }


def test_process_limits_are_lowered_to_the_hosts() -> None:
    wanted = {"NOFILE": Ulimit(soft=10, hard=1 << 30), "core": Ulimit(soft=9, hard=9)}
    made = limits.ulimits(wanted, {"nofile": 20000, "nproc": 300})
    assert made == [
        {"type": "core", "soft": 9, "hard": 9},
        {"type": "nofile", "soft": 10, "hard": 20000},
        {"type": "nproc", "soft": 300, "hard": 300},
    ]


# -- verify --------------------------------------------------------------------

CHECKED = Workload(
    main=Main(name="web", image="localhost/bb:1", networks=("back",)),
    ports=(Port(container=80, host=8080),),
    volumes=(Volume(target="/d", name="data", read_only=True), Volume(target="/h", source="/x")),
    security=Security(user="1000:1000", capabilities=("NET_BIND_SERVICE",), userns="auto"),
)


def shown() -> dict[str, Any]:
    """An inspection that shows all that CHECKED asks for."""
    return {
        "Id": "c" * 64,
        "Image": IMAGE_ID,
        "Config": {"User": "1000:1000", "Healthcheck": {"Test": ["NONE"]}},
        "HostConfig": {
            "NetworkMode": "bridge",
            "ReadonlyRootfs": True,
            "Privileged": False,
            "SecurityOpt": ["no-new-privileges"],
            "PortBindings": {"80/tcp": [{"HostIp": "127.0.0.1", "HostPort": "8080"}]},
            "IDMappings": {"UidMap": ["0:1:2"]},
            "RestartPolicy": {"Name": "no"},
        },
        "EffectiveCaps": None,
        "BoundingCaps": ["CAP_NET_BIND_SERVICE"],
        "Mounts": [{"Destination": "/d", "RW": False}, {"Destination": "/h", "RW": True}],
    }


def wrong(inspection: dict[str, Any]) -> list[str]:
    return verify.dropped(generate(CHECKED), msgspec.convert(inspection, replies.Inspect))


def test_all_that_was_asked_for_is_shown() -> None:
    assert wrong(shown()) == []
    seen = shown()
    seen["HostConfig"]["NetworkMode"] = "back"
    assert wrong(seen) == [], "as Podman 5 shows it"


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        ("HostConfig.ReadonlyRootfs", False, "read-only root"),
        ("HostConfig.Privileged", True, "privileged"),
        ("HostConfig.SecurityOpt", [], "no_new_privileges"),
        ("HostConfig.SecurityOpt", ["no-new-privileges", "seccomp=unconfined"], "seccomp"),
        ("HostConfig.PortBindings", {}, "port 80/tcp"),
        ("HostConfig.IDMappings", None, "user namespace"),
        ("HostConfig.RestartPolicy", {"Name": "always"}, "restart policy"),
        ("HostConfig.NetworkMode", "host", "network"),
        ("Config.User", "", "user"),
        ("Config.Healthcheck", {"Test": ["CMD", "x"]}, "health check"),
        ("Image", "b" * 64, "image"),
        ("BoundingCaps", ["CAP_NET_BIND_SERVICE", "CAP_CHOWN"], "capabilities"),
        ("BoundingCaps", [], "capabilities"),
        ("EffectiveCaps", ["CAP_CHOWN"], "capabilities"),
        ("Mounts", [{"Destination": "/h"}], "volume /d: not mounted"),
        ("Mounts", [{"Destination": "/d", "RW": True}, {"Destination": "/h"}], "volume /d: asked"),
    ],
)
def test_what_was_dropped_is_named(path: str, value: Any, words: str) -> None:
    seen = shown()
    *parents, last = path.split(".")
    place = seen
    for parent in parents:
        place = place[parent]
    place[last] = value
    found = wrong(seen)
    assert len(found) == 1 and found[0].startswith(words), found


def test_a_port_on_all_addresses_where_loopback_was_asked_for() -> None:
    seen = shown()
    seen["HostConfig"]["PortBindings"]["80/tcp"][0]["HostIp"] = ""
    assert wrong(seen) == ["port 80/tcp: asked 127.0.0.1:8080, got 0.0.0.0:8080"]


# -- answers -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (404, b'{"cause":"no such container","message":"no container with name"}', "not_found"),
        (500, b'{"message":"nosuch: image not known"}', "no_image"),
        (404, b'{"message":"no such image"}', "no_image"),
        (500, b'{"message":"the container name \\"a\\" is already in use by b"}', "name_in_use"),
        (409, b'{"message":"name \\"a\\" is in use: container already exists"}', "name_in_use"),
        (500, b'{"message":"cannot listen: bind: address already in use"}', "refused"),
        (500, b"not even JSON", "refused"),
        (500, b"", "refused"),
    ],
)
def test_failures(status: int, body: bytes, kind: str) -> None:
    error = failure(status, body)
    assert error.kind == kind and error.words


def test_digests_are_the_registrys_for_this_repository() -> None:
    image = replies.Image(
        id=IMAGE_ID,
        digest="sha256:local",
        repo_digests=["r.example/b@sha256:other", "docker.io/library/a@sha256:known"],
    )
    assert replies.digest(image, "docker.io/library/a:1") == "sha256:known"
    assert replies.digest(image, "library/a") == "sha256:known"
    assert replies.digest(image, "r.example:5000/c:2") == "sha256:local"
    assert replies.digest(replies.Image(id=IMAGE_ID), "x") == f"sha256:{IMAGE_ID}"
