"""What is wrong with several workloads together, and which of them is at fault.

At fault is the one that came later: what was accepted before keeps its claims. Among equals the
first in alphabetical order wins. The accepted version of a workload that is at fault stays in
force, so it is judged on until nothing new is found.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from nodeorch.model.workload import Port, Workload
from nodeorch.spec.faults import Fault, Faults
from nodeorch.spec.problems import Problem, locate
from nodeorch.spec.rules_io import overlap


def check_together(
    workloads: Mapping[str, Workload],
    files: Mapping[str, str],
    *,
    accepted: Mapping[str, Workload] = {},
    texts: Mapping[str, bytes] = {},
) -> dict[str, tuple[Problem, ...]]:
    """Problems by workload name; names without any are left out.

    files     the name of each workload's file, for the messages
    accepted  what was in force until now
    texts     the files' texts; without, problems stand in line 1
    """
    found: dict[str, list[Fault]] = {}
    current = dict(workloads)
    while True:
        fresh: dict[str, Fault] = {}
        for name, fault in _conflicts(current, accepted):
            if name not in found:
                fresh.setdefault(name, fault)
        if not fresh:
            break
        for name, fault in fresh.items():
            found[name] = [fault]
            del current[name]
            if name in accepted:
                current[name] = accepted[name]
    for name, workload in workloads.items():
        for fault in _unknown(workload, {**accepted, **workloads}):
            found.setdefault(name, []).append(fault)
    return {name: _located(name, found[name], files, texts) for name in sorted(found)}


def _located(
    name: str, found: list[Fault], files: Mapping[str, str], texts: Mapping[str, bytes]
) -> tuple[Problem, ...]:
    faults = Faults()
    for fault in found:
        faults.add(fault)
    at = None if name in texts else (1, 1)
    return locate(faults, texts.get(name, b""), files.get(name, f"{name}.toml"), name, at)


def _conflicts(
    workloads: Mapping[str, Workload], accepted: Mapping[str, Workload]
) -> Iterator[tuple[str, Fault]]:
    yield from _port_conflicts(workloads, accepted)
    for circle in _circles(workloads):
        words = " → ".join((*circle, circle[0]))
        new = [name for name in circle if accepted.get(name) != workloads[name]]
        for name in new or [max(circle)]:
            following = circle[(circle.index(name) + 1) % len(circle)]
            yield (
                name,
                Fault(
                    _path_to(workloads[name], following),
                    "E301",
                    f"waits for itself: {words}",
                    "remove one of these from after or needs",
                ),
            )


def _path_to(workload: Workload, other: str) -> tuple[str | int, ...]:
    if other in workload.main.needs:
        return ("workload", "needs", other)
    return ("workload", "after", workload.main.after.index(other))


def _circles(workloads: Mapping[str, Workload]) -> list[tuple[str, ...]]:
    """Each circle of ``after`` and ``needs``, once, beginning with its first name in the alphabet.

    A depth-first search that keeps its path; without recursion, as chains may be long.
    """
    done: set[str] = set()
    circles: list[tuple[str, ...]] = []
    for root in sorted(workloads):
        if root in done:
            continue
        path = [root]
        on_path = {root: 0}
        stack = [(root, _needs(workloads, root))]
        while stack:
            name, rest = stack[-1]
            following = next(rest, None)
            if following is None:
                stack.pop()
                path.pop()
                del on_path[name]
                done.add(name)
            elif following in on_path:
                circle = path[on_path[following] :]
                first = circle.index(min(circle))
                circles.append((*circle[first:], *circle[:first]))
            elif following not in done:
                on_path[following] = len(path)
                path.append(following)
                stack.append((following, _needs(workloads, following)))
    return circles


def _needs(workloads: Mapping[str, Workload], name: str) -> Iterator[str]:
    return (other for other in sorted(workloads[name].conditions) if other in workloads)


def _port_conflicts(
    workloads: Mapping[str, Workload], accepted: Mapping[str, Workload]
) -> Iterator[tuple[str, Fault]]:
    claims: list[tuple[bool, str, int, Port]] = []
    for name, workload in workloads.items():
        before = accepted[name].ports if name in accepted else ()
        for i, port in enumerate(workload.ports):
            if port.host is not None:
                held = any(overlap(port, earlier) for earlier in before)
                claims.append((not held, name, i, port))
    taken: dict[tuple[int | None, str], list[tuple[str, Port]]] = {}
    for _, name, i, port in sorted(claims, key=lambda claim: claim[:3]):
        holders = taken.setdefault((port.host, port.protocol), [])
        holder = next((n for n, held in holders if n != name and overlap(port, held)), None)
        if holder is None:
            holders.append((name, port))
            continue
        message = f"port {port.host}/{port.protocol} of {port.address} belongs to {holder}"
        yield name, Fault(("ports", i, "host"), "E302", message, "choose another port or address")


def _unknown(workload: Workload, known: Mapping[str, Workload]) -> Iterator[Fault]:
    for name in workload.conditions:
        if name not in known:
            message = f"waits for {name}, which is not declared"
            fix = f"it starts when {name} is declared and ready"
            yield Fault(_path_to(workload, name), "W303", message, fix, severity="warning")
