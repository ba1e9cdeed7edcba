"""Says which source files and functions are longer than we allow ourselves; exit 1 if any is.

Usage: limits.py FILE…   Any text file is held to the file limit, Python also to the other.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

FILE_LINES = 400
FUNCTION_LINES = 50


def too_long(path: Path) -> Iterator[str]:
    text = path.read_text(encoding="utf-8")
    lines = text.count("\n")
    if lines > FILE_LINES:
        yield f"{path}:1: {lines} lines in the file, at most {FILE_LINES} allowed; split it"
    if path.suffix != ".py":
        return
    for node in ast.walk(ast.parse(text, str(path))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            length = (node.end_lineno or node.lineno) - node.lineno + 1
            if length > FUNCTION_LINES:
                yield (
                    f"{path}:{node.lineno}: {node.name} has {length} lines, "
                    f"at most {FUNCTION_LINES} allowed; split it"
                )


def main() -> int:
    found = [words for name in sys.argv[1:] for words in too_long(Path(name))]
    print("\n".join(found) or "all within limits")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
