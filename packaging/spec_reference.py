"""Writes tables of docs/specs.md and docs/operations.md: `python packaging/spec_reference.py`.

A table stands below a line `<!-- STRUCT: … -->`. Keys, values, defaults and effects come from
model/workload.py and decide/template.py, the words and examples from spec/words.py; the settings
from spec/settings.py and spec/words_settings.py.
With --check it writes nothing, and exits with 1 if the tables are not what the model says.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from msgspec import inspect

ROOT = Path(__file__).resolve().parents[1]
PAGES = (ROOT / "docs" / "specs.md", ROOT / "docs" / "operations.md")
MARK = re.compile(r"^<!-- (\w+): made by packaging/spec_reference\.py -->\n\n", re.M)
HEAD = "| Key | Value | Default | Change | Example | Meaning |\n|---|---|---|---|---|---|\n"
SETTINGS = "Settings"
SETTINGS_HEAD = "| Key | Default | Meaning |\n|---|---|---|\n"


class Wordless(Exception):
    """A field of the model that no words describe. The message says what to do."""


def structs() -> dict[str, tuple[inspect.StructType, list[str]]]:
    """Name → (struct, where it is first found), of everything in a workload file.

    The way there ends in `[]` for an array of tables and in `{}` for a table of tables.
    """
    from msgspec import inspect

    from nodeorch.model.workload import Workload
    from nodeorch.spec.walk import plain, shown, type_info

    found: dict[str, tuple[inspect.StructType, list[str]]] = {}

    def walk(struct: inspect.StructType, way: list[str]) -> None:
        for field in shown(struct):
            inner, many = plain(field.type).type, ""
            if isinstance(inner, inspect.VarTupleType):
                inner, many = plain(inner.item_type).type, "[]"
            elif isinstance(inner, inspect.DictType):
                inner, many = plain(inner.value_type).type, "{}"
            if isinstance(inner, inspect.StructType):
                below = [*way, field.encode_name + many]
                if inner.cls.__name__ not in found:
                    found[inner.cls.__name__] = (inner, below)
                    walk(inner, below)

    walk(type_info(Workload), [])
    return found


def change(way: list[str], key: str) -> str:
    """What a change of this key does to running containers."""
    from nodeorch.decide.template import LIVE, UNSET_NEEDS_RECREATE

    path = ".".join([*way, key]).replace("[]", "").replace("{}", "")
    if path in UNSET_NEEDS_RECREATE:
        return r"live\*"
    return "live" if path in LIVE or path.split(".")[0] in LIVE else "recreate"


def value(wrapped: inspect.Type) -> str:
    """What is to be written, in a few words."""
    from msgspec import inspect

    from nodeorch.model.quantities import LABEL_PATTERN, NAME_PATTERN
    from nodeorch.spec import units
    from nodeorch.spec.walk import plain

    bare = plain(wrapped)
    kind: Any = bare.type
    match kind:
        case _ if unit := bare.extra.get("unit"):
            words = {"bytes": "size", "seconds": "time", "cpus": "cpus"}[unit]
            least = f", at least {units.format_bytes(kind.ge)}" if unit == "bytes" else ""
            return words + (least if kind.ge else "")
        case inspect.StructType():
            return "table"
        case inspect.VarTupleType():
            inner = value(kind.item_type)
            return "array of tables" if inner == "table" else f"array of {inner}"
        case inspect.DictType():
            inner = value(kind.value_type)
            return "table of tables" if inner == "table" else f"table of {inner}"
        case inspect.EnumType():
            return ", ".join(f"`{json.dumps(choice.value)}`" for choice in kind.cls)
        case inspect.BoolType():
            return "`true`, `false`"
        case inspect.IntType() | inspect.FloatType():
            return _range(kind)
    return {NAME_PATTERN: "name", LABEL_PATTERN: "label", r"^/": "path"}.get(kind.pattern, "text")


def _range(kind: inspect.IntType | inspect.FloatType) -> str:
    if kind.ge is not None and kind.le is not None:
        return f"{kind.ge} to {kind.le}"
    return "number" if kind.ge is None else f"number, at least {kind.ge}"


def table(name: str) -> str:
    from nodeorch.spec.schema import schema
    from nodeorch.spec.walk import shown
    from nodeorch.spec.words import WORDS

    info, way = structs()[name]
    properties = schema("workload")["definitions"][name]["properties"]
    made = HEAD
    for field in shown(info):
        key = field.encode_name
        word = WORDS.get(name, {}).get(key)
        if word is None:
            raise Wordless(f"nodeorch/spec/words.py says nothing of {name}.{key}; add it there")
        default = properties[key].get("default")
        written = "required" if field.required else f"`{json.dumps(default)}`"
        cells = (
            f"`{key}`",
            value(field.type),
            "-" if default is None and not field.required else written,
            change(way, key),
            f"`{word.example}`",
            word.meaning,
        )
        made += f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |\n"
    return made


def settings_table() -> str:
    from msgspec import inspect

    from nodeorch.spec.schema import schema
    from nodeorch.spec.settings import Settings
    from nodeorch.spec.walk import plain, type_info
    from nodeorch.spec.words_settings import SETTINGS as WORDS

    definitions = schema("settings")["definitions"]
    made = SETTINGS_HEAD
    for table in type_info(Settings).fields:
        info = plain(table.type).type
        assert isinstance(info, inspect.StructType)
        name = info.cls.__name__
        for field in info.fields:
            key = field.encode_name
            default = definitions[name]["properties"][key].get("default")
            meaning = WORDS.get(name, {}).get(key) or plain(field.type).description
            if not meaning:
                raise Wordless(f"nodeorch/spec/settings.py describes no {name}.{key}")
            cells = (
                f"`[{table.encode_name}] {key}`",
                "-" if default is None else f"`{json.dumps(default)}`",
                meaning,
            )
            made += f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |\n"
    return made


def page(text: str) -> str:
    """The page with its tables as they have to be."""
    parts = MARK.split(text)
    made = parts[0]
    for name, rest in zip(parts[1::2], parts[2::2], strict=True):
        after = re.sub(r"\A(\|.*\n)*", "", rest)
        rows = settings_table() if name == SETTINGS else table(name)
        made += f"<!-- {name}: made by packaging/spec_reference.py -->\n\n{rows}{after}"
    return made


def main() -> int:
    bad = 0
    for path in PAGES:
        present = path.read_text()
        try:
            wanted = page(present)
        except Wordless as error:
            print(f"cannot write {path}: {error}")
            return 1
        if "--check" not in sys.argv[1:]:
            path.write_text(wanted)
        elif present != wanted:
            print(
                f"cannot accept {path}: the model says something else; put words and an example "
                "into nodeorch/spec/words.py, or a description into nodeorch/spec/settings.py, "
                "and run python packaging/spec_reference.py"
            )
            bad = 1
    return bad


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    sys.exit(main())
