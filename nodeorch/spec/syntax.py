"""What to do about text that is not TOML. Imported only when there is some."""

from __future__ import annotations

import re

_NAKED = re.compile(r"""^\s*[\w."'-]+\s*=\s*([^"'\[{#][^#]*?)\s*(?:#.*)?$""")
_YAML = re.compile(r"^\s*-?\s*[\w-]+\s*:(\s|$)")


def syntax_fix(message: str, line: str, column: int) -> str:
    """A hint, from the parser's words and the line where it gave up."""
    if line.startswith("\ufeff"):
        return "save the file without a byte order mark"
    if "Expected '='" in message or "Invalid statement" in message:
        if _YAML.match(line):
            return "this looks like YAML; write key = value"
        return "write key = value, or [table]"
    naked = _NAKED.match(line)
    if naked and ("Invalid value" in message or "Expected newline" in message):
        word = naked[1]
        if word.lower() in ("true", "false", "yes", "no", "on", "off"):
            return "write true or false, in lower case"
        return f'put text and quantities in quotes: "{word[:40]}"'
    if "Illegal character" in message or "Unterminated" in message:
        return "close the string with the quote that began it"
    if "Unclosed" in message or "Expected ']'" in message or "end of document" in message:
        return "close the bracket"
    if "Unescaped" in message or "escape" in message.lower():
        return "write \\\\ for a backslash, or use 'single quotes'"
    return "correct the syntax (https://toml.io)"
