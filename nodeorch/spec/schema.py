"""JSON Schema of what a person writes in TOML, made from the same structs as the validator.

Draft-04 keywords only: that is what Taplo and Even Better TOML read. Quantities are strings with
a unit here, although the model holds numbers.
"""

from __future__ import annotations

import enum
import re
from typing import Any

import msgspec
from msgspec import inspect

from nodeorch.model.quantities import LABEL_PATTERN
from nodeorch.model.workload import NAME_PATTERN, Workload
from nodeorch.spec import units
from nodeorch.spec.names import ULIMITS
from nodeorch.spec.settings import Settings
from nodeorch.spec.walk import Plain, plain, shown, type_info
from nodeorch.spec.words import WORDS
from nodeorch.spec.words_settings import SETTINGS

Schema = dict[str, Any]

_ONE_OF_VOLUME = [{"required": [key]} for key in ("name", "source", "tmpfs")]
_ONE_OF_PROBE = [{"required": [key]} for key in ("http", "tcp", "grpc", "exec")]
_ONE_OF_HOOK = [{"required": [key]} for key in ("exec", "http")]
_WORDS: Schema = {"type": "string"}

_MORE: dict[str, Schema] = {
    "Volume": {"oneOf": _ONE_OF_VOLUME},
    "Probe": {"oneOf": _ONE_OF_PROBE},
    "File": {"oneOf": [{"required": [key]} for key in ("content", "source")]},
    "PostStart": {"oneOf": _ONE_OF_HOOK},
    "PreStop": {"oneOf": _ONE_OF_HOOK},
}
"""What the structs say only in words, by struct."""

_KEYS: dict[tuple[str, str], str] = {
    ("Main", "env"): r"^[A-Za-z_][A-Za-z0-9_.-]*$",
    ("Main", "needs"): NAME_PATTERN,
    ("Main", "labels"): r"^(?!nodeorch\.)[A-Za-z0-9]([A-Za-z0-9._/-]{0,253}[A-Za-z0-9])?$",
    ("Resources", "ulimits"): f"^({'|'.join(sorted(ULIMITS))})$",
    ("Http", "headers"): r"^[!#$%&'*+.^_`|~0-9A-Za-z-]+$",
    ("Placement", "constraints"): LABEL_PATTERN,
    ("NodeSettings", "labels"): LABEL_PATTERN,
    ("ClusterSettings", "labels"): LABEL_PATTERN,
}
"""Patterns of the keys of free tables, by struct and field."""


def schema(kind: str = "workload") -> Schema:
    """The schema of "workload" or "settings" files."""
    root = {"workload": Workload, "settings": Settings}[kind]
    made = _Maker()
    body = made.struct(type_info(root))
    return {
        "$schema": "http://json-schema.org/draft-04/schema#",
        "title": f"nodeorch {kind}",
        **body,
        "definitions": {name: made.definitions[name] for name in sorted(made.definitions)},
    }


class _Maker:
    def __init__(self) -> None:
        self.definitions: dict[str, Schema] = {}

    def struct(self, info: inspect.StructType) -> Schema:
        name = info.cls.__name__
        made: Schema = {"type": "object", "additionalProperties": False}
        required = [field.encode_name for field in info.fields if field.required]
        if required:
            made["required"] = required
        made["properties"] = {field.encode_name: self.field(name, field) for field in shown(info)}
        document = (info.cls.__doc__ or "").strip()
        if document and not document.startswith(f"{name}("):
            made["description"] = " ".join(document.split())
        return {**made, **_MORE.get(name, {})}

    def field(self, owner: str, field: inspect.Field) -> Schema:
        made = self.type(field.type)
        if key_pattern := _KEYS.get((owner, field.encode_name)):
            values = made.pop("additionalProperties")
            made |= {"additionalProperties": False, "patternProperties": {key_pattern: values}}
        bare = plain(field.type)
        if not field.required and field.default not in (None, msgspec.NODEFAULT):
            default = _source_form(field.default, bare)
            if default is not None:
                made["default"] = default
        if described := _described(owner, field.encode_name) or bare.description:
            made["description"] = described
        return made

    def type(self, wrapped: inspect.Type) -> Schema:
        bare = plain(wrapped)
        kind = bare.type
        if "unit" in bare.extra:
            return _quantity(bare)
        if isinstance(kind, inspect.StructType):
            name = kind.cls.__name__
            if name not in self.definitions:
                self.definitions[name] = {}
                self.definitions[name] = self.struct(kind)
            # In draft-04 everything beside a $ref is ignored, so it goes one level down.
            return {"allOf": [{"$ref": f"#/definitions/{name}"}]}
        if isinstance(kind, inspect.VarTupleType):
            return {"type": "array", "items": self.type(kind.item_type)}
        if isinstance(kind, inspect.DictType):
            return {"type": "object", "additionalProperties": self.type(kind.value_type)}
        if isinstance(kind, inspect.EnumType):
            return {"type": "string", "enum": [choice.value for choice in kind.cls]}
        if isinstance(kind, inspect.BoolType):
            return {"type": "boolean"}
        if isinstance(kind, inspect.IntType | inspect.FloatType):
            return _number(kind)
        assert isinstance(kind, inspect.StrType), kind
        made: Schema = dict(_WORDS)
        if kind.min_length:
            made["minLength"] = kind.min_length
        if kind.pattern:
            made["pattern"] = kind.pattern
        return made


def _described(owner: str, key: str) -> str:
    """In words, without links: an editor has nothing to follow them to."""
    word = WORDS.get(owner, {}).get(key)
    meaning = word.meaning if word else SETTINGS.get(owner, {}).get(key, "")
    return re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", meaning)


def _number(kind: inspect.IntType | inspect.FloatType) -> Schema:
    made: Schema = {"type": "integer" if isinstance(kind, inspect.IntType) else "number"}
    if kind.gt is not None:
        made |= {"minimum": kind.gt, "exclusiveMinimum": True}
    if kind.ge is not None:
        made["minimum"] = kind.ge
    if kind.le is not None:
        made["maximum"] = kind.le
    return made


def _quantity(bare: Plain) -> Schema:
    unit = bare.extra["unit"]
    if unit == "bytes":
        size: Schema = {"type": "string", "pattern": units.BYTES_PATTERN}
        if bare.extra.get("off"):
            return {"anyOf": [size, {"enum": [False, ""]}]}
        return size
    if unit == "seconds":
        return {"type": "string", "pattern": units.SECONDS_PATTERN, "minLength": 2}
    assert isinstance(bare.type, inspect.FloatType)
    return {"anyOf": [_number(bare.type), {"type": "string", "pattern": units.CPUS_PATTERN}]}


def _source_form(value: Any, bare: Plain) -> Any:
    """A default as it is written in TOML; None: not worth showing."""
    unit = bare.extra.get("unit")
    if unit == "bytes":
        return units.format_bytes(value)
    if unit == "seconds":
        return units.format_seconds(value)
    if isinstance(value, enum.Enum):
        return value.value
    if isinstance(value, bool | int | float | str):
        return value
    return None
