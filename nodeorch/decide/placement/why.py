"""Why hosts cannot take a workload, in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from nodeorch.decide.placement.asks import Ask, Candidate, Placement
from nodeorch.decide.size import size


def refusals(
    ask: Ask, hosts: Mapping[str, Candidate], placement: Placement, asks: Sequence[Ask]
) -> dict[str, str]:
    """Host → why it cannot take the workload, or one more replica of it, by that placement.

    What is to be together is judged as a whole, on the hosts that do not have it.
    """
    held = _held(placement)
    used = dict.fromkeys(hosts, 0)
    by_name = {other.name: other for other in asks}
    here: dict[str, list[Ask]] = {}
    for name, counts in held.items():
        other = by_name.get(name)
        for host, count in counts.items():
            if other is None or host not in used:
                continue
            used[host] += other.memory * (other.slots if other.every_host else count)
            here.setdefault(host, []).append(other)
    mine = held.get(ask.name, {})
    found = {
        name: _why(ask, hosts[name], by_name, sorted(here.get(name, ()), key=_name), used[name])
        for name in sorted(hosts)
        if not ((ask.every_host or ask.together) and name in mine)
    }
    return {name: why for name, why in found.items() if why}


def _name(ask: Ask) -> str:
    return ask.name


def _held(placement: Placement) -> dict[str, dict[str, int]]:
    held: dict[str, dict[str, int]] = {}
    for seats in (placement.seats, placement.everywhere):
        for name, names in seats.items():
            counts = held.setdefault(name, {})
            for host in names:
                if host:
                    counts[host] = counts.get(host, 0) + 1
    return held


def _why(
    ask: Ask, host: Candidate, by_name: Mapping[str, Ask], here: Sequence[Ask], used: int
) -> str:
    if host.name != ask.home and ask.name in host.names:
        return "declares a workload of that name itself"
    if not (ask.together and host.name == ask.home):
        for label, values in sorted(ask.constraints.items()):
            value = host.labels.get(label)
            if value not in values:
                is_now = "is not set" if value is None else f"is {value}"
                return f"label {label} {is_now}, not {' or '.join(values)}"
    return _foe(ask, host, by_name, here) or _port(ask, host, here) or _memory(ask, host, used)


def _foe(ask: Ask, host: Candidate, by_name: Mapping[str, Ask], here: Sequence[Ask]) -> str:
    for name in sorted(ask.avoid):
        other = by_name.get(name)
        if name in host.names and (other is None or other.home != host.name):
            return f"avoids {name}"
    for other in here:
        if other.name in ask.avoid:
            return f"avoids {other.name}"
        if ask.name in other.avoid:
            return f"{other.name} avoids it"
    return ""


def _port(ask: Ask, host: Candidate, here: Sequence[Ask]) -> str:
    for port in sorted(ask.ports):
        if port in host.ports:
            return f"host port {port} is held by what is pinned there"
        for other in here:
            if port in other.ports:
                return f"host port {port} is held by {other.name}"
    return ""


def _memory(ask: Ask, host: Candidate, used: int) -> str:
    need = ask.memory * (ask.slots if ask.together or ask.every_host else 1)
    free = max(0, host.memory - used)
    if need == 0 or need <= host.memory - used:
        return ""
    return f"insufficient memory (need {size(need)}, {size(free)} free)"
