"""Where the keys and values of a TOML text stand; read with tree-sitter.

Only imported when there is a problem to show. Keys deeper than any spec are not recorded.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator

import tree_sitter_toml
from tree_sitter import Language, Node, Parser

from nodeorch.spec.faults import Path

_DEPTH = 12
_KEYS = ("bare_key", "quoted_key", "dotted_key")


class Duplicate:
    """A key that stands a second time."""

    def __init__(self, path: Path, first_line: int, second: tuple[int, int]) -> None:
        self.path = path
        self.first_line = first_line
        self.second = second


class Positions:
    """Lines and columns (from 1, in characters) of each path in a text."""

    def __init__(self, source: bytes) -> None:
        self._rows = source.split(b"\n")
        self._keys: dict[Path, Node] = {}
        self._values: dict[Path, Node] = {}
        self._tables: dict[Path, int] = {}
        self.duplicate: Duplicate | None = None
        root = Parser(Language(tree_sitter_toml.language())).parse(source).root_node
        for node in root.children:
            if node.type == "pair":
                self._pair(node, ())
            elif node.type in ("table", "table_array_element"):
                self._table(node)

    def find(self, path: Path, on_key: bool) -> tuple[int, int]:
        """The place of a value or of its key; of the nearest table around it when it is not
        there."""
        node = None
        if not on_key:
            node = self._values.get(path)
        while node is None and path:
            node = self._keys.get(path) or self._values.get(path)
            path = path[:-1]
        return self._place(node) if node else (1, 1)

    def _place(self, node: Node) -> tuple[int, int]:
        row, column = node.start_point
        before = self._rows[row][:column] if row < len(self._rows) else b""
        return row + 1, len(before.decode("utf-8", "replace")) + 1

    def _table(self, node: Node) -> None:
        header = next((child for child in node.children if child.type in _KEYS), None)
        if header is None:
            return
        parts = list(_parts(header))
        base = self._resolve(parts[:-1])
        key, key_node = parts[-1]
        path: Path = (*base, key)
        if node.type == "table_array_element":
            self._keys.setdefault(path, key_node)
            index = self._tables.get(path, -1) + 1
            self._tables[path] = index
            path = (*path, index)
            self._keys[path] = key_node
        else:
            self._define(path, key_node, header)
        for child in node.children:
            if child.type == "pair":
                self._pair(child, path)

    def _resolve(self, parts: list[tuple[str, Node]]) -> Path:
        """The path of a header's tables; an array of tables means its last one."""
        path: Path = ()
        for key, node in parts:
            path = (*path, key)
            self._keys.setdefault(path, node)
            if path in self._tables:
                path = (*path, self._tables[path])
        return path

    def _define(self, path: Path, key: Node, value: Node) -> None:
        first = self._values.get(path)
        if first is not None and self.duplicate is None:
            self.duplicate = Duplicate(path, first.start_point.row + 1, self._place(key))
        self._keys.setdefault(path, key)
        self._values.setdefault(path, value)

    def _pair(self, node: Node, base: Path) -> None:
        named = [child for child in node.children if child.is_named and child.type != "comment"]
        if len(named) != 2 or named[0].type not in _KEYS or len(base) > _DEPTH:
            return
        path = base
        parts = list(_parts(named[0]))
        for key, key_node in parts[:-1]:
            path = (*path, key)
            self._keys.setdefault(path, key_node)
        key, key_node = parts[-1]
        self._define((*path, key), key_node, named[1])
        self._value(named[1], (*path, key))

    def _value(self, node: Node, path: Path) -> None:
        if len(path) > _DEPTH:
            return
        if node.type == "inline_table":
            for child in node.children:
                if child.type == "pair":
                    self._pair(child, path)
        elif node.type == "array":
            items = (child for child in node.children if child.is_named)
            for index, child in enumerate(item for item in items if item.type != "comment"):
                self._values[(*path, index)] = child
                self._value(child, (*path, index))


def _parts(node: Node) -> Iterator[tuple[str, Node]]:
    """The parts of a key, cut at a depth that no spec has. Dotted keys nest to the left."""
    found: list[Node] = []
    rest = [node]
    while rest:
        node = rest.pop()
        if node.type == "dotted_key":
            rest.extend(child for child in node.children if child.type in _KEYS)
        else:
            found.append(node)
    for part in list(reversed(found))[:_DEPTH]:
        yield _key_text(part), part


def _key_text(node: Node) -> str:
    text = (node.text or b"").decode("utf-8", "replace")
    if node.type == "bare_key":
        return text
    try:
        return next(iter(tomllib.loads(f"{text} = 0")))
    except (tomllib.TOMLDecodeError, ValueError):
        return text
