"""What a well-formed workload may not mean: failover, placement, and which hosts run it."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

from nodeorch.model.fleet import movable
from nodeorch.model.placing import Failback, FailoverMode, Placement, Scope
from nodeorch.model.workload import Workload
from nodeorch.spec.faults import Fault, Path, quote
from nodeorch.spec.names import is_label

Labels = Mapping[str, Collection[str]]
"""Label → all values that nodes of the fleet have."""

HOST = "host"
"""The label that each node has without being told: its own name."""

_MODE: Path = ("failover", "mode")
_SCOPE: Path = ("workload", "scope")
_PLACEMENT: Path = ("placement",)


def modes(w: Workload) -> Iterator[Fault]:
    mode, scope = w.failover.mode, w.main.scope
    if mode is FailoverMode.EXCLUSIVE:
        fix = 'use "available" if two copies may run for a moment, else remove mode'
        yield Fault(_MODE, "E270", "at most one copy is not there yet", fix)
    if w.is_job:
        for path, chosen, stays in (
            (_MODE, mode, FailoverMode.NONE),
            (_SCOPE, scope, Scope.HOST),
        ):
            if chosen != stays:
                message = "a job runs on the host that declares it: elsewhere its past is unknown"
                fix = "remove it; declare the job on each host that is to run it"
                yield Fault(path, "E271", message, fix)
    elif mode is not FailoverMode.NONE and scope is not Scope.HOST:
        message = f'scope = "{scope}" needs no failover: '
        message += {
            Scope.FLEET: "replicas of a lost host run elsewhere anyway",
            Scope.EVERY_HOST: "all hosts run it anyway",
        }[scope]
        yield Fault(_MODE, "E273", message, "remove mode, or scope", uses=(_SCOPE,))


def volumes(w: Workload) -> Iterator[Fault]:
    """On every host each has data of its own, and that is what it is for: nothing moves there."""
    moves = movable(w) and w.main.scope is not Scope.EVERY_HOST
    for i, volume in enumerate(w.volumes):
        path = ("volumes", i)
        if volume.tmpfs is not None:
            if volume.shared:
                fix = "remove shared; memory is empty at each start, on any host"
                yield Fault((*path, "shared"), "E274", "has no effect on a tmpfs", fix)
        elif moves and not volume.shared and (what := volume.source or volume.name):
            yield Fault(
                path,
                "E272",
                f"the data of {quote(what)} exists on one host only, and this "
                "workload may run on another",
                "say shared = true if every host finds the same data there, such as on NFS; else "
                "use a tmpfs, or remove failover and scope",
                uses=(_MODE, _SCOPE),
            )


def without_effect(w: Workload) -> Iterator[Fault]:
    """Words about other hosts of what never runs there."""
    said = {
        "after": w.failover.after > 0,
        "prefer": bool(w.failover.prefer),
        "failback": w.failover.failback is not Failback.NEVER,
    }
    if w.failover.mode is FailoverMode.NONE:
        for key in (key for key, so in said.items() if so):
            fix = f'add mode = "available", or remove {key}'
            message = "has no effect without a mode of failover"
            yield Fault(("failover", key), "E274", message, fix, uses=(_MODE,))
    if w.placement != Placement() and not movable(w):
        message = "has no effect: this workload stays on the host that declares it"
        fix = 'remove it, or add [failover] mode = "available" or scope = "fleet"'
        if w.is_job:
            fix = "remove it"
        yield Fault(_PLACEMENT, "E274", message, fix, on_key=True, uses=(_MODE, _SCOPE))


def names(w: Workload) -> Iterator[Fault]:
    for i, name in enumerate(w.placement.avoid):
        if name and name == w.main.name:
            fix = 'remove it; spread = "host" keeps its replicas apart'
            path = (*_PLACEMENT, "avoid", i)
            yield Fault(path, "E275", "a workload cannot avoid itself", fix)
    if w.placement.avoid and w.main.scope is Scope.EVERY_HOST:
        message = "has no effect: every host runs this workload, whatever else it runs"
        fix = "remove it, or have the others avoid this one"
        yield Fault((*_PLACEMENT, "avoid"), "E274", message, fix, on_key=True, uses=(_SCOPE,))
    yield from _twice(w.failover.prefer, ("failover", "prefer"))
    yield from _twice(w.placement.avoid, (*_PLACEMENT, "avoid"))


def _twice(words: tuple[str, ...], path: Path) -> Iterator[Fault]:
    for i, word in enumerate(words):
        if word in words[:i]:
            yield Fault((*path, i), "E276", f"{quote(word)} stands twice", "remove one")


def constraints(w: Workload) -> Iterator[Fault]:
    for label, values in w.placement.constraints.items():
        path = (*_PLACEMENT, "constraints", label)
        if not is_label(label):
            yield not_a_label(path, label)
        if not values:
            fix = (
                f'write {{ {label} = ["VALUE"] }}, or remove it' if is_label(label) else "name one"
            )
            yield Fault(path, "E277", "no value is allowed, so no host can run it", fix)
        yield from _twice(values, path)


def not_a_label(path: Path, label: str) -> Fault:
    fix = "use letters, digits, . _ and - inside, at most 63"
    return Fault(path, "E226", f"{quote(label)} is not a label", fix, on_key=True)


def known(w: Workload, labels: Labels) -> Iterator[Fault]:
    """What is asked of nodes must be something that a node of the fleet can have."""
    for label, values in w.placement.constraints.items():
        path = (*_PLACEMENT, "constraints", label)
        if label not in labels:
            yield unknown_label(path, label, labels, on_key=True)
            continue
        for i, value in enumerate(values):
            if value not in labels[label]:
                yield unknown_value((*path, i), label, value, labels)
    spread = w.placement.spread
    if spread != HOST and spread not in labels:
        yield unknown_label((*_PLACEMENT, "spread"), spread, labels, on_key=False)


def unknown_label(path: Path, label: str, labels: Labels, *, on_key: bool) -> Fault:
    message = f"no node of this fleet has a label {quote(label)}"
    return Fault(path, "E278", message, _among(label, labels), on_key=on_key)


def unknown_value(path: Path, label: str, value: str, labels: Labels) -> Fault:
    message = f"no node of this fleet has {label} = {quote(value)}"
    return Fault(path, "E278", message, _among(value, labels[label]))


def _among(word: str, known: Collection[str]) -> str:
    from nodeorch.spec.didyoumean import closest

    all_of_them = ", ".join(sorted(known)[:20]) or "none"
    near = closest(word, tuple(sorted(known)))
    guess = f'did you mean "{near}"? ' if near else ""
    return f"{guess}known: {all_of_them}; [cluster] labels in nodeorch.toml names them"


RULES = (modes, volumes, without_effect, names, constraints)
