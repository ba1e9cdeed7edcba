"""One walk over parsed TOML that converts it to a struct and finds every fault on its way.

msgspec itself stops at the first error; its type information drives this walk, so that the
structs in the model stay the only definition of a spec.
"""

from __future__ import annotations

import datetime
import functools
import math
import re
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import msgspec
from msgspec import inspect

from nodeorch.model.quantities import LABEL_PATTERN, NAME_PATTERN
from nodeorch.spec import units
from nodeorch.spec.faults import Fault, Faults, Path, quote
from nodeorch.spec.names import is_name

T = TypeVar("T")


ITEMS_MAX = 1000
"""Of an array: some rules compare each with each."""


class _Bad:
    """What a conversion returns after it has reported a fault."""


_BAD = _Bad()

_PATTERN_FIXES = {
    r"^/": "begin it with /",
    r"^0?[0-7]{3}$": 'write octal digits such as "0444"',
    r"^/[!-~]*$": "begin it with /, without spaces; write other characters as %XX",
    r"^(host|auto)$": 'write "host" or "auto"',
    r"^[0-9]+(-[0-9]+)?(,[0-9]+(-[0-9]+)?)*$": 'write numbers and ranges such as "0-3,8"',
    r"^(SIG)?[A-Z][A-Z0-9+]*$": 'write a name such as "TERM" or "SIGINT"',
    r"^[a-zA-Z0-9][a-zA-Z0-9_.-]{0,62}$": (
        "use letters, digits, _ . and -, beginning with a letter or digit, at most 63"
    ),
    r"^([0-9.]+|\[[0-9A-Fa-f:.]+\]):[0-9]{1,5}$": 'write an address and a port: "127.0.0.1:9464"',
    NAME_PATTERN: ("use a-z, 0-9 and - inside, at most 63 characters"),
    LABEL_PATTERN: "use letters, digits, . _ and - inside, at most 63",
    r"^https?://(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9.-]+):[0-9]{1,5}$": (
        'write a URL with a port: "https://10.0.0.1:2379"'
    ),
}


def convert(data: Mapping[str, Any], kind: type[T], faults: Faults) -> T:
    """Convert to a ``kind``. What is wrong is reported to ``faults`` and stands as its default,
    or as an empty value where there is none, so that the rest can still be judged."""
    info = type_info(kind)
    result: T = _Walker(faults, info).struct(dict(data), info, ())
    return result


def type_info(kind: type) -> inspect.StructType:
    """A struct's type information; made once."""
    if kind not in _TYPES:
        info = inspect.type_info(kind)
        assert isinstance(info, inspect.StructType)
        _TYPES[kind] = info
    return _TYPES[kind]


_TYPES: dict[type, inspect.StructType] = {}


@functools.cache
def compiled(pattern: str) -> re.Pattern[str]:
    """A schema's pattern. Its ``$`` is the very end: Python's would let a newline pass."""
    return re.compile(pattern[:-1] + r"\Z" if pattern.endswith("$") else pattern)


class Plain(msgspec.Struct, frozen=True):
    """A type without its wrappings."""

    type: inspect.Type
    extra: dict[str, Any]
    description: str


def plain(wrapped: inspect.Type) -> Plain:
    """Peel off metadata and "or None" (TOML has no null); the outer description wins."""
    extra: dict[str, Any] = {}
    description = ""
    while True:
        if isinstance(wrapped, inspect.Metadata):
            extra = {**(wrapped.extra or {}), **extra}
            description = description or (wrapped.extra_json_schema or {}).get("description", "")
            wrapped = wrapped.type
        elif isinstance(wrapped, inspect.UnionType):
            (wrapped,) = (t for t in wrapped.types if not isinstance(t, inspect.NoneType))
        else:
            return Plain(wrapped, extra, description)


def shown(kind: inspect.StructType) -> tuple[inspect.Field, ...]:
    """The fields that a person may write."""
    return tuple(f for f in kind.fields if not plain(f.type).extra.get("hidden"))


def _blank(kind: inspect.Type) -> Any:
    """A neutral value in the place of a required one that is wrong or missing."""
    bare = plain(kind).type
    if isinstance(bare, inspect.StructType):
        return bare.cls(
            **{field.name: _blank(field.type) for field in bare.fields if field.required}
        )
    if isinstance(bare, inspect.EnumType):
        return next(iter(bare.cls))
    empty: dict[type, Any] = {inspect.StrType: "", inspect.VarTupleType: (), inspect.DictType: {}}
    return empty.get(type(bare), 0)


class _Walker:
    def __init__(self, faults: Faults, root: inspect.StructType) -> None:
        self.faults = faults
        self.root = root

    def bad(self, path: Path, code: str, message: str, fix: str = "", *, key: bool = False) -> Any:
        self.faults.add(Fault(path, code, message, fix, on_key=key))
        return _BAD

    def value(self, value: Any, kind: inspect.Type, path: Path) -> Any:
        bare = plain(kind)
        if unit := bare.extra.get("unit"):
            return self.quantity(value, bare, unit, path)
        walks: dict[type, Callable[[Any, Any, Path], Any]] = {
            inspect.StructType: self.struct,
            inspect.VarTupleType: self.array,
            inspect.DictType: self.table,
            inspect.EnumType: self.enum,
            inspect.IntType: self.integer,
            inspect.FloatType: self.number,
            inspect.BoolType: self.boolean,
        }
        if walk := walks.get(type(bare.type)):
            return walk(value, bare.type, path)
        assert isinstance(bare.type, inspect.StrType), bare.type
        return self.string(value, bare.type, path, bare.description)

    def struct(self, value: Any, kind: inspect.StructType, path: Path) -> Any:
        if not isinstance(value, dict):
            return self.bad(path, "E102", f"expected a table, found {_found(value)}", _table(path))
        fields = {field.encode_name: field for field in shown(kind)}
        made: dict[str, Any] = {}
        for key, item in value.items():
            if key not in fields:
                self.unknown(key, tuple(fields), path)
                continue
            field = fields[key]
            converted = self.value(item, field.type, (*path, key))
            if converted is not _BAD:
                made[field.name] = converted
            elif field.required:
                made[field.name] = _blank(field.type)
        for key, field in fields.items():
            if field.required and field.name not in made:
                made[field.name] = _blank(field.type)
                self.bad((*path, key), "E103", "is missing", _missing(key, field), key=True)
        return kind.cls(**made)

    def unknown(self, key: str, known: tuple[str, ...], path: Path) -> None:
        if self.faults.full:
            fix = ""
        else:
            from nodeorch.spec.didyoumean import unknown_key_fix

            fix = unknown_key_fix(key, known, self.root)
        self.bad((*path, key), "E101", f"unknown key {quote(key)}", fix, key=True)

    def array(self, value: Any, kind: inspect.VarTupleType, path: Path) -> Any:
        if not isinstance(value, list):
            fix = f"write [{quote(value)}]" if isinstance(value, str) else "write [...]"
            if isinstance(plain(kind.item_type).type, inspect.StructType):
                fix = f"write [[{path[-1]}]] with two brackets"
            elif isinstance(value, str) and " " in value:
                fix = f"write [{', '.join(quote(word) for word in value.split())}]"
            return self.bad(path, "E102", f"expected an array, found {_found(value)}", fix)
        if len(value) > ITEMS_MAX:
            fix = f"use at most {ITEMS_MAX}"
            return self.bad(path, "E104", f"{len(value)} items are too many", fix)
        items = [self.value(item, kind.item_type, (*path, i)) for i, item in enumerate(value)]
        return tuple(_blank(kind.item_type) if item is _BAD else item for item in items)

    def table(self, value: Any, kind: inspect.DictType, path: Path) -> Any:
        if not isinstance(value, dict):
            fix = "write { NAME = value }"
            return self.bad(path, "E102", f"expected a table, found {_found(value)}", fix)
        items = {key: self.value(v, kind.value_type, (*path, key)) for key, v in value.items()}
        for key in items:
            if "\0" in key:
                self.bad((*path, key), "E109", "contains a NUL character", "remove it", key=True)
        return {key: item for key, item in items.items() if item is not _BAD}

    def enum(self, value: Any, kind: inspect.EnumType, path: Path) -> Any:
        choices = [str(choice.value) for choice in kind.cls]
        if isinstance(value, str) and value in choices:
            return kind.cls(value)
        shown = quote(value) if isinstance(value, str) else _found(value)
        fix = "write " + " or ".join(f'"{choice}"' for choice in choices)
        return self.bad(path, "E106", f"{shown} is not one of the choices", fix)

    def string(self, value: Any, kind: inspect.StrType, path: Path, description: str) -> Any:
        if not isinstance(value, str):
            fix = (
                f'put it in quotes: "{_toml(value)}"' if not isinstance(value, dict | list) else ""
            )
            return self.bad(path, "E102", f"expected a string, found {_found(value)}", fix)
        if "\0" in value:
            return self.bad(path, "E109", "contains a NUL character", "remove it")
        if kind.min_length and len(value) < kind.min_length:
            return self.bad(path, "E105", "is empty", f"give {description or 'a value'}")
        if kind.pattern and not compiled(kind.pattern).search(value):
            what = description if description.startswith("a") else "valid here"
            fix = _PATTERN_FIXES.get(kind.pattern, f"it must match {kind.pattern}")
            slug = value.strip().lower().replace("_", "-").replace(".", "-")
            if slug.isascii() and kind.pattern == NAME_PATTERN and is_name(slug):
                fix = f'did you mean "{slug}"?'
            return self.bad(path, "E105", f"{quote(value)} is not {what}", fix)
        return value

    def boolean(self, value: Any, kind: inspect.BoolType, path: Path) -> Any:
        if isinstance(value, bool):
            return value
        word = str(value).lower() if isinstance(value, str | int) else ""
        meant = {"true": "true", "yes": "true", "on": "true", "1": "true"}.get(word)
        meant = meant or {"false": "false", "no": "false", "off": "false", "0": "false"}.get(word)
        fix = f"write {meant or 'true or false'}, without quotes"
        return self.bad(path, "E102", f"expected true or false, found {_found(value)}", fix)

    def integer(self, value: Any, kind: inspect.IntType, path: Path) -> Any:
        if not isinstance(value, int) or isinstance(value, bool):
            numeric = isinstance(value, str) and len(value) < 19 and value.isdecimal()
            fix = f"write {value} without quotes" if numeric else "write a whole number"
            return self.bad(path, "E102", f"expected an integer, found {_found(value)}", fix)
        return self.ranged(value, kind, path, str)

    def number(self, value: Any, kind: inspect.FloatType, path: Path) -> Any:
        if not isinstance(value, int | float) or isinstance(value, bool):
            return self.bad(
                path, "E102", f"expected a number, found {_found(value)}", "write a number"
            )
        if not abs(value) <= units.INT_MAX:
            return self.bad(
                path, "E104", f"{_toml(value)} is not a usable number", "write a number"
            )
        return self.ranged(float(value), kind, path, lambda n: f"{n:g}")

    def quantity(self, value: Any, bare: Plain, unit: str, path: Path) -> Any:
        if bare.extra.get("off") and (value is False or value == ""):
            return None
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if unit == "cpus" and is_number:
            return self.number(value, bare.type, path)  # type: ignore[arg-type]
        if is_number:
            sane = math.isfinite(value) and 0 <= value <= units.INT_MAX
            fix = units.suggest(unit, value) if sane else "write a quantity with a unit"
            return self.bad(path, "E107", f"{_toml(value)} has no unit", fix)
        if not isinstance(value, str):
            return self.bad(
                path, "E102", f"expected a quantity, found {_found(value)}", bare.description
            )
        parse: Callable[[str], float]
        parse, show = {
            "bytes": (units.parse_bytes, units.format_bytes),
            "seconds": (units.parse_seconds, units.format_seconds),
            "cpus": (units.parse_cpus, lambda n: f"{n:g}"),
        }[unit]
        try:
            number = parse(value)
        except units.UnitError as error:
            return self.bad(path, "E108", f"{quote(value)} {error.message}", error.fix)
        return self.ranged(number, bare.type, path, show)

    def ranged(self, value: Any, kind: Any, path: Path, show: Callable[[Any], str]) -> Any:
        low, high, above = kind.ge, kind.le, kind.gt
        if isinstance(value, int):
            low = -units.INT_MAX if low is None else low
            high = units.INT_MAX if high is None else high
        found = _toml(value) if isinstance(value, int) else show(value)
        if above is not None and value <= above:
            return self.bad(path, "E104", f"{found} is too small", f"use more than {show(above)}")
        if low is not None and value < low:
            return self.bad(path, "E104", f"{found} is too small", f"use at least {show(low)}")
        if high is not None and value > high:
            return self.bad(path, "E104", f"{found} is too large", f"use at most {show(high)}")
        return value


def _toml(value: Any) -> str:
    """A scalar as TOML writes it, cut short."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int) and abs(value) > units.INT_MAX:
        return "a number beyond 64 bits"
    return str(value)[:40]


def _found(value: Any) -> str:
    if isinstance(value, bool):
        return _toml(value)
    if isinstance(value, str):
        return f"the string {quote(value)}"
    if isinstance(value, int | float):
        return f"the number {_toml(value)}"
    if isinstance(value, datetime.datetime | datetime.date | datetime.time):
        return "a date or time"
    return "a table" if isinstance(value, dict) else "an array"


def _table(path: Path) -> str:
    name = ".".join(part for part in path if isinstance(part, str))
    return f"write [{name}] and its keys below" if name and isinstance(path[-1], str) else ""


def _missing(key: str, field: inspect.Field) -> str:
    bare = plain(field.type)
    if isinstance(bare.type, inspect.StructType):
        return f"add a [{key}] table"
    example = "..." if isinstance(bare.type, inspect.IntType) else '"..."'
    return f"add {key} = {example}" + (f" ({bare.description})" if bare.description else "")
