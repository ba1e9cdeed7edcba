"""A spec file's text → a workload, or all problems of it. Opens no files itself."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Iterator
from typing import Any

import msgspec

from nodeorch.model.workload import MIB, Workload
from nodeorch.spec import contents, rules, rules_fleet, rules_hooks, rules_io, rules_jobs
from nodeorch.spec.envfile import EnvFileError, parse_env_file
from nodeorch.spec.faults import Fault, Faults, quote
from nodeorch.spec.mounts import ALLOWED_SOURCES, normalise
from nodeorch.spec.names import is_name
from nodeorch.spec.problems import Problem, locate
from nodeorch.spec.walk import convert

SIZE_LIMIT = 1 << 20
"""Bytes of a spec file."""

DEFAULT_MEMORY = 256 * MIB


class Unparsed(Exception):
    """Text that is not TOML: one fault, and where."""

    def __init__(self, fault: Fault, line: int, column: int) -> None:
        super().__init__(fault.message)
        self.fault = fault
        self.at = (line, column)


def load_text(
    text: bytes | str,
    file: str,
    *,
    stem: str | None = None,
    default_memory: int | None = DEFAULT_MEMORY,
    allowed_sources: tuple[str, ...] = ALLOWED_SOURCES,
    guarded: tuple[str, ...] = (),
    read_file: Callable[[str], str] | None = None,
    read_source: contents.Read | None = None,
    keep: contents.Keep | None = None,
    known_labels: rules_fleet.Labels | None = None,
) -> tuple[Workload | None, tuple[Problem, ...]]:
    """A workload and warnings, or None and all problems.

    stem             the file's name without .toml; workload.name must equal it
    default_memory   bytes, when resources.memory is missing; None: then it is an error
    allowed_sources  folders of the host that may be bind-mounted or hold an env_file
    guarded          paths that may not, besides those in :mod:`nodeorch.spec.mounts`
    read_file        reads an env_file, raising OSError or ValueError; None: it is not read
    read_source      reads a config file's source, raising OSError; None: it is not read
    keep             takes the content of config files, raising OSError; the workload holds digests
    known_labels     labels of the fleet's nodes and their values; None: nobody knows them
    """
    source = text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text
    shown = stem or file.rsplit("/", 1)[-1].removesuffix(".toml")
    faults = Faults()
    try:
        data = parse(source)
    except Unparsed as error:
        faults.add(error.fault)
        return None, locate(faults, source[:SIZE_LIMIT], file, shown, error.at)
    workload = convert(data, Workload, faults)
    if is_name(workload.main.name):
        shown = workload.main.name
    faults.add_unless_known(_judge(workload, stem, default_memory, allowed_sources, guarded))
    faults.add_unless_known(rules_jobs.written(workload, data))
    if known_labels is not None:
        faults.add_unless_known(rules_fleet.known(workload, known_labels))
    if not faults.errors:
        workload = _complete(workload, default_memory)
        workload = _with_env_file(workload, read_file, faults)
        workload = contents.shelved(workload, read_source, keep, faults)
    problems = locate(faults, source, file, shown)
    return (None if faults.errors else workload), problems


def _judge(
    workload: Workload,
    stem: str | None,
    default_memory: int | None,
    allowed: tuple[str, ...],
    guarded: tuple[str, ...],
) -> Iterator[Fault]:
    if stem is not None and workload.main.name != stem:
        fix = f'write name = "{stem}", or rename the file to {workload.main.name}.toml'
        if not is_name(stem):
            fix = f"rename the file to {workload.main.name}.toml"
        message = f"{quote(workload.main.name)} is not the file's name {quote(stem)}"
        yield Fault(("workload", "name"), "E201", message, fix)
    if default_memory is None and workload.resources.memory is None:
        fix = 'add [resources] memory = "256MiB" (or a default to nodeorch.toml)'
        yield Fault(("resources", "memory"), "E220", "is required on this node", fix, on_key=True)
    for module in (rules, rules_io, rules_hooks, rules_jobs, rules_fleet):
        for rule in module.RULES:
            yield from rule(workload)
    yield from rules_io.volumes(workload, allowed, guarded)
    yield from contents.rules(workload, allowed, guarded)
    if workload.main.env_file is not None:
        path = ("workload", "env_file")
        yield from rules_io.host_path(path, workload.main.env_file, allowed, guarded)


def _complete(workload: Workload, default_memory: int | None) -> Workload:
    """Defaults filled in, and each thing spelled in the one way that the rest of us knows."""
    replace = msgspec.structs.replace
    changes: dict[str, Any] = {}
    if workload.resources.memory is None:
        changes["resources"] = replace(workload.resources, memory=default_memory)
    if workload.volumes:
        changes["volumes"] = tuple(
            replace(
                volume,
                target=normalise(volume.target),
                source=None if volume.source is None else normalise(volume.source),
            )
            for volume in workload.volumes
        )
    capabilities = map(rules.plain_capability, workload.security.capabilities)
    signal = workload.stop.signal.removeprefix("SIG")
    return replace(
        workload,
        security=replace(workload.security, capabilities=tuple(dict.fromkeys(capabilities))),
        stop=replace(workload.stop, signal=signal),
        **changes,
    )


def _with_env_file(
    workload: Workload, read_file: Callable[[str], str] | None, faults: Faults
) -> Workload:
    """What stands in the spec wins over the file."""
    main = workload.main
    if main.env_file is None or read_file is None:
        return workload
    path = ("workload", "env_file")
    try:
        found = parse_env_file(read_file(normalise(main.env_file)))
    except EnvFileError as error:
        fix = "write one KEY=value a line"
        faults.add(Fault(path, "E231", f"{quote(main.env_file)}: {error}", fix))
    except (OSError, ValueError) as error:
        words = getattr(error, "why", None) or getattr(error, "strerror", None) or str(error)
        words = words or type(error).__name__
        fix = "create it, or remove env_file"
        faults.add(Fault(path, "E231", f"cannot read {quote(main.env_file)}: {words}", fix))
    else:
        merged = msgspec.structs.replace(main, env={**found, **main.env})
        return msgspec.structs.replace(workload, main=merged)
    return workload


_AT = re.compile(r" \(at (?:line (\d+), column (\d+)|end of document)\)$")
_DEEP_KEY = re.compile(rb"""(?<![\w"'-])(?:["']?[\w-]++["']?[ \t]*+\.[ \t]*+){64}""")
"""tomllib takes quadratic time for a key of many parts."""


def parse(source: bytes) -> dict[str, Any]:
    """TOML. Raises Unparsed, and nothing else."""
    if len(source) > SIZE_LIMIT:
        message = f"the file is larger than 1MiB ({len(source)} bytes)"
        raise Unparsed(Fault((), "E001", message, "a spec is a few KiB; is this the file?"), 1, 1)
    try:
        text = source.decode("utf-8")
    except UnicodeDecodeError as error:
        before = source[: error.start]
        column = len(before.rsplit(b"\n", 1)[-1].decode("utf-8", "replace")) + 1
        message = f"byte 0x{source[error.start]:02x} is not UTF-8 text"
        fault = Fault((), "E002", message, "save the file as UTF-8")
        raise Unparsed(fault, before.count(b"\n") + 1, column) from None
    if deep := _DEEP_KEY.search(source):
        line = source.count(b"\n", 0, deep.start()) + 1
        raise Unparsed(Fault((), "E003", "a key has too many parts", "use fewer dots"), line, 1)
    try:
        return tomllib.loads(text)
    except RecursionError:
        fault = Fault((), "E003", "brackets are nested too deeply", "a spec nests a few levels")
        raise Unparsed(fault, 1, 1) from None
    except ValueError as error:  # TOMLDecodeError, or an integer of thousands of digits
        raise _syntax(str(error), source, text) from None


def _syntax(words: str, source: bytes, text: str) -> Unparsed:
    lines = text.replace("\r\n", "\n").split("\n")
    match = _AT.search(words)
    message = words[: match.start()] if match else words.split(";")[0]
    line, column = len(lines), len(lines[-1]) + 1
    if match and match[1]:
        line, column = int(match[1]), int(match[2])
    elif not match:
        line, column = 1, 1
    if message.startswith("Cannot "):
        from nodeorch.spec.positions import Positions

        if duplicate := Positions(source).duplicate:
            what = f"stands a second time; the first is in line {duplicate.first_line}"
            return Unparsed(
                Fault(duplicate.path, "E004", what, "keep one of them", on_key=True),
                *duplicate.second,
            )
        return Unparsed(Fault((), "E004", message.lower(), "keep one of them"), line, column)
    from nodeorch.spec.syntax import syntax_fix

    here = lines[min(line, len(lines)) - 1]
    fault = Fault((), "E003", f"not TOML: {message}", syntax_fix(message, here, column))
    return Unparsed(fault, line, column)
