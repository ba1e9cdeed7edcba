"""What a well-formed workload may not mean: the process, its limits and its privileges.

Each rule takes a workload and yields faults; a rule's code stands in :mod:`.problems`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from nodeorch.model.workload import Workload
from nodeorch.spec.faults import Fault, Path, quote
from nodeorch.spec.names import CAPABILITIES, ULIMITS, is_env_name, is_name, is_signal
from nodeorch.spec.units import format_bytes, format_seconds

MEMORY_MIN = 4 << 20
"""Less than this and the OCI runtime itself dies while it sets the container up."""
CPU_MIN = 0.01
"""The kernel's smallest quota, 1 ms of 100 ms."""

_PART = r"[a-z0-9]+(?:(?:\.|__?|-+)[a-z0-9]+)*"
_IMAGE = re.compile(
    r"(?:(?:localhost|[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+|[A-Za-z0-9-]+(?=:[0-9]))(?::[0-9]{1,5})?/)?"
    rf"{_PART}(?:/{_PART})*"
    r"(?::[A-Za-z0-9_][A-Za-z0-9_.-]{0,127})?"
    r"(?:@[A-Za-z][A-Za-z0-9]*:[0-9a-fA-F]{32,})?"
)
"""The grammar of distribution/reference."""
_USER_PART = r"(?:[0-9]{1,10}|[A-Za-z_][A-Za-z0-9_.-]{0,31})"
_USER = re.compile(rf"{_USER_PART}(?::{_USER_PART})?")
_HOSTNAME = re.compile(r"(?=.{1,63}$)[A-Za-z0-9]([-A-Za-z0-9]*[A-Za-z0-9])?(\.[A-Za-z0-9-]+)*")
_LABEL = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._/-]{0,253}[A-Za-z0-9])?")
_UID_MAX = (1 << 32) - 2

_MAIN = "workload"


def image(w: Workload) -> Iterator[Fault]:
    text = w.main.image
    if len(text) <= 400 and _IMAGE.fullmatch(text):
        return
    fix = 'write [HOST[:PORT]/]NAME[:TAG][@DIGEST], such as "localhost/web:1"'
    if "://" in text:
        fix = "leave out the scheme"
    elif len(text) <= 400 and _IMAGE.fullmatch(text.lower()):
        fix = f"image names are lower case: {quote(text.lower())}"
    yield Fault((_MAIN, "image"), "E218", f"{quote(text)} is not an image reference", fix)


def command(w: Workload) -> Iterator[Fault]:
    if w.main.command and not w.main.command[0]:
        yield Fault((_MAIN, "command", 0), "E221", "the program's name is empty", "name a program")


def environment(w: Workload) -> Iterator[Fault]:
    for name in w.main.env:
        if not is_env_name(name):
            yield Fault(
                (_MAIN, "env", name),
                "E222",
                f"{quote(name)} is not a name of a variable",
                "use letters, digits, _ . and -, not beginning with a digit",
                on_key=True,
            )


def labels(w: Workload) -> Iterator[Fault]:
    for key in w.main.labels:
        if key.startswith("nodeorch."):
            message, fix = "labels that begin with nodeorch. are kept for nodeorch", "rename it"
        elif not _LABEL.fullmatch(key):
            message = f"{quote(key)} is not a label"
            fix = "use letters, digits, . _ / and -, at most 255"
        else:
            continue
        yield Fault((_MAIN, "labels", key), "E226", message, fix, on_key=True)


def hostname(w: Workload) -> Iterator[Fault]:
    if w.main.hostname is not None and not _HOSTNAME.fullmatch(w.main.hostname):
        yield Fault(
            (_MAIN, "hostname"),
            "E229",
            f"{quote(w.main.hostname)} is not a host name",
            "use letters, digits, - and dots, at most 63 characters",
        )


def order(w: Workload) -> Iterator[Fault]:
    named: list[tuple[Path, str, bool]] = [
        ((_MAIN, "after", i), name, False) for i, name in enumerate(w.main.after)
    ]
    named += [((_MAIN, "needs", name), name, True) for name in w.main.needs]
    for path, name, on_key in named:
        if on_key and not is_name(name):
            fix = "use a-z, 0-9 and - inside, at most 63 characters"
            yield Fault(path, "E236", f"{quote(name)} is not a workload's name", fix, on_key=True)
        elif name and name == w.main.name:
            yield Fault(path, "E224", "a workload cannot wait for itself", "remove it", on_key)


def memory(w: Workload) -> Iterator[Fault]:
    path = ("resources", "memory")
    limit = w.resources.memory
    if limit is None:
        return
    if limit < MEMORY_MIN:
        yield Fault(
            path,
            "E219",
            f"{format_bytes(limit)} is too little to start a container",
            f"use at least {format_bytes(MEMORY_MIN)}",
        )
    high = w.resources.memory_high
    if high is not None and high > limit:
        yield Fault(
            ("resources", "memory_high"),
            "E234",
            f"{format_bytes(high)} is above memory ({format_bytes(limit)})",
            "use less than memory",
            uses=(path,),
        )


def cpu(w: Workload) -> Iterator[Fault]:
    if w.resources.cpu is not None and w.resources.cpu < CPU_MIN:
        yield Fault(
            ("resources", "cpu"),
            "E219",
            f"{w.resources.cpu:g} is less than the kernel can give",
            f"use at least {CPU_MIN:g}",
        )


def cpuset(w: Workload) -> Iterator[Fault]:
    for part in (w.resources.cpuset or "").split(","):
        low, _, high = part.partition("-")
        if not low:
            continue
        if max(len(low), len(high)) > 4 or int(high or low) > 8191 or int(high or low) < int(low):
            yield Fault(
                ("resources", "cpuset"),
                "E217",
                f"{quote(part)} is not a range of cpus",
                'write the lower number first, such as "0-3"',
            )


def ulimits(w: Workload) -> Iterator[Fault]:
    for name, limit in w.resources.ulimits.items():
        path = ("resources", "ulimits", name)
        if name not in ULIMITS:
            from nodeorch.spec.didyoumean import closest

            near = closest(name.lower().removeprefix("rlimit_"), tuple(sorted(ULIMITS)))
            known = ", ".join(sorted(ULIMITS))
            fix = f'did you mean "{near}"?' if near else f"known: {known}"
            yield Fault(path, "E212", f"unknown ulimit {quote(name)}", fix, on_key=True)
        if limit.soft > limit.hard:
            yield Fault(
                (*path, "soft"),
                "E213",
                f"{limit.soft} is above hard ({limit.hard})",
                "use at most hard",
                uses=((*path, "hard"),),
            )


def devices(w: Workload) -> Iterator[Fault]:
    for i, device in enumerate(w.resources.io):
        if device.path and not device.path.startswith("/dev/"):
            yield Fault(
                ("resources", "io", i, "path"),
                "E237",
                f"{quote(device.path)} is not a block device",
                'name one below /dev, such as "/dev/sda"',
            )


def restart(w: Workload) -> Iterator[Fault]:
    backoff = w.restart.backoff
    path = ("restart", "backoff")
    if backoff.initial > backoff.max:
        yield Fault(
            (*path, "initial"),
            "E223",
            f"{format_seconds(backoff.initial)} is above max ({format_seconds(backoff.max)})",
            "use at most max",
            uses=((*path, "max"),),
        )
    if backoff.initial < 0.01:
        fix = "use at least 10ms; the first restart is immediate anyway"
        yield Fault((*path, "initial"), "E235", "would restart without a pause", fix)


def stop(w: Workload) -> Iterator[Fault]:
    signal = w.stop.signal
    if not is_signal(signal.removeprefix("SIG")):
        fix = 'write a name such as "TERM", "INT", "QUIT", "HUP" or "RTMIN+3"'
        yield Fault(("stop", "signal"), "E211", f"unknown signal {quote(signal)}", fix)


def capabilities(w: Workload) -> Iterator[Fault]:
    for i, name in enumerate(w.security.capabilities):
        word = plain_capability(name)
        if word in CAPABILITIES:
            continue
        from nodeorch.spec.didyoumean import closest

        near = closest(word, tuple(sorted(CAPABILITIES)))
        fix = f'did you mean "{near}"?' if near else "see capabilities(7)"
        if word == "ALL":
            fix = "name the ones that are needed, or set privileged = true"
        path = ("security", "capabilities", i)
        yield Fault(path, "E210", f"unknown capability {quote(name)}", fix)


def plain_capability(name: str) -> str:
    """``cap_net_raw`` as ``NET_RAW``."""
    return name.upper().removeprefix("CAP_")


def user(w: Workload) -> Iterator[Fault]:
    text = w.security.user
    if text is None:
        return
    numbers = [int(part) for part in text.split(":") if part.isdecimal() and len(part) <= 10]
    if not _USER.fullmatch(text) or any(number > _UID_MAX for number in numbers):
        fix = 'write "UID", "UID:GID" or names that the image knows'
        yield Fault(("security", "user"), "E225", f"{quote(text)} is not a user", fix)


def seccomp(w: Workload) -> Iterator[Fault]:
    profile = w.security.seccomp
    if profile not in ("default", "unconfined") and not profile.startswith("/"):
        fix = 'write "default", "unconfined" or the absolute path of a profile'
        yield Fault(
            ("security", "seccomp"), "E233", f"{quote(profile)} is not a seccomp profile", fix
        )


RULES = (
    image,
    command,
    environment,
    labels,
    hostname,
    order,
    memory,
    cpu,
    cpuset,
    ulimits,
    devices,
    restart,
    stop,
    capabilities,
    user,
    seccomp,
)
