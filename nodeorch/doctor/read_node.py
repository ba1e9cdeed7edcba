"""Looks at nodeorch's own files and its daemon, and for agents of Serf. Changes nothing."""

from __future__ import annotations

import contextlib
import glob
import grp
import json
import os
import stat
from typing import Any

from nodeorch import __version__
from nodeorch.client.unix import ApiError, Client, ClientError, NoPermission
from nodeorch.doctor.facts import Daemon, Serf, Workload
from nodeorch.doctor.read_kernel import text
from nodeorch.files import Unreadable, read_regular
from nodeorch.model import workload as model
from nodeorch.spec.load import SIZE_LIMIT, load_text
from nodeorch.spec.names import is_spec_name
from nodeorch.spec.problems import errors
from nodeorch.spec.settings import Settings, load_settings

PATIENCE = 2.0
MAGIC = b"SQLite format 3\0"
VERSION_AT = 60
"""Where a database keeps PRAGMA user_version: four bytes, big endian (sqlite.org/fileformat)."""
SERF_CONFIG = "/etc/serf"


def settings(path: str) -> tuple[Settings, dict[str, Any], list[str]]:
    """(what is in force, facts, what could not be looked at)."""
    files = [path, *sorted(glob.glob(os.path.join(os.path.dirname(path), "nodeorch.d/*.toml")))]
    unseen: list[str] = []
    texts: list[tuple[str, bytes | str]] = []
    facts: dict[str, Any] = {"config": path, "config_missing": not os.path.lexists(path)}
    for file in files[1:] if facts["config_missing"] else files:
        try:
            texts.append((file, read_regular(file, SIZE_LIMIT)))
        except Unreadable as error:
            unseen.append(str(error))
    found, problems = load_settings(texts)
    facts["settings_problems"] = tuple(p.brief() for p in errors(problems))
    found = found or Settings()
    facts |= {"group": found.api.group, "spec_folder": found.paths.workloads}
    if found.api.group is not None:
        facts["group_known"] = _known(found.api.group)
    return found, facts, unseen


def _known(group: str) -> bool:
    try:
        grp.getgrnam(group)
    except KeyError:
        return False
    return True


def specs(chosen: Settings) -> tuple[dict[str, Any], list[str]]:
    """(facts, what could not be looked at)."""
    folder = chosen.paths.workloads
    found: dict[str, Workload] = {}
    problems: list[str] = []
    try:
        names = sorted(name for name in os.listdir(folder) if is_spec_name(name))
    except FileNotFoundError:
        return {"workloads": {}}, []
    except OSError as error:
        return {}, [f"{folder}: {(error.strerror or str(error)).lower()}"]
    for name in names:
        file = os.path.join(folder, name)
        try:
            workload, said = load_text(
                read_regular(file, SIZE_LIMIT),
                file,
                stem=name.removesuffix(".toml"),
                default_memory=chosen.defaults.memory,
                allowed_sources=chosen.volumes.allowed,
                guarded=chosen.guarded,
                known_labels=chosen.known_labels,
            )
        except Unreadable as error:
            problems.append(str(error))
            continue
        problems += [problem.brief() for problem in errors(said)]
        if workload is not None:
            found[workload.name] = _of(workload)
    return {"workloads": found, "spec_problems": tuple(problems)}, []


def _of(workload: model.Workload) -> Workload:
    probes = (workload.probes.startup, workload.probes.readiness, workload.probes.liveness)
    return Workload(
        pids=(workload.resources.pids or 0) * workload.main.replicas,
        exec_probes=any(probe is not None and probe.exec is not None for probe in probes),
        userns=workload.security.userns == "auto",
    )


def state(folder: str) -> tuple[dict[str, Any], list[str]]:
    facts: dict[str, Any] = {"state": folder}
    with contextlib.suppress(OSError):
        facts["state_mode"] = stat.S_IMODE(os.stat(folder).st_mode)
    try:
        with open(os.path.join(folder, "nodeorch.db"), "rb") as file:
            head = file.read(VERSION_AT + 4)
    except FileNotFoundError:
        return facts, []
    except OSError as error:
        return facts, [f"the database in {folder}: {(error.strerror or str(error)).lower()}"]
    if head.startswith(MAGIC):
        facts["schema"] = int.from_bytes(head[VERSION_AT:], "big")
    return facts, []


def daemon(socket: str) -> dict[str, Any]:
    facts: dict[str, Any] = {"socket": socket, "version": __version__, "daemon_listens": True}
    with contextlib.suppress(OSError):
        facts["socket_mode"] = stat.S_IMODE(os.stat(socket).st_mode)
    client = Client(socket, PATIENCE)
    try:
        node = client.get("/v1/node")
        names = frozenset(view["name"] for view in client.get("/v1/status"))
        brake = node["brake_words"] or ("deletions are held back" if node["brake"] else "")
        facts["daemon"] = Daemon(node["version"], names, node["engine_answering"], brake)
    except NoPermission:
        facts["daemon_denied"] = True
    except ApiError as error:
        facts["daemon_trouble"] = str(error)
    except ClientError as error:
        if isinstance(error.__cause__, FileNotFoundError | ConnectionRefusedError):
            facts["daemon_listens"] = False
        else:
            facts["daemon_trouble"] = str(error)
    except (KeyError, TypeError):
        facts["daemon_trouble"] = "what answers there is no nodeorchd that this command knows"
    finally:
        client.close()
    return facts


# -- Serf


def serf() -> dict[str, Any]:
    agents = []
    for name in os.listdir("/proc"):
        if name.isdigit() and (text(f"/proc/{name}/comm") or "").strip() == "serf":
            words = (text(f"/proc/{name}/cmdline") or "").split("\0")
            if "agent" in words:
                agents.append(agent(int(name), words))
    keyed = any(_keyed(conf) for conf in _configs(["-config-dir", SERF_CONFIG]))
    return {"serfs": tuple(agents), "serf_key": keyed}


def agent(pid: int, words: list[str]) -> Serf:
    """An agent by its command line and the files that this names."""
    configs = list(_configs(words))
    bind = _option(words, "bind") or next((c["bind"] for c in configs if c.get("bind")), "0.0.0.0")
    flagged = _option(words, "encrypt") or _option(words, "keyring-file")
    return Serf(pid, str(bind), bool(flagged) or any(map(_keyed, configs)))


def _keyed(conf: dict[str, Any]) -> bool:
    return bool(conf.get("encrypt_key") or conf.get("keyring_file"))


def _option(words: list[str], name: str) -> str:
    """As Go's flags are written: -name value, -name=value, with one dash or two."""
    for at, word in enumerate(words):
        key, equals, value = word.lstrip("-").partition("=")
        if word.startswith("-") and key == name:
            return value if equals else "".join(words[at + 1 : at + 2])
    return ""


def _configs(words: list[str]) -> list[dict[str, Any]]:
    folder = _option(words, "config-dir")
    files = sorted(glob.glob(f"{folder}/*.json")) if folder else []
    found = []
    for file in [*files, _option(words, "config-file")]:
        with contextlib.suppress(ValueError):
            conf = json.loads((text(file) if file else None) or "{}")
            if isinstance(conf, dict):
                found.append(conf)
    return found
