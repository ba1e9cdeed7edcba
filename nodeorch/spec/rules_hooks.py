"""What well-formed hooks may not mean."""

from __future__ import annotations

from collections.abc import Iterator

from nodeorch.model.workload import PostStart, PreStop, Workload
from nodeorch.spec.faults import Fault, Path
from nodeorch.spec.rules_io import headers, tls
from nodeorch.spec.units import format_seconds

_LEAST = 0.01


def hooks(w: Workload) -> Iterator[Fault]:
    for kind in ("post_start", "pre_stop"):
        hook: PostStart | PreStop | None = getattr(w.hooks, kind)
        if hook is not None:
            yield from _hook(w, hook, ("hooks", kind))


def _hook(w: Workload, hook: PostStart | PreStop, path: Path) -> Iterator[Fault]:
    kinds = [kind for kind in ("exec", "http") if getattr(hook, kind) is not None]
    if len(kinds) != 1:
        found = "has neither exec nor http" if not kinds else "has exec and http"
        fix = 'write exec = ["program"] or http = { port = 8080, path = "/hook" }'
        yield Fault(path, "E250", found, fix if not kinds else "keep exactly one of them")
    if "none" in w.main.networks and hook.http:
        message = 'with networks = ["none"] there is nothing to connect to'
        yield Fault((*path, "http"), "E208", message, "use exec", on_key=True)
    if hook.exec is not None and (not hook.exec or not hook.exec[0]):
        yield Fault((*path, "exec"), "E221", "the program's name is empty", "name a program")
    if hook.http:
        yield from headers(hook.http.headers, (*path, "http", "headers"))
        yield from tls(hook.http, (*path, "http"), 'scheme = "https"')
    if hook.timeout < _LEAST:
        message = f"{format_seconds(hook.timeout)} is too short"
        yield Fault((*path, "timeout"), "E235", message, "use 10ms")


RULES = (hooks,)
