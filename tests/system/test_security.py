"""The safe defaults as the kernel enforces them, how each is relaxed, and what never is."""

from __future__ import annotations

import os
import re
import socket
import stat
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from nodeorch.cli import main
from nodeorch.client.unix import NoPermission
from tests.lab import Lab
from tests.lab.wait import wait_for
from tests.system.host import Host
from tests.system.kit import clear, events, one_host, until_rejected

GROUP, GID, USER, UID = "daemon", 1, "bin", 2
"""Of every Debian."""


@pytest.fixture(scope="module")
def shared(lab_session: Lab) -> Iterator[Host]:
    with one_host(lab_session, f'[api]\ngroup = "{GROUP}"\n') as host:
        host.dir.chmod(0o711)
        yield host


@pytest.fixture
def host(shared: Host) -> Iterator[Host]:
    yield shared
    clear(shared)


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that workloads may mount from."""
    path = Path(f"/srv/nodeorch-test-{os.getpid()}")
    path.mkdir(parents=True)
    yield path
    subprocess.run(["rm", "-rf", "--one-file-system", str(path)], check=True)


def declare(host: Host, name: str, more: str = "", top: str = "") -> None:
    host.declare(
        name,
        f"""\
[workload]
name = "{name}"
image = "localhost/bb:1"
command = ["sleep", "1000000"]
{top}
[stop]
grace = "100ms"
[restart]
backoff = {{ initial = "20ms", max = "50ms" }}
{more}
""",
    )


def proc(host: Host, name: str) -> dict[str, str]:
    text = Path(f"/proc/{host.instance(name)['pid']}/status").read_text()
    return dict(line.split(":\t", 1) for line in text.splitlines() if ":\t" in line)


def mounts(host: Host, name: str) -> dict[str, set[str]]:
    """Mount point inside → its options."""
    found = {}
    lines = Path(f"/proc/{host.instance(name)['pid']}/mountinfo").read_text().splitlines()
    for line in lines:
        words = line.split()
        found[words[4]] = set(words[5].split(",")) | {words[words.index("-") + 1]}
    return found


def can(host: Host, name: str, command: str) -> bool:
    container = host.instance(name)["container_id"]
    wanted = [*host.lab.command, "exec", container, "sh", "-c", command]
    return subprocess.run(wanted, env=host.lab.env, capture_output=True).returncode == 0


def test_every_default_is_in_force(host: Host) -> None:
    declare(host, "web", "[[ports]]\ncontainer = 80\nhost = 18101\n")
    host.running("web")
    status = proc(host, "web")
    for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
        assert int(status[name], 16) == 0, name
    assert (status["NoNewPrivs"], status["Seccomp"]) == ("1", "2")
    seen = mounts(host, "web")
    assert "ro" in seen["/"]
    for path in ("/tmp", "/run"):
        assert {"rw", "nosuid", "nodev", "tmpfs"} <= seen[path]
        assert can(host, "web", f"echo x > {path}/x")
    for path in ("/x", "/etc/x", "/bin/x", "/var/x"):
        assert not can(host, "web", f"echo x > {path}")
    assert listeners(18101) == {"127.0.0.1"}


def listeners(port: int) -> set[str]:
    """The addresses on which somebody listens for this TCP port."""
    found = set()
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        address, number = line.split()[1].split(":")
        if int(number, 16) == port and line.split()[3] == "0A":
            found.add(socket.inet_ntoa(bytes.fromhex(address)[::-1]))
    return found


NET_RAW = 1 << 13
CHOWN = 1 << 0


def test_each_default_is_relaxed_by_its_name_alone(host: Host) -> None:
    declare(host, "root", "[security]\nread_only = false\n")
    declare(host, "caps", '[security]\ncapabilities = ["NET_RAW", "CAP_CHOWN"]\n')
    declare(host, "privs", "[security]\nno_new_privileges = false\n")
    declare(host, "calls", '[security]\nseccomp = "unconfined"\n')
    declare(host, "user", '[security]\nuser = "1000:1000"\n')
    declare(host, "open", '[[ports]]\ncontainer = 80\nhost = 18102\naddress = "0.0.0.0"\n')
    declare(host, "forks", "[resources]\npids = 1000\n")
    declare(host, "all", "[security]\nprivileged = true\n")
    for name in ("root", "caps", "privs", "calls", "user", "open", "forks", "all"):
        host.running(name)
    assert int(proc(host, "all")["CapEff"], 16) & (NET_RAW | CHOWN) == NET_RAW | CHOWN
    safe = ("0", "1", "2")
    assert can(host, "root", "echo x > /etc/x") and rights(host, "root") == safe
    assert rights(host, "caps") == (str(NET_RAW | CHOWN), "1", "2")
    assert rights(host, "privs") == ("0", "0", "2")
    assert rights(host, "calls") == ("0", "1", "0")
    assert proc(host, "user")["Uid"].split() == ["1000"] * 4 and rights(host, "user") == safe
    assert proc(host, "user")["Gid"].split() == ["1000"] * 4
    assert listeners(18102) == {"0.0.0.0"} and rights(host, "open") == safe
    for name in ("caps", "privs", "calls", "user", "open", "forks"):
        assert "ro" in mounts(host, name)["/"], name


def rights(host: Host, name: str) -> tuple[str, str, str]:
    status = proc(host, name)
    return str(int(status["CapEff"], 16)), status["NoNewPrivs"], status["Seccomp"]


SPELLINGS = (
    "/run/podman/podman.sock",
    "//run//podman/podman.sock",
    "/run/./podman",
    "/srv/../run/podman",
    "/srv/../../../run/podman/",
    "/var/run/docker.sock",
    "/var/run/../run/docker.sock",
    "/run",
    "/",
    "/var/lib/containers/storage",
    "/etc/nodeorch/../shadow",
    "/etc",
    "/proc/1/root",
    "/dev/mem",
)


def test_no_spelling_of_a_guarded_place_is_taken(host: Host) -> None:
    own = [str(host.lab.socket), str(host.state), str(host.specs), str(host.socket)]
    wanted = [*SPELLINGS, *own, str(host.dir), str(Path(host.lab.socket).parent)]
    for number, source in enumerate(wanted):
        declare(host, f"m{number}", f'[[volumes]]\nsource = "{source}"\ntarget = "/m"\n')
    for number, source in enumerate(wanted):
        said = until_rejected(host, f"m{number}", "m")
        assert re.search(r"error\[E22[78]\]", said), (source, said)
    assert host.status() == [] and host.lab.podman("ps", "-aq") == ""


def test_a_symlink_is_judged_by_what_it_leads_to(host: Host, folder: Path) -> None:
    (folder / "sock").symlink_to(host.lab.socket)
    (folder / "run").symlink_to("/run")
    (folder / "state").symlink_to(host.state)
    (folder / "root").symlink_to("/root")  # not guarded, and not allowed either
    (folder / "inner").symlink_to(folder / "run")
    sources = ("sock", "run", "run/podman", "state", "root", "inner")
    for number, source in enumerate(sources):
        declare(host, f"m{number}", f'[[volumes]]\nsource = "{folder}/{source}"\ntarget = "/m"\n')
    for number, _ in enumerate(sources):
        view = host.until(f"m{number}", lambda w: "cannot mount" in w["reason"])
        assert "leads to" in view["reason"] and view["ready"] == 0, view["reason"]
    assert host.lab.podman("ps", "-q") == ""


def test_a_symlink_put_in_place_of_a_mount_is_seen_at_the_next_start(
    host: Host, folder: Path
) -> None:
    data = folder / "data"
    data.mkdir()
    (data / "mine").write_text("x")
    declare(host, "web", f'[[volumes]]\nsource = "{data}"\ntarget = "/m"\n')
    host.running("web")
    assert can(host, "web", "cat /m/mine")
    data.rename(folder / "old")
    data.symlink_to("/run")  # as a workload could do that may write to the folder above
    os.kill(host.instance("web")["pid"], 9)
    view = host.until("web", lambda w: "cannot mount" in w["reason"])
    assert f"leads to {os.path.realpath('/run')}" in view["reason"] and view["ready"] == 0
    assert host.instance("web")["pid"] == 0
    data.unlink()
    (folder / "old").rename(data)
    host.running("web")
    assert can(host, "web", "cat /m/mine")


def test_an_env_file_is_judged_by_what_it_leads_to(host: Host, folder: Path) -> None:
    secret = host.dir / "secret.env"
    secret.write_text("PASSWORD=sesame\n")
    (folder / "env").symlink_to(secret)
    declare(host, "web", top=f'env_file = "{folder}/env"')
    said = until_rejected(host, "web", "leads to")
    assert "sesame" not in said and host.one("web") == {}
    path = host.dir / "web.toml"
    path.write_text((host.specs / "web.toml").read_text())
    assert "leads to" in host.cli("apply", "--dry-run", str(path), check=False)


def as_user(uid: int, gid: int, groups: list[int], act: Callable[[], Any]) -> str:
    """What ``act`` says, or the name of its exception, in a process of that user."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.setgroups(groups)
            os.setgid(gid)
            os.setuid(uid)
            said = str(act())
        except BaseException as error:
            said = f"{type(error).__name__}: {error}"
        os.write(writer, said.encode()[:4000])
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as pipe:
        said = pipe.read()
    os.waitpid(child, 0)
    return f"{child} {said}"


def test_the_socket_lets_in_its_group_and_nobody_else(host: Host) -> None:
    found = host.socket.stat()
    assert stat.S_IMODE(found.st_mode) == 0o660 and (found.st_uid, found.st_gid) == (0, GID)
    status = lambda: host.client.get("/v1/version")["api"]  # noqa: E731
    assert as_user(UID, GID, [], status).endswith(" v1")
    assert as_user(UID, UID, [GID], status).endswith(" v1")
    assert NoPermission.__name__ in as_user(UID, UID, [], status)
    verb = ["--socket", str(host.socket), "status"]
    assert main.run(verb) == 0  # and what it needs is imported, whoever may read the files
    assert as_user(UID, UID, [], lambda: main.run(verb)).endswith(" 77")


def test_who_asked_stands_in_the_event_of_each_mutation(host: Host) -> None:
    declare(host, "web", top="replicas = 0")
    host.until("web", lambda w: w["state"] == "stopped")
    text = (host.specs / "web.toml").read_text()

    def ask(verb: str, body: object = None) -> Callable[[], object]:
        return lambda: host.client.post(f"/v1/workloads/web/{verb}", body)

    changed = {"files": {"web.toml": text.replace("1000000", "1000001")}}
    acts: dict[str, Callable[[], object]] = {
        "apply": lambda: host.client.post("/v1/apply", changed),
        "rollback": ask("rollback", {}),
        "stop": ask("stop"),
        "start": ask("start"),
        "restart": ask("restart"),
        "scale": ask("scale", {"replicas": 0}),
        "delete": lambda: host.client.delete("/v1/workloads/web"),
    }
    for verb, act in acts.items():
        last = events(host)[-1]["seq"]
        said = as_user(UID, GID, [], act)
        pid = said.split()[0]
        assert "Error" not in said, said
        by = f"uid {UID} ({USER}), pid {pid}"
        told = [e["words"] for e in events(host) if e["seq"] > last]
        assert any(by in words for words in told), (verb, told)


def test_a_log_that_is_filled_stays_bounded(host: Host) -> None:
    chatty = "yes 0123456789012345678901234567890123456789 | head -c 20000000; exec sleep 1000000"
    for name, more in (("small", '[logs]\nmax_size = "128KiB"\n'), ("plain", "")):
        declare(host, name, more)
        text = (host.specs / f"{name}.toml").read_text()
        host.declare(name, text.replace('["sleep", "1000000"]', f'["sh", "-c", "{chatty}"]'))
        host.running(name)
    for name, most in (("small", 1 << 20), ("plain", 21 << 20)):
        instance = host.instance(name)
        wait_for(lambda i=instance: quiet(i), 60, "all was written")
        log = host.lab.podman("inspect", "-f", "{{.HostConfig.LogConfig.Path}}", instance["name"])
        size = sum(path.stat().st_size for path in Path(log).parent.glob(f"{Path(log).name}*"))
        assert 0 < size <= most, (name, size)
    assert len(host.cli("logs", "small", "--tail", "5").splitlines()) == 5


def quiet(instance: dict[str, Any]) -> bool:
    """Its shell has become what it shall be at the end."""
    return Path(f"/proc/{instance['pid']}/cmdline").read_bytes().startswith(b"sleep")


def test_no_podman_binary_and_no_child_is_run_by_the_daemon(host: Host) -> None:
    declare(host, "web", '[probes.readiness]\nexec = ["true"]\n')
    host.running("web")
    children = Path(f"/proc/{host.pid}/task/{host.pid}/children").read_text()
    assert children == ""
