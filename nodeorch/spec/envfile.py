"""Files of ``KEY=value`` lines."""

from __future__ import annotations

from nodeorch.spec.names import is_env_name


class EnvFileError(ValueError):
    """A line that cannot be read. The words name the line, never its text: it may be a secret."""


def parse_env_file(text: str) -> dict[str, str]:
    """Variables of an env file. Empty lines and those that begin with ``#`` are skipped; one pair
    of quotes around a value is taken off; nothing is expanded. Raises EnvFileError."""
    found: dict[str, str] = {}
    for number, line in enumerate(text.split("\n"), 1):
        line = line.strip()
        if not line or line.startswith("#"):
            continue
        name, equals, value = line.partition("=")
        if not equals or not is_env_name(name.strip()) or "\0" in line:
            raise EnvFileError(f"line {number} is not KEY=value")
        value = value.strip()
        if len(value) >= 2 and value[0] == value[-1] and value[0] in "\"'":
            value = value[1:-1]
        found[name.strip()] = value
    return found
