"""Everything that is printed for people: plain aligned columns, colour on a terminal only."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

import click

View = dict[str, Any]

COLOURS = {
    "running": "green",
    "elsewhere": "green",
    "up": "green",
    "completed": "green",
    "scheduled": "green",
    "succeeded": "green",
    "deadline": "red",
    "stopped": "bright_black",
    "failed": "red",
    "crash-loop": "red",
    "stuck": "red",
    "degraded": "red",
    "down": "red",
    "left": "bright_black",
}
"""Of states; all others are yellow: they will change."""

VERB_COLOURS = {"create": "green", "delete": "red", "none": "bright_black"}


def clean(text: str) -> str:
    """Text from outside, on one line: what is not printable is escaped.

    That is control characters (terminal sequences, line ends), format characters (among them
    all bidirectional ones), lone surrogates, private and unassigned ones, and every space but
    U+0020: exactly what str.isprintable() says no to.
    """
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else _escape(char) for char in text)


def log_text(text: str) -> str:
    """A line of a log: as ``clean``, but tabs stay."""
    return "\t".join(clean(part) for part in text.split("\t"))


def _escape(char: str) -> str:
    code = ord(char)
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def say(text: str = "", *, now: bool = False) -> None:
    """``now``: somebody may be following; else it is written when there is much, or at the end."""
    print(text, flush=now)


def paint(text: str, colour: str | None) -> str:
    if colour is None or os.environ.get("NO_COLOR") or not sys.stdout.isatty():
        return text
    return click.style(text, fg=colour)


INSTANCE_COLOURS = ("cyan", "magenta", "green", "yellow", "blue", "red")


class Prefixes:
    """Who wrote a line, in a colour each as far as there are colours."""

    def __init__(self, instances: Iterable[str]) -> None:
        self._colours: dict[str, str] = {}
        self._width = 0
        for name in instances:
            self.of(name)

    def of(self, instance: str) -> str:
        name = clean(instance)
        count = len(self._colours)
        colour = self._colours.setdefault(name, INSTANCE_COLOURS[count % len(INSTANCE_COLOURS)])
        self._width = max(self._width, len(name))
        return paint(f"{name:<{self._width}} | ", colour)


def state(text: str, width: int = 0) -> str:
    text = clean(text)
    return paint(text.ljust(width), COLOURS.get(text, "yellow"))


def table(header: Sequence[str], rows: Sequence[Sequence[str]], painted: int = -1) -> None:
    """``painted``: the column that holds states. The last column is not padded."""
    rows = [[clean(cell) for cell in row] for row in rows]
    widths = [max(len(cell) for cell in column) for column in zip(header, *rows, strict=True)]
    say(_line(header, widths, -1))
    for row in rows:
        say(_line(row, widths, painted))


def _line(cells: Sequence[str], widths: Sequence[int], painted: int) -> str:
    padded = [
        state(cell, width) if i == painted else cell.ljust(width)
        for i, (cell, width) in enumerate(zip(cells, widths, strict=True))
    ]
    return "  ".join([*padded[:-1], padded[-1].rstrip()]).rstrip()


def span(seconds: float) -> str:
    """ "0.4s", "12s", "3m12s", "5h3m", "2d4h" """
    if seconds < 10:
        return f"{max(seconds, 0.0):.1f}s"
    whole = int(seconds)
    for unit, size, lower, below in (("d", 86400, "h", 3600), ("h", 3600, "m", 60)):
        if whole >= size:
            return f"{whole // size}{unit}{whole % size // below}{lower}"
    return f"{whole // 60}m{whole % 60}s" if whole >= 60 else f"{whole}s"


def age(at: str | None) -> str:
    return "-" if not at else span(time.time() - parsed(at).timestamp())


def parsed(at: str) -> datetime:
    return datetime.fromisoformat(at)


def clock(at: str) -> str:
    """Local time, to the millisecond."""
    return parsed(at).astimezone().strftime("%Y-%m-%d %H:%M:%S.%f")[:-3]


def size(count: int | None) -> str:
    """ "512B", "12.3MiB" """
    if count is None:
        return "-"
    value = float(count)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if value < 1024:
            return f"{value:.0f}B" if unit == "B" else f"{value:.1f}{unit}"
        value /= 1024
    return f"{value:.1f}TiB"


def percent(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f}%"


def total(values: Iterable[Any]) -> Any:
    """The sum of what is known; None when nothing is."""
    known = [value for value in values if value is not None]
    return sum(known) if known else None


def workloads(views: Sequence[View], *, fleet: bool = False) -> None:
    """``fleet``: with a column that tells where each runs."""
    if not views:
        say("no workloads; declare one: nodeorch apply FILE")
        return
    rows = [_workload_row(view) for view in views]
    header = ["NAME", "READY", "STATE", "GEN", "RESTARTS", "MEM", "CPU", "AGE", "REASON"]
    if fleet:
        header.insert(3, "HOST")
        for row, view in zip(rows, views, strict=True):
            row.insert(3, ", ".join(view["hosts"]) or "-")
    table(header, rows, painted=2)


def _workload_row(view: View) -> list[str]:
    instances = view["instances"]
    starts = [i["started_at"] for i in instances if i["started_at"] and i["pid"]]
    return [
        view["name"],
        f"{view['ready']}/{view['desired']}",
        view["state"],
        str(view["generation"]),
        str(sum(i["restarts"] for i in instances)),
        size(total(i["memory_bytes"] for i in instances)),
        percent(total(i["cpu_percent"] for i in instances)),
        age(max(starts, key=parsed) if starts else None),
        view["reason"],
    ]


def node_troubles(node: View) -> None:
    """What of the node a person must know, under every status."""
    if not node["engine_answering"]:
        say(paint(f"! the engine does not answer: {clean(node['engine'])}", "red"))
    for stem, words in node["rejected"].items():
        say(paint(f"! {clean(stem) or 'workloads'} was not accepted: {clean(words)}", "red"))
    if node["brake"]:
        say(paint(f"! {clean(node['brake_words'])}", "red"))
    troubles([*node["warnings"], *node["fleet_warnings"]])


def troubles(warnings: Sequence[str]) -> None:
    for words in warnings:
        say(paint(f"! {clean(words)}", "yellow"))


def workload(view: View) -> None:
    say(headline(view))
    facts = {
        "reason": view["reason"],
        "home": view["home"],
        "hosts": ", ".join(view["hosts"]),
        "image": view["image"],
        "ports": ", ".join(view["ports"]),
        "operator": _operator(view),
    }
    if view["job"]:
        from nodeorch.cli.render_runs import facts as of_job

        facts |= of_job(view["job"])
    if view["declared_generation"] not in (0, view["generation"]):
        facts["declared"] = f"generation {view['declared_generation']}, which does not run"
    for key, value in facts.items():
        if value:
            say(f"  {key:<9} {clean(value)}")
    if not view["instances"]:
        return
    say()
    header = (
        "INSTANCE", "STATE", "READY", "RESTARTS", "PID", "MEM", "LIMIT", "CPU", "ADDRESS",
        "AGE", "REASON",
    )  # fmt: skip
    table(header, [_instance_row(view) for view in view["instances"]], painted=1)
    _probes(view["instances"])


def headline(view: View) -> str:
    return (
        f"{clean(view['name'])}: {state(view['state'])}, "
        f"{view['ready']}/{view['desired']} ready, generation {view['generation']}"
    )


def _operator(view: View) -> str:
    words = ["stopped by an operator"] if view["stopped_by_operator"] else []
    return ", ".join([*words, *(["scaled by an operator"] if view["scaled"] else [])])


def _instance_row(view: View) -> list[str]:
    return [
        view["name"],
        view["state"],
        "yes" if view["ready"] else "no",
        str(view["restarts"]),
        str(view["pid"] or "-"),
        size(view["memory_bytes"]),
        size(view["memory_limit_bytes"]),
        percent(view["cpu_percent"]),
        view["address"] or "-",
        age(view["started_at"]) if view["pid"] else "-",
        view["reason"],
    ]


def _probes(instances: Sequence[View]) -> None:
    """The last result of each, failing ones first."""
    found = [
        (instance["name"], kind, probe)
        for instance in instances
        for kind, probe in instance["probes"].items()
    ]
    rows = [
        [
            name,
            kind,
            "passes" if probe["passed"] else "fails",
            f"{age(probe['since'])} ({probe['in_a_row']}x)",
            f"{probe['latency_ms']:.1f}ms",
            f"{age(probe['at'])} ago",
            str(probe["runs"]),
            probe["words"],
        ]
        for name, kind, probe in sorted(found, key=lambda item: bool(item[2]["passed"]))
    ]
    if rows:
        say()
        header = ("INSTANCE", "PROBE", "VERDICT", "FOR", "TOOK", "LAST", "RUNS", "SAID")
        table(header, rows)


def event(view: View, width: int = 14) -> None:
    who = view["instance"] or view["workload"] or "node"
    said = f"{clean(who)}: {clean(view['words'])}"
    say(f"{clock(view['at'])}  {clean(view['code']):<{width}} {said}", now=True)


def why(name: str, view: View) -> None:
    if view["workload"]:
        say(headline(view["workload"]))
    else:
        say(f"{name}: not on this host" if view["home"] else f"{name}: gone")
    if view["workload"] and view["workload"]["reason"]:
        say(f"  {clean(view['workload']['reason'])}")
    if view["workload"]:
        _probes(view["workload"]["instances"])
    say("\nnow")
    for words in view["now"] or ["nothing to do"]:
        say(f"  {clean(words)}")
    say("\nwhat happened")
    events = view["events"]
    width = max((len(e["code"]) for e in events), default=0)
    for e in events:
        who = f"{clean(e['instance'])}: " if e["instance"] else ""
        took = e["details"].get("latency_ms")
        said = clean(e["words"]) + ("" if took is None else f" (took {took:.1f}ms)")
        ago = f"{age(e['at'])} ago"
        say(f"  {clock(e['at'])}  {ago:>11}  {clean(e['code']):<{width}}  {who}{said}")


def changes(plans: Sequence[View]) -> None:
    """What is changed, a workload each, then field by field."""
    width = max((len(plan["workload"]) for plan in plans), default=0)
    for plan in plans:
        verb = plan["verb"]
        shown = paint(
            f"{'unchanged' if verb == 'none' else verb:<9}", VERB_COLOURS.get(verb, "yellow")
        )
        say(f"{clean(plan['workload']):<{width}}  {shown}  {clean(plan['words'])}".rstrip())
        for words in plan["placement"] if verb != "none" else ():
            say(f"    {clean(words)}")
        if verb == "create":
            continue  # all its fields are new
        rows = [
            [c["field"], f"{c['before'] or '(none)'} → {c['after'] or '(none)'}", c["effect"]]
            for c in plan["changes"]
        ]
        rows = [[clean(cell) for cell in row] for row in rows]
        widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
        for row in rows:
            say("    " + _line(row, widths, -1))


def plan(view: View) -> None:
    pending = [plan for plan in view["workloads"] if plan["verb"] != "none"]
    if not pending and not view["actions"]:
        say("nothing to do")
    changes(pending)
    if view["actions"]:
        say()
        rows = [[a["verb"], a["key"], a["why"]] for a in view["actions"]]
        table(("ACTION", "ON", "WHY"), rows)
    if view["holds"]:
        say()
        rows = [
            [
                hold["instance"] or hold["workload"],
                hold["code"],
                "-" if hold["in"] is None else span(hold["in"]),
                hold["why"],
            ]
            for hold in view["holds"]
        ]
        table(("HELD", "CODE", "NEXT IN", "WHY"), rows)


def mutation(view: View) -> None:
    changes(view["workloads"])
    if view["dry_run"]:
        say("dry run: nothing was changed")


def generations(views: Sequence[View]) -> None:
    rows = [
        [
            str(view["generation"]),
            clock(view["at"]),
            " ".join(word for word in ("current", "declared") if view[word]) or "-",
            view["words"],
        ]
        for view in views
    ]
    table(("GEN", "ACCEPTED", "IS", "CHANGE"), rows)
