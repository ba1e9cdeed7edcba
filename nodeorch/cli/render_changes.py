"""How changes are printed."""

from __future__ import annotations

from collections.abc import Sequence

from nodeorch.cli.render import View, age, clean, clock, say, state, table


def table_of(views: Sequence[View]) -> None:
    if not views:
        say("no changes")
        return
    rows = [
        [
            str(view["id"]),
            view["verb"],
            view["state"],
            f"{age(view['at'])} ago",
            " ".join(view["workloads"]) or "-",
            _words(view),
        ]
        for view in views
    ]
    table(("ID", "VERB", "STATE", "ASKED", "WORKLOADS", "REASON"), rows, painted=2)


def one(view: View) -> None:
    say(f"change {view['id']}: {clean(view['verb'])}, {state(view['state'])}")
    facts = {
        "workloads": " ".join(view["workloads"]),
        "by": view["by"],
        "asked": clock(view["at"]),
        "ended": clock(view["ended_at"]) if view["ended_at"] else "",
        "reason": view["reason"],
        "trace": view["trace"],
    }
    for key, value in facts.items():
        if value:
            say(f"  {key:<9}  {clean(value)}")
    for words in view["waits"]:
        say(f"  waits for  {clean(words)}")


def progress(view: View) -> None:
    say(f"{state(view['state'], 10)}  {clean(_words(view))}".rstrip(), now=True)


def _words(view: View) -> str:
    return str(view["reason"] or "; ".join(view["waits"]))
