"""A workload → the text of a spec file that means the same. The inverse of :mod:`.load`."""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import msgspec
from msgspec import inspect
from msgspec.structs import replace

from nodeorch.model.workload import File, Workload
from nodeorch.spec.units import format_bytes, format_seconds, parse_seconds
from nodeorch.spec.walk import plain, shown, type_info


class Unwritable(ValueError):
    """The words name the file of the workload whose content nobody has."""


def to_toml(workload: Workload, contents: Mapping[str, str], comment: str = "") -> str:
    """The text of NAME.toml, without what is the default.

    contents  the texts of config files by their digest. A file that is not among them (it may be
              no text) keeps its source, and has to be put there on the host that reads the spec
    comment   stands above it, one comment for each of its lines

    What an env_file held is in env, so the file is not named. Raises Unwritable for a file that
    has neither a text nor a source. The text may be larger than a spec file may be: read it with
    load_text() before it counts.
    """
    files = tuple(_file(file, contents) for file in workload.files)
    main = replace(workload.main, env_file=None)
    table = _table(replace(workload, main=main, files=files), type_info(Workload))
    head = "".join(f"# {_printable(line)}\n" for line in comment.splitlines())
    return "\n".join([*([head] if head else []), *_sections(table)])


def _sections(table: Mapping[str, Any]) -> Iterator[str]:
    """Of arrays of tables one for each item, under a header of its own: items hold no tables."""
    import tomli_w

    # A multi-line string would lose the carriage returns of a text that has any.
    lines = b"\\r" not in msgspec.json.encode(table)
    for name, value in table.items():
        if isinstance(value, list):
            for item in value:
                yield f"[[{name}]]\n" + tomli_w.dumps(item, multiline_strings=lines)
        else:
            yield tomli_w.dumps({name: value}, multiline_strings=lines)


def _file(file: File, contents: Mapping[str, str]) -> File:
    if (content := contents.get(file.digest)) is not None:
        return replace(file, content=content, source=None)
    if file.content is None and file.source is None:
        raise Unwritable(
            f"cannot write the spec: the content of {file.target} is not text, or is not kept; "
            "write the spec by hand, with a source"
        )
    return file


def _printable(line: str) -> str:
    return "".join(char if char.isprintable() else " " for char in line)


def _table(value: msgspec.Struct, info: inspect.StructType) -> dict[str, Any]:
    return {
        field.encode_name: _written(found, field.type)
        for field in shown(info)
        if (found := getattr(value, field.name)) is not None
        and (field.required or found != _default(field))
    }


def _default(field: inspect.Field) -> Any:
    if field.default_factory is not msgspec.NODEFAULT:
        return field.default_factory()
    return field.default


def _written(value: Any, wrapped: inspect.Type) -> Any:
    bare = plain(wrapped)
    kind = bare.type
    if unit := bare.extra.get("unit"):
        return _UNITS[unit](value)
    if isinstance(kind, inspect.StructType):
        return _table(value, kind)
    if isinstance(kind, inspect.VarTupleType):
        return [_written(item, kind.item_type) for item in value]
    if isinstance(kind, inspect.DictType):
        return {key: _written(item, kind.value_type) for key, item in value.items()}
    return value.value if isinstance(value, enum.Enum) else value


def _seconds(value: float) -> str:
    """As people write it, unless that is not exact."""
    text = format_seconds(value)
    return text if parse_seconds(text) == value else f"{value:.6f}".rstrip("0").rstrip(".") + "s"


def _cpus(value: float) -> float:
    return int(value) if value.is_integer() else value


_UNITS: dict[str, Callable[[Any], Any]] = {
    "bytes": format_bytes,
    "seconds": _seconds,
    "cpus": _cpus,
}
