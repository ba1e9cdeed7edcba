"""Looks at Podman: its programs, its settings, and what its API says. Changes nothing."""

from __future__ import annotations

import contextlib
import glob
import http.client
import json
import os
import re
import resource
import stat
import subprocess
import tempfile
import time
import tomllib
from collections.abc import Iterator
from typing import Any

from nodeorch.doctor.facts import Found, Podman, Service
from nodeorch.doctor.libpod import Libpod, Refused
from nodeorch.doctor.read_kernel import text, which

HELPERS = ("netavark", "aardvark-dns", "iptables", "nft", "conmon")
HELPER_FOLDERS = (
    "/usr/local/libexec/podman",
    "/usr/local/lib/podman",
    "/usr/libexec/podman",
    "/usr/lib/podman",
)
"""containers.conf(5), helper_binaries_dir."""
CONF_FILES = ("/usr/share/containers/containers.conf", "/etc/containers/containers.conf")
DROP_INS = "/etc/containers/containers.conf.d/*.conf"
CAP_SYS_RESOURCE = 24
ROOTFUL = "containers"
"""The user whose ranges root's Podman uses: podman-run(1), --userns=auto."""
COMMAND_PATIENCE = 2.0
PAUSE = 0.02


def programs() -> dict[str, Any]:
    found = which(HELPERS, HELPER_FOLDERS)
    return {"helpers": frozenset(found), "podman_version": _version_of_command()}


def _version_of_command() -> str:
    """``podman --version`` touches no storage."""
    path = which(["podman"]).get("podman")
    if path is None:
        return ""
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        done = subprocess.run(
            [path, "--version"], capture_output=True, text=True, timeout=COMMAND_PATIENCE
        )
        return done.stdout.split()[-1] if done.stdout.split() else "unknown"
    return "unknown"


def subids() -> dict[str, Any]:
    texts = [text("/etc/subuid"), text("/etc/subgid")]
    have = [t and re.search(rf"^{ROOTFUL}:\d+:\d+", t, re.MULTILINE) for t in texts]
    return {"subids": all(have)}


def conf(service_pid: int) -> dict[str, Any]:
    """containers.conf as the service reads it, or, when it is not to be seen, as we would."""
    environment = _environment(service_pid)
    alone = environment.get("CONTAINERS_CONF", "")
    override = environment.get("CONTAINERS_CONF_OVERRIDE", "")
    files = [alone] if alone else [*CONF_FILES, *sorted(glob.glob(DROP_INS))]
    merged: dict[str, Any] = {}
    for file in [*files, *([override] if override else [])]:
        with contextlib.suppress(tomllib.TOMLDecodeError):
            for table, keys in tomllib.loads(text(file) or "").items():
                if isinstance(keys, dict):
                    merged.setdefault(table, {}).update(keys)
    return {"conf": merged, "conf_file": override or alone}


def _environment(pid: int) -> dict[str, str]:
    raw = text(f"/proc/{pid}/environ") if pid > 1 else None
    if raw is None:
        return dict(os.environ)
    return dict(word.partition("=")[::2] for word in raw.split("\0") if "=" in word)


def service(pid: int) -> Service | None:
    status = text(f"/proc/{pid}/status") or ""
    caps = re.search(r"^CapEff:\s*([0-9a-f]+)", status, re.MULTILINE)
    if pid < 1 or caps is None:
        return None
    may = bool(int(caps[1], 16) & 1 << CAP_SYS_RESOURCE)
    try:
        nofile = resource.prlimit(pid, resource.RLIMIT_NOFILE)[1]
        nproc = resource.prlimit(pid, resource.RLIMIT_NPROC)[1]
    except OSError:
        return None
    endless = 1 << 62
    return Service(
        may,
        *(endless if v == resource.RLIM_INFINITY else v for v in (nofile, nproc)),
    )


def api(socket: str) -> tuple[dict[str, Any], str, int]:
    """(facts, why it could not be looked at, pid that listens)."""
    seen: dict[str, Any] = {"podman_socket": socket}
    podman = Libpod(socket)
    try:
        seen |= {"podman_open": _open(socket), "podman_listens": True}
        if not podman.ping():
            return seen | {"podman_trouble": "what answers there is no Podman"}, "", 0
        seen |= _asked(podman)
    except (FileNotFoundError, ConnectionRefusedError, NotADirectoryError):
        return seen | {"podman_listens": False, "podman_open": False}, "", 0
    except PermissionError:
        return {"podman_socket": socket}, f"Podman: no permission to use {socket}", 0
    except TimeoutError:
        seen |= {"podman_trouble": f"no answer within {podman.timeout:g} s"}
    except (OSError, http.client.HTTPException, ValueError, TypeError, KeyError, Refused) as error:
        seen |= {"podman_trouble": str(error) or type(error).__name__}
    finally:
        podman.close()
    return seen, "", podman.peer


@contextlib.contextmanager
def borrowed_service() -> Iterator[str]:
    """The socket of a service of our own, which ends with the block. Raises OSError."""
    command = which(["podman"]).get("podman")
    if command is None:
        raise FileNotFoundError("there is no podman")
    with tempfile.TemporaryDirectory(prefix="nodeorch-doctor-") as folder:
        socket, said = f"{folder}/podman.sock", f"{folder}/said"
        with open(said, "wb") as log:
            process = subprocess.Popen(
                [command, "system", "service", "--time=0", f"unix://{socket}"],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=folder,
            )
        try:
            end = time.monotonic() + COMMAND_PATIENCE
            while not os.path.exists(socket):
                if process.poll() is not None or time.monotonic() > end:
                    words = " ".join((text(said) or "").split())[-300:]
                    raise OSError(f"podman system service does not start: {words}")
                time.sleep(PAUSE)
            yield socket
        finally:
            process.terminate()
            try:
                process.wait(COMMAND_PATIENCE)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _open(path: str) -> bool:
    """Everybody may reach it and write to it."""
    if not os.stat(path).st_mode & stat.S_IWOTH:
        return False
    folder = os.path.dirname(os.path.realpath(path))
    while folder != "/":
        if not os.stat(folder).st_mode & stat.S_IXOTH:
            return False
        folder = os.path.dirname(folder)
    return True


def _asked(podman: Libpod) -> dict[str, Any]:
    info = podman.call("GET", "info")
    host, store = info["host"], info["store"]
    said = Podman(
        runtime=(host.get("ociRuntime") or {}).get("name", ""),  # null: it does not even tell
        conmon=_number((host.get("conmon") or {}).get("version", "")),
        backend=host.get("networkBackend", ""),
        events_logger=host.get("eventLogger", ""),
        manager=host.get("cgroupManager", ""),
        driver=store["graphDriverName"],
        graph_root=store["graphRoot"],
        rootless=host["security"]["rootless"],
        free_locks=host.get("freeLocks"),
    )
    listed = podman.call("GET", "containers/json", all="true")
    ours = json.dumps({"label": ["nodeorch.workload"], "restart-policy": ["always"]})
    kept = podman.call("GET", "containers/json", all="true", filters=ours)
    return {
        "podman": said,
        "podman_version": info["version"]["Version"],
        "containers": tuple(_found(c) for c in listed or ()),
        "self_restarting": tuple(_found(c).name for c in kept or ()),
    }


def _number(version: str) -> str:
    """ "conmon version 2.1.6, commit: unknown" → "2.1.6" """
    found = re.search(r"\d+(\.\d+)+", version)
    return found[0] if found else ""


def _found(container: dict[str, Any]) -> Found:
    names = container.get("Names") or [container["Id"][:12]]
    return Found(names[0], container.get("Image") or "", container.get("Labels") or {})
