"""Several hosts, printed for people."""

from __future__ import annotations

from collections.abc import Sequence

from nodeorch.cli.render import View, age, clean, paint, say, size, table

ALONE = "this host is alone; `nodeorch cluster init` begins a fleet"


def members(views: Sequence[View]) -> None:
    if not views:
        say(ALONE)
        return
    header = (
        "NAME", "ADDRESS", "STATE", "ROLE", "CAPACITY", "FREE", "WORKLOADS", "VERSION",
        "LAST SEEN", "REASON",
    )  # fmt: skip
    table(header, [_member(view) for view in views], painted=2)


def _member(view: View) -> list[str]:
    return [
        view["name"],
        view["address"] or "-",
        view["state"],
        view["role"],
        size(view["memory_total"]),
        size(view["memory_free"]),
        "-" if view["workloads"] is None else str(view["workloads"]),
        view["version"] or "-",
        _seen(view),
        "this host" if view["me"] else view["reason"],
    ]


def _seen(view: View) -> str:
    if view["heard"]:
        return "now"
    return f"{age(view['seen_at'])} ago" if view["seen_at"] else "never"


def homes(views: Sequence[View], *, alone: bool) -> None:
    if not views:
        say(ALONE if alone else "no workload of this fleet may move; see [failover] in its file")
        return
    header = ("NAME", "HOME", "STATE", "TERM", "FAILOVER", "RUNS ON", "READY", "WHY")
    table(header, [_home(view) for view in views], painted=2)
    for view in views:
        for words in view["conflicts"]:
            say(paint(f"! {clean(view['name'])}: {clean(words)}", "yellow"))
        if view["orphaned"]:
            words = f"its home does not know it any more; `nodeorch home take {view['name']}`"
            say(paint(f"! {clean(view['name'])}: {clean(words)}", "yellow"))


def _home(view: View) -> list[str]:
    scope = view["scope"] if view["scope"] != "host" else view["failover"]
    return [
        view["name"],
        view["home"],
        view["home_state"],
        str(view["term"]),
        scope,
        ", ".join(view["hosts"]) or "-",
        f"{'-' if view['ready'] is None else view['ready']}/{view['desired']}",
        view["reason"],
    ]


def said(view: View) -> None:
    say(clean(view["words"]))
    if view["dry_run"]:
        say("dry run: nothing was changed")
