"""Jobs and their runs, printed for people."""

from __future__ import annotations

from collections.abc import Sequence

from nodeorch.cli.render import View, age, clean, clock, say, span, table


def runs(views: Sequence[View]) -> None:
    if not views:
        say("no runs yet")
        return
    header = ("RUN", "STATE", "MADE", "TOOK", "TRIES", "EXIT", "WHY", "REASON")
    table(header, [_row(view) for view in views], painted=1)


def _row(view: View) -> list[str]:
    args = "" if view["args"] is None else f", with {' '.join(view['args'])}"
    return [
        str(view["number"]),
        view["state"],
        clock(view["made_at"])[:-4] if view["made_at"] else "-",
        "-" if view["seconds"] is None else span(view["seconds"]),
        str(view["attempts"]),
        "-" if view["exit_code"] is None else str(view["exit_code"]),
        view["words"] + args,
        view["reason"],
    ]


def outcome(name: str, view: View) -> None:
    """How a run that was waited for has ended."""
    took = "" if view["seconds"] is None else f" after {span(view['seconds'])}"
    say(f"{clean(name)}: run {view['number']} {view['state']}{took}: {clean(view['reason'])}")


def facts(job: View) -> dict[str, str]:
    """The lines of a job in `status NAME`."""
    last = job["last"]
    return {
        "schedule": f"{job['schedule']} ({job['timezone']})" if job["schedule"] else "",
        "next run": f"{job['next_words']}, in {span(job['next_in'])}" if job["next_at"] else "",
        "last run": _last(last) if last else "",
        "skipped": job["skipped"],
    }


def _last(run: View) -> str:
    return f"{run['number']} {run['state']} {age(run['ended_at'])} ago: {run['reason']}"
