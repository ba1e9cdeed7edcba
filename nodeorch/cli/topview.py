"""The screen of ``nodeorch top`` as lines of text: pure, so that it can be held to a file."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, NamedTuple

import click

from nodeorch.cli.render import COLOURS, clean

View = dict[str, Any]

SORTS: dict[str, tuple[str, Callable[[View], float]]] = {
    "c": ("cpu", lambda i: i["cpu_percent"] or 0.0),
    "m": ("memory", lambda i: i["memory_bytes"] or 0),
    "r": ("restarts", lambda i: i["restarts"]),
    "n": ("name", lambda i: 0),
}
"""Key → its word, and what is sorted by, the highest first; what is alike is sorted by name."""

HIGH = 90.0
"""Percent of the memory limit from which it is painted red."""

HELP = "q quit  sort: c cpu  m memory  r restarts  n name  ↑↓ scroll"
FIXED = 4
"""Lines that are not instances: two about the host, the header, the keys."""

NAME_LEAST = 14
"""Columns that a name gets before the others get theirs."""
REASON_LEAST = 16
"""Columns that a reason gets, or it is not shown."""


class Look(NamedTuple):
    """What a person has chosen."""

    sort: str = "c"
    offset: int = 0
    """Instances scrolled away."""
    colour: bool = False
    note: str = ""
    """Said in place of the keys: what is wrong."""


class Column(NamedTuple):
    title: str
    width: int
    need: int
    """The lower, the longer it stays when the screen is narrow."""
    text: Callable[[View], str]
    left: bool = False
    colour: Callable[[View], str | None] = lambda i: None


def frame(view: View, look: Look, width: int, height: int | None) -> list[str]:
    """At most ``height`` lines of at most ``width`` columns; None: as many as there are."""
    rows = sorted(view["instances"], key=lambda i: (-SORTS[look.sort][1](i), i["name"]))
    columns = _columns(rows, width)
    lines = [fit(line, width) for line in _head(view)]
    titles = " ".join(_cell(c.title, c) for c in columns).rstrip()
    lines.append(_paint(fit(titles, width), "bold", look))
    room = len(rows) if height is None else max(height - FIXED, 0)
    offset = max(min(look.offset, len(rows) - room), 0)
    for row in rows[offset : offset + room]:
        cells = [_painted(row, column, look) for column in columns]
        lines.append(" ".join(cells).rstrip())
    if height is None:
        return lines
    lines += [""] * (height - 1 - len(lines))
    shown = min(room, len(rows))
    more = "" if shown == len(rows) else f"{offset + 1}-{offset + shown} of {len(rows)}  "
    foot = look.note and _paint(fit(clean(look.note), width), "red", look)
    return [*lines[: height - 1], foot or fit(more + HELP, width)][:height]


def last_offset(view: View, height: int) -> int:
    """How far can be scrolled."""
    return max(len(view["instances"]) - max(height - FIXED, 0), 0)


def _head(view: View) -> list[str]:
    host, instances = view["host"], view["instances"]
    at = datetime.fromisoformat(view["at"]).astimezone().strftime("%H:%M:%S")
    ready = sum(1 for i in instances if i["ready"])
    used = None
    if host["memory_total"] is not None and host["memory_available"] is not None:
        used = host["memory_total"] - host["memory_available"]
    pressure = "  ".join(f"{n} {_share(host['pressure'][n], 1)}" for n in ("cpu", "memory", "io"))
    return [
        f"{clean(view['node'])}  {at}  {_count(len(instances), 'instance')}, {ready} ready  "
        f"{_count(host['cpus'], 'CPU')}  memory {short(used)} of {short(host['memory_total'])}",
        f"pressure of the host: {pressure}",
    ]


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _columns(rows: Sequence[View], width: int) -> list[Column]:
    """What fits beside a name of useful length; names grow into what is left, then reasons."""
    longest = max([len("INSTANCE"), *(cells(clean(row["name"])) for row in rows)])
    chosen = list(COLUMNS)
    while chosen and _taken(chosen) + min(longest, NAME_LEAST) > width:
        chosen.remove(max(chosen, key=lambda c: c.need))
    name = min(longest, max(width - _taken(chosen), 1))
    columns = [Column("INSTANCE", name, 0, lambda i: clean(i["name"]), left=True), *chosen]
    left = width - name - _taken(chosen) - 1
    if left >= REASON_LEAST and any(row["reason"] for row in rows):
        wide = min(left, max(cells(clean(row["reason"])) for row in rows))
        columns.append(Column("REASON", wide, 9, lambda i: clean(i["reason"]), left=True))
    return columns


def _taken(columns: Sequence[Column]) -> int:
    return sum(column.width + 1 for column in columns)


def _painted(row: View, column: Column, look: Look) -> str:
    return _paint(_cell(column.text(row), column), column.colour(row), look)


def _cell(text: str, column: Column) -> str:
    text = fit(text, column.width)
    space = " " * (column.width - cells(text))
    return text + space if column.left else space + text


def _paint(text: str, colour: str | None, look: Look) -> str:
    if colour is None or not look.colour:
        return text
    return click.style(text, bold=True) if colour == "bold" else click.style(text, fg=colour)


def cells(text: str) -> int:
    """Columns that a terminal gives to it."""
    return len(text) if text.isascii() else sum(map(_wide, text))


def _wide(char: str) -> int:
    if unicodedata.combining(char):
        return 0
    return 2 if unicodedata.east_asian_width(char) in "WF" else 1


def fit(text: str, width: int) -> str:
    """Cut to so many columns; "…" tells that something is missing."""
    if cells(text) <= width:
        return text
    taken, kept = 0, ""
    for char in text:
        taken += _wide(char)
        if taken > width - 1:
            break
        kept += char
    return (kept + "…")[:width]


def short(count: int | None) -> str:
    """Bytes in five columns: "512B", "12.3M", "1020M", "1.5G" (powers of 1024)."""
    if count is None:
        return "-"
    value, unit = float(count), "B"
    for unit in "BKMGTP":
        if value < 1023.5 or unit == "P":
            break
        value /= 1024
    return f"{value:.0f}{unit}" if unit == "B" or value >= 99.95 else f"{value:.1f}{unit}"


def _share(value: float | None, digits: int = 0) -> str:
    return "-" if value is None else f"{value:.{digits}f}%"


def _cpu(row: View) -> str:
    value = row["cpu_percent"]
    return "-" if value is None else f"{value:.1f}" if value < 999.95 else f"{value:.0f}"


def memory_share(row: View) -> float | None:
    used, limit = row["memory_bytes"], row["memory_limit_bytes"]
    return None if used is None or not limit else used / limit * 100


def _pressure(row: View) -> str:
    values = [row["pressure"][name] for name in ("cpu", "memory", "io")]
    if all(value is None for value in values):
        return "-"
    return "/".join("-" if value is None else f"{value:.0f}" for value in values)


def _probe(row: View) -> str:
    latency = row["probe_latency_ms"]
    if latency is None:
        return "-"
    if not row["probe_passed"]:
        return "fails"
    return f"{latency:.1f}ms" if latency < 999.95 else f"{latency / 1000:.1f}s"


def _restarts(row: View) -> str:
    count = row["restarts"]
    return str(count) if count < 10_000 else f"{count // 1000}k"


def _full(row: View) -> str | None:
    return "red" if (memory_share(row) or 0.0) >= HIGH else None


COLUMNS = (
    Column("STATE", 10, 1, lambda i: clean(i["state"]), True,
           lambda i: COLOURS.get(i["state"], "yellow")),
    Column("CPU%", 6, 2, _cpu),
    Column("MEM", 5, 3, lambda i: short(i["memory_bytes"])),
    Column("LIMIT", 5, 7, lambda i: short(i["memory_limit_bytes"])),
    Column("MEM%", 4, 6, lambda i: _share(memory_share(i)), False, _full),
    Column("PSI c/m/i", 11, 8, _pressure),
    Column("RST", 4, 4, _restarts),
    Column("PROBE", 8, 5, _probe, False,
           lambda i: "red" if i["probe_passed"] is False else None),
)  # fmt: skip
