"""packaging/lab: hosts that are real, faults that are real, and nothing left in the end."""

from __future__ import annotations

import contextlib
import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.hosts.fleet import LAB, Fleet
from tests.lab.wait import wait_for

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="the lab needs root")

WEB = """\
[workload]
name = "web"
image = "localhost/lab:1"
command = ["httpd", "-f", "-p", "8080", "-h", "/etc"]
[resources]
memory = "16MiB"
[[ports]]
container = 8080
host = 18080
address = "0.0.0.0"
[stop]
signal = "KILL"
"""


def traces(fleet: Fleet, group: str, networks: set[str]) -> list[str]:
    """What there is of a lab on this machine. Others work here as well: theirs is not looked at."""
    found = [str(path) for path in Path("/sys/fs/cgroup").glob(f"**/{group}")]
    mounts = Path("/proc/self/mountinfo").read_text().splitlines()
    found += [line for line in mounts if str(fleet.dir) in line or networks & set(line.split())]
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != fleet.janitor.pid:
            with contextlib.suppress(OSError):
                words = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
                if str(fleet.dir) in words or os.readlink(entry / "ns" / "net") in networks:
                    found.append(f"process {entry.name}: {words}")
    return found


@pytest.fixture(scope="module")
def lab() -> Iterator[Fleet]:
    fleet = Fleet(3)
    try:
        yield fleet.up()
    finally:
        fleet.close()


@pytest.fixture
def whole(lab: Fleet) -> Iterator[Fleet]:
    """The lab; on and connected again after the test."""
    yield lab
    lab.heal()
    for host in lab.hosts:
        lab.start(host)


def raw(fleet: Fleet, *words: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [LAB, *words], env=fleet.env, input=stdin, capture_output=True, text=True, timeout=60
    )


def reaches(fleet: Fleet, a: str, b: str) -> bool:
    done = raw(fleet, "shell", a, "ping", "-c", "1", "-W", "1", fleet.address(b))
    return done.returncode == 0


def rows(fleet: Fleet) -> dict[str, list[str]]:
    """Host → the columns of ``status``."""
    lines = fleet.lab("status").splitlines()
    return {line.split()[0]: line.split() for line in lines[1:]}


# -- inside


def test_a_shell_passes_output_input_and_exit_status_on(lab: Fleet) -> None:
    done = raw(lab, "shell", "h2", "sh", "-c", "cat; echo bad >&2; exit 7", stdin="in")
    assert (done.stdout, done.stderr, done.returncode) == ("in", "bad\n", 7)
    assert raw(lab, "shell", "h2", "hostname").stdout == "h2\n"
    assert raw(lab, "shell", "h2", stdin="echo $((6 * 7)); exit 3").stdout == "42\n"
    assert raw(lab, "shell", "h2", stdin="exit 3").returncode == 3
    assert raw(lab, "shell", "h2", "printf", "%s|", "a b", "$HOME", "").stdout == "a b|$HOME||"


def test_commands_are_where_a_person_looks_for_them(lab: Fleet) -> None:
    assert "localhost/lab:1" in lab.shell(
        "h1", "podman", "images", "--format", "{{.Repository}}:{{.Tag}}"
    )
    assert lab.shell("h1", "nodeorch", "version")
    assert lab.shell("h1", "ls", "-d", "/etc/nodeorch/workloads.d")
    applets = lab.shell("h1", "podman", "run", "--rm", "localhost/lab:1", "busybox", "--list")
    assert {"sh", "httpd", "nc", "wget"} <= set(applets.split())


def test_a_workload_declared_in_a_host_runs_there_and_is_reached_from_the_others(
    lab: Fleet,
) -> None:
    spec = "/etc/nodeorch/workloads.d/web.toml"
    lab.shell("h1", "sh", "-c", f"cat > {spec}", stdin=WEB)
    lab.shell("h1", "nodeorch", "wait", "web", "--for", "ready", "--timeout", "30s")
    page = lab.shell("h2", "busybox", "wget", "-qO-", "http://h1:18080/passwd")
    assert "app:x:1000" in page
    assert list(lab.firsts("h1")) and not lab.firsts("h2")
    assert rows(lab)["h1"][-1] == "1"
    lab.shell("h1", "nodeorch", "delete", "web")
    wait_for(lambda: not lab.firsts("h1"), 20, "it is gone")


def test_disks_processes_and_names_are_a_hosts_own(lab: Fleet) -> None:
    lab.shell("h1", "touch", "/root/mine", "/etc/mine", "/dev/shm/mine", "/tmp/mine", "/run/mine")
    there = "ls /root/mine /etc/mine /dev/shm/mine /tmp/mine /run/mine 2>/dev/null; true"
    assert lab.shell("h2", "sh", "-c", there) == ""
    assert not Path("/etc/mine").exists()
    assert lab.shell("h1", "cat", "/proc/1/cmdline").split("\0")[1] == "/opt/nodeorch/init"
    groups = lab.shell("h1", "cat", "/proc/1/cgroup").splitlines()
    assert all(line.endswith((":/", ":/init")) for line in groups)


def test_services_that_end_are_started_again_and_orphans_are_buried(lab: Fleet) -> None:
    before = {name: lab.pid("h3", name) for name in ("nodeorchd", "podman", "serf")}
    for pid in before.values():
        os.kill(pid, 9)

    def all_new() -> bool:
        try:
            return all(lab.pid("h3", name) != pid for name, pid in before.items())
        except (AssertionError, OSError):
            return False

    wait_for(all_new, 10, "they run again")
    lab.wait_for(lambda: lab.status("h3") == {}, 20, "the daemon answers")
    lab.shell("h3", "sh", "-c", "(sleep 0.01 &)")
    states = lab.shell("h3", "ps", "-eo", "stat=")
    assert not [word for word in states.split() if word.startswith("Z")]


def test_a_fleet_of_all_hosts_was_made(lab: Fleet) -> None:
    lab.wait_for(lab.whole, 60, "all hosts see each other, whatever the test before did")
    for host in lab.hosts:
        states = {name: view["state"] for name, view in lab.members(host).items()}
        assert states == dict.fromkeys(lab.hosts, "up")
    assert {row[4] for row in rows(lab).values()} == {"up"}, "nodeorchd"
    assert {row[5] for row in rows(lab).values()} == {"up"}, "serf"


# -- faults


def test_power_off_ends_everything_at_once_and_the_disk_stays(whole: Fleet) -> None:
    whole.shell("h2", "sh", "-c", "echo kept > /root/kept; echo lost > /run/lost")
    whole.shell("h2", "podman", "run", "-d", "--name", "x", "localhost/lab:1")
    inside = whole.firsts("h2")["x"]
    group = whole.group("h2")
    begun = time.monotonic()
    whole.kill("h2")
    took = time.monotonic() - begun
    assert took < 3
    assert not Path(f"/proc/{inside.pid}").exists()
    assert not group.exists()
    assert rows(whole)["h2"][2:4] == ["off", "down"]
    assert not reaches(whole, "h1", "h2")
    done = raw(whole, "shell", "h2", "true")
    assert (done.returncode, done.stdout) == (255, "")
    assert "it is off" in done.stderr
    whole.start("h2")
    assert whole.shell("h2", "cat", "/root/kept") == "kept\n"
    assert whole.shell("h2", "sh", "-c", "ls /run/lost; true", check=False).startswith("ls:")
    assert "x" in whole.shell("h2", "podman", "ps", "-a", "--format", "{{.Names}}")
    assert reaches(whole, "h1", "h2") and reaches(whole, "h2", "h1")
    whole.shell("h2", "podman", "rm", "-f", "x")


def test_a_frozen_host_does_nothing_and_goes_on_with_the_same_processes(whole: Fleet) -> None:
    whole.shell(
        *("h2", "podman", "run", "-d", "--name", "clock", "localhost/lab:1"),
        *("sh", "-c", "while :; do echo x >> /n; sleep 0.05; done"),
    )
    before = whole.firsts("h2"), whole.pid("h2", "nodeorchd")

    def written() -> int:
        root = Path(f"/proc/{whole.firsts('h2')['clock'].pid}/root/n")
        return root.stat().st_size

    wait_for(lambda: written() > 2, 10, "the container writes")
    whole.freeze("h2")
    at = written()
    time.sleep(0.3)
    assert written() == at
    assert rows(whole)["h2"][2:4] == ["frozen", "down"]
    assert not reaches(whole, "h1", "h2")
    assert raw(whole, "shell", "h2", "true").returncode == 255
    whole.start("h2")
    wait_for(lambda: written() > at, 5, "it writes again")
    assert (whole.firsts("h2"), whole.pid("h2", "nodeorchd")) == before
    assert reaches(whole, "h1", "h2")
    whole.freeze("h2")
    whole.kill("h2")
    assert rows(whole)["h2"][2] == "off", "a frozen host can be switched off"
    whole.start("h2")
    whole.shell("h2", "podman", "rm", "-f", "clock")


def links(fleet: Fleet) -> set[str]:
    pairs = [(a, b) for a in fleet.hosts for b in fleet.hosts if a < b]
    return {a + b for a, b in pairs if reaches(fleet, a, b)}


def test_cuts_and_healing(whole: Fleet) -> None:
    assert links(whole) == {"h1h2", "h1h3", "h2h3"}
    whole.cut("h1")
    assert links(whole) == {"h2h3"}
    assert rows(whole)["h1"][3:5] == ["cut:", "h2,h3"]
    whole.heal()
    assert links(whole) == {"h1h2", "h1h3", "h2h3"}
    whole.cut("h1", "h3")
    assert links(whole) == {"h1h3"}


def test_one_way_and_loss(whole: Fleet) -> None:
    whole.one_way("h1", "h2")
    assert not heard(whole, "h1", "h2")
    assert heard(whole, "h2", "h1")
    assert rows(whole)["h1"][3:5] == ["cut:", ">h2"]
    whole.heal()
    whole.loss(50, "h3")
    got = received(whole, "h1", "h3")
    assert 5 <= got <= 60, f"a quarter of 100 answers should come, {got} came"
    assert received(whole, "h1", "h2") == 100
    whole.loss(99)
    assert received(whole, "h1", "h2") < 5
    whole.loss(0)
    assert received(whole, "h1", "h3") == 100


LISTEN = """
import socket, sys
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as heard:
    heard.bind(("", 999))
    print("listening", flush=True)
    heard.settimeout(1)
    try:
        print(heard.recv(9).decode())
    except TimeoutError:
        print("nothing")
"""
SPEAK = """
import socket, sys
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as said:
    said.sendto(b"word", (sys.argv[1], 999))
"""


def heard(fleet: Fleet, speaker: str, listener: str) -> bool:
    """Whether a datagram arrives: that needs one direction, and no answer."""
    address, mac = fleet.address(listener), f"02:62:00:00:00:0{listener[1:]}"
    fleet.shell(speaker, "ip", "neigh", "replace", address, "dev", "eth0", "lladdr", mac)
    with subprocess.Popen(
        [LAB, "shell", listener, "python3", "-c", LISTEN],
        env=fleet.env, stdout=subprocess.PIPE, text=True, stdin=subprocess.DEVNULL,
    ) as listening:  # fmt: skip
        assert listening.stdout is not None
        assert listening.stdout.readline() == "listening\n"
        fleet.shell(speaker, "python3", "-c", SPEAK, address)
        return listening.stdout.readline() == "word\n"


def received(fleet: Fleet, a: str, b: str) -> int:
    """Of 100 pings."""
    words = ("ping", "-q", "-i", "0.005", "-c", "100", "-W", "1", fleet.address(b))
    said = fleet.shell(a, *words, check=False)
    return int(said.partition(" received")[0].split()[-1])


def test_a_flapping_link_is_whole_in_the_end(whole: Fleet) -> None:
    flapping = subprocess.Popen([LAB, "flap", "h1", "3", "0.4"], env=whole.env)
    seen = set()
    while flapping.poll() is None:
        seen.add(" ".join(rows(whole)["h1"][3:5]))
    assert {"whole up", "cut: h2,h3"} <= seen
    assert reaches(whole, "h1", "h2")


# -- refusals and the end


@pytest.mark.parametrize(
    "words", [(), ("up",), ("up", "0"), ("up", "10"), ("up", "two"), ("frobnicate",), ("kill",)]
)
def test_what_is_not_understood_changes_nothing(tmp_path: Path, words: tuple[str, ...]) -> None:
    env = {**os.environ, "NODEORCH_LAB_DIR": str(tmp_path / "lab")}
    done = subprocess.run([LAB, *words], env=env, capture_output=True, text=True)
    assert done.returncode == 2
    assert "usage:" in done.stderr
    assert not (tmp_path / "lab").exists()


def test_a_host_that_does_not_exist_is_told(lab: Fleet) -> None:
    for words in (("kill", "h9"), ("cut", "h1,h9"), ("freeze", "../x"), ("loss", "5", "h9")):
        done = raw(lab, *words)
        assert (done.returncode, "there is no host" in done.stderr) == (1, True), words
    assert links(lab) == {"h1h2", "h1h3", "h2h3"}, "nothing was done by half"


@pytest.mark.parametrize("verb", [("up", "1"), ("down",)])
def test_a_folder_of_somebody_else_is_refused_and_kept(
    tmp_path: Path, verb: tuple[str, ...]
) -> None:
    folder = tmp_path / "lab"
    folder.mkdir()
    (folder / "precious").write_text("data")
    env = {**os.environ, "NODEORCH_LAB_DIR": str(folder)}
    done = subprocess.run([LAB, *verb], env=env, capture_output=True, text=True)
    assert done.returncode == 1
    assert "NODEORCH_LAB_DIR" in done.stderr
    assert [path.name for path in folder.iterdir()] == ["precious"]


def test_a_second_lab_stands_beside_the_first_and_leaves_nothing(lab: Fleet) -> None:
    firsts = {host: lab.pid(host, "nodeorchd") for host in lab.hosts}
    second = Fleet(2)
    try:
        second.lab("up", "2", "--alone")
        assert reaches(second, "h1", "h2") and reaches(lab, "h1", "h2")
        second.write_spec("h1", "web", WEB)
        wait_for(lambda: second.firsts("h1"), 20, "it runs something")
        assert not lab.firsts("h1")
        second.kill("h2")
        assert reaches(lab, "h1", "h2")
        second.lab("up", "2", "--alone")
        assert reaches(second, "h1", "h2"), "up starts what is off"
        group = second.group("h1").parent.name
        networks = {os.readlink(second.root(host) / "proc/1/ns/net") for host in second.hosts}
        networks.add(raw(second, "observe", "readlink", "/proc/self/ns/net").stdout.strip())
        assert len(traces(second, group, networks)) > 20
        # The lab's own processes may be lost in a crash, with what they knew.
        (second.dir / "run" / "h1.pid").unlink()
        second.freeze("h2")
        second.lab("down")
        assert not second.dir.exists()
        assert traces(second, group, networks) == []
    finally:
        second.close()
    assert {host: lab.pid(host, "nodeorchd") for host in lab.hosts} == firsts
