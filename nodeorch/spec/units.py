"""Quantities as people write them: ``"256MiB"``, ``"1m30s"``, ``0.5`` or ``"500m"`` cpu."""

from __future__ import annotations

import re

INT_MAX = (1 << 63) - 1
"""TOML's and SQLite's largest integer."""
SECONDS_MAX = 366 * 86400.0

BYTES_PATTERN = r"^[0-9]+(\.[0-9]+)?(B|KiB|MiB|GiB|TiB|kB|MB|GB|TB)$"
SECONDS_PATTERN = r"^([0-9]+d)?([0-9]+h)?([0-9]+m)?([0-9]+(\.[0-9]+)?s)?([0-9]+ms)?$"
"""Together with a length of at least 2: there is no look-ahead in some schema validators."""
CPUS_PATTERN = r"^[0-9]+m$"

_BYTES = re.compile(r"([0-9]+(?:\.[0-9]+)?)([A-Za-z]+)")
_SECONDS = re.compile(SECONDS_PATTERN)
_SECONDS_PART = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ms|[dhms])")
_CPUS = re.compile(CPUS_PATTERN)
_LOOSE = re.compile(r"\s*([0-9]+(?:\.[0-9]+)?)\s*([A-Za-z]*)\s*")

_SIZES = {
    "B": 1,
    "KiB": 1 << 10,
    "MiB": 1 << 20,
    "GiB": 1 << 30,
    "TiB": 1 << 40,
    "kB": 10**3,
    "MB": 10**6,
    "GB": 10**9,
    "TB": 10**12,
}
_TIMES = {"d": 86400.0, "h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}

_SIZE_WORDS = {
    "": "MiB",
    "b": "B",
    "k": "KiB",
    "m": "MiB",
    "g": "GiB",
    "t": "TiB",
}
_TIME_WORDS = {
    "": "s",
    "d": "d",
    "day": "d",
    "h": "h",
    "hr": "h",
    "hour": "h",
    "m": "m",
    "min": "m",
    "minute": "m",
    "s": "s",
    "sec": "s",
    "second": "s",
    "ms": "ms",
    "msec": "ms",
    "millisecond": "ms",
}
_DIGITS = 18
"""More digits than this cannot be meant, and int() would take its time."""


class UnitError(ValueError):
    """A quantity that cannot be read; ``fix`` says what to write."""

    def __init__(self, message: str, fix: str) -> None:
        super().__init__(message)
        self.message = message
        self.fix = fix


def parse_bytes(text: str) -> int:
    """Bytes. Raises UnitError."""
    match = _BYTES.fullmatch(text)
    if match is None or match[2] not in _SIZES or len(match[1]) > _DIGITS:
        raise UnitError("is not a size", _size_fix(text))
    if "." not in match[1]:
        return int(match[1]) * _SIZES[match[2]]
    return round(float(match[1]) * _SIZES[match[2]])


def parse_seconds(text: str) -> float:
    """Seconds. Raises UnitError."""
    if not 2 <= len(text) <= 60 or not _SECONDS.fullmatch(text):
        raise UnitError("is not a time", _time_fix(text))
    seconds = sum(float(number) * _TIMES[unit] for number, unit in _SECONDS_PART.findall(text))
    if seconds > SECONDS_MAX:
        raise UnitError("is too long", "use at most 366d")
    return round(seconds, 6)


def parse_cpus(text: str) -> float:
    """Cpus, from thousandths: "500m" is half of one. Raises UnitError."""
    if len(text) <= _DIGITS and _CPUS.fullmatch(text):
        return int(text[:-1]) / 1000
    loose = _LOOSE.fullmatch(text)
    fix = 'write a number of cpus such as 0.5, or thousandths such as "500m"'
    if loose and not loose[2] and len(text) <= _DIGITS:
        fix = f"write {float(loose[1]):g} without quotes"
    raise UnitError("is not a number of cpus", fix)


def _loosely(text: str) -> tuple[str, str] | None:
    match = _LOOSE.fullmatch(text) if len(text) <= 2 * _DIGITS else None
    return (match[1], match[2].lower()) if match else None


def _size_fix(text: str) -> str:
    loose = _loosely(text)
    if loose:
        number, unit = loose
        unit = unit.removesuffix("ytes").removesuffix("yte")
        letter = unit[:1]
        if (
            unit in ("", letter, f"{letter}b", f"{letter}i", f"{letter}ib")
            and letter in _SIZE_WORDS
        ):
            return f'did you mean "{number}{_SIZE_WORDS[letter]}"?'
    return 'write a number and B, KiB, MiB, GiB or TiB (or kB, MB, GB, TB), such as "256MiB"'


def _time_fix(text: str) -> str:
    loose = _loosely(text)
    if loose:
        number, unit = loose
        unit = unit if unit in _TIME_WORDS else unit.removesuffix("s")
        if unit in _TIME_WORDS:
            return f'did you mean "{format_seconds(float(number) * _TIMES[_TIME_WORDS[unit]])}"?'
    return 'write numbers with d, h, m, s or ms, largest first, such as "500ms", "30s" or "1m30s"'


def suggest(unit: str, number: float) -> str:
    """What to write for a bare number where a unit is needed."""
    if unit == "seconds":
        return f'write a unit, such as "{format_seconds(number)}"'
    if isinstance(number, int) and number and number % (1 << 20) == 0:
        return f'write a unit: "{format_bytes(number)}"'
    return f'write a unit, such as "{number:g}MiB" or "{round(number)}B"'


def format_bytes(number: int) -> str:
    """The shortest exact spelling: 268435456 is "256MiB"."""
    for unit in ("TiB", "GiB", "MiB", "KiB"):
        if number and number % _SIZES[unit] == 0:
            return f"{number // _SIZES[unit]}{unit}"
    return f"{number}B"


def format_seconds(seconds: float) -> str:
    """90 is "1m30s", 0.5 is "500ms"."""
    thousandths = round(seconds * 1000)
    if thousandths < 1000 or thousandths % 1000:
        whole, rest = divmod(thousandths, 1000)
        return (format_seconds(whole) if whole else "") + f"{rest}ms" if rest else f"{whole}s"
    words = ""
    rest = thousandths // 1000
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60), ("s", 1)):
        count, rest = divmod(rest, size)
        if count:
            words += f"{count}{unit}"
    return words
