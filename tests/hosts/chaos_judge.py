"""What must be so of a fleet that was under faults: while they lasted, and when they are over."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterator, Mapping, Sequence

from nodeorch.client.unix import ClientError
from tests.hosts.chaos_faults import Moment, Part
from tests.hosts.fleet import Fleet
from tests.hosts.watch import Answer, Watch

BOUND = 8.0
"""Seconds without any copy of a workload that fails over, while a majority can act: 6 to take over,
2 to start on a loaded machine."""
SETTLED = 60.0
"""Seconds from the end of the last fault until all that is declared is so again."""
QUIET = 0.5
"""Seconds without an answer that are no gap."""


def gaps(watch: Watch) -> Iterator[tuple[float, float]]:
    """From the first answer to the last: when no host answered."""
    for one, next_ in itertools.pairwise(watch.answers()):
        if next_.at - one.at > QUIET:
            yield one.at, next_.at


def outages(watch: Watch, moments: Sequence[Moment]) -> list[float]:
    """The parts of gaps in which a majority could act, each counted from the last thing that
    happened; seconds."""
    found = []
    for begun, ended in gaps(watch):
        marks = [moment for moment in moments if begun < moment.at < ended]
        before = [moment for moment in moments if moment.at <= begun][-1:]
        points = [begun, *(moment.at for moment in marks), ended]
        able = [not before or before[0].majority, *(moment.majority for moment in marks)]
        found += [
            b - a for (a, b), yes in zip(itertools.pairwise(points), able, strict=True) if yes
        ]
    return found


def restarts(name: str, answers: Sequence[Answer], moments: Sequence[Moment]) -> list[str]:
    """Copies that were started anew on a host that kept its power, with nobody having asked."""
    wrong = []
    last: dict[str, Answer] = {}
    for each in answers:
        former = last.get(each.host)
        last[each.host] = each
        if former is None or former.page == each.page:
            continue
        between = [m for m in moments if former.at - QUIET <= m.at <= each.at]
        elsewhere = any(former.at < a.at < each.at and a.host != each.host for a in answers)
        # Power may have gone before the last answer was followed by none.
        asked = any(m.edited == name or each.host in m.off for m in between)
        if not asked and not elsewhere:
            wrong.append(f"{name} was restarted on {each.host} after: {_words(between)}")
    return wrong


def _words(moments: Sequence[Moment]) -> str:
    return "; ".join(moment.words for moment in moments) or "nothing"


def amiss(fleet: Fleet, parts: Mapping[str, Part]) -> list[str]:
    """What is not as declared, now."""
    wrong = []
    runs: dict[str, list[str]] = {}
    for host in fleet.hosts:
        if fleet.power(host) != "on":
            wrong.append(f"{host} is {fleet.power(host)}")
            continue
        for container in fleet.firsts(host):
            runs.setdefault(container.split(".")[0], []).append(host)
        with contextlib.suppress(ClientError, OSError):
            if fleet.sees_all(host):
                continue
        wrong.append(f"{host} does not see all hosts")
    for name in sorted(runs.keys() | parts.keys()):
        want = parts[name].copies if name in parts else 0
        hosts = runs.get(name, [])
        if len(hosts) != want:
            wrong.append(f"{name} has {len(hosts)} copies on {hosts}, not {want}")
        elif name in parts and parts[name].copies > 1 and len(set(hosts)) != want:
            wrong.append(f"{name} is not spread: {hosts}")
    return wrong + _not_ready(fleet, parts)


def _not_ready(fleet: Fleet, parts: Mapping[str, Part]) -> list[str]:
    """By the account of each home: its workloads have the version that was declared, and are
    ready."""
    wrong = []
    for host in fleet.hosts:
        try:
            views = fleet.status(host)
        except (ClientError, OSError, AssertionError) as error:
            wrong.append(f"{host}: {error}")
            continue
        for part in parts.values():
            if part.home != host:
                continue
            view = views.get(part.name)
            if view is None:
                wrong.append(f"{part.name} is not known on its home {host}")
            elif view["state"] not in ("running", "elsewhere"):
                wrong.append(f"{part.name} is {view['state']} by its home: {view.get('reason')}")
    return wrong
