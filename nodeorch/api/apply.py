"""POST apply: spec files are checked, put into the workloads directory, and read."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from aiohttp.web import StreamResponse
from msgspec import Struct

from nodeorch.api.call import Call, Problem
from nodeorch.api.change import declared, edit, result
from nodeorch.api.preview import what_if
from nodeorch.files import read_env, read_source
from nodeorch.model.facts import SpecsSeen
from nodeorch.model.workload import Workload
from nodeorch.spec.load import load_text
from nodeorch.spec.names import is_name
from nodeorch.spec.problems import Problem as SpecProblem
from nodeorch.spec.problems import errors
from nodeorch.spec.settings import Settings
from nodeorch.spec.together import check_together

ENV_LIMIT = 256 * 1024
"""Bytes of an env file."""
SOURCE_LIMIT = 1 << 20
"""Bytes of a config file."""


class Body(Struct, forbid_unknown_fields=True):
    files: dict[str, str]
    """File name → text: {"web.toml": "[workload]…"}."""
    force: bool = False
    """Lower a memory limit below what is in use."""


async def apply(call: Call) -> StreamResponse:
    """All files or none. 422 lists every problem of every file."""
    body = await call.body(Body)
    texts = {
        _stem(call, name): text.encode("utf-8", "surrogatepass")
        for name, text in body.files.items()
    }
    if not texts:
        raise call.bad("there are no files in it", 'send {"files": {"NAME.toml": "text"}}')
    async with call.edit_lock:
        accepted = await declared(call)
        settings = call.supervisor.settings
        workloads, problems = await asyncio.to_thread(_judge, texts, accepted, settings)
        if problems:
            words = f"cannot apply {', '.join(sorted(body.files))}: {len(problems)} problem(s)"
            raise Problem(422, f"{words}; nothing was changed", "Invalid", problems)
        forced = tuple(workloads) if body.force else ()
        rejected = call.supervisor.world.rejected
        fact = SpecsSeen(
            workloads={**accepted, **workloads},
            rejected={k: v for k, v in rejected.items() if k not in workloads and k},
            forced=forced,
        )
        plans = what_if(call.supervisor, fact, workloads)
        asked = None
        if not call.dry_run:
            files = {f"{stem}.toml": text for stem, text in texts.items()}
            asked = await edit(
                call, lambda work: work.write(files), forced=forced, changed=tuple(texts)
            )
    return await result(call, plans, asked)


def _stem(call: Call, name: str) -> str:
    stem = name.removesuffix(".toml")
    if not name.endswith(".toml") or not is_name(stem):
        raise call.bad(
            f'"{name[:80]}" is not the name of a spec file',
            "call it NAME.toml, with the workload's name",
        )
    return stem


def _judge(
    texts: Mapping[str, bytes], accepted: Mapping[str, Workload], settings: Settings
) -> tuple[dict[str, Workload], list[str]]:
    """The workloads, or all problems as text. Blocking: env files are read."""
    workloads: dict[str, Workload] = {}
    found: list[SpecProblem] = []
    for stem, text in texts.items():
        workload, problems = load_text(
            text,
            f"{stem}.toml",
            stem=stem,
            default_memory=settings.defaults.memory,
            allowed_sources=settings.volumes.allowed,
            guarded=settings.guarded,
            read_file=lambda path: read_env(
                path, ENV_LIMIT, settings.volumes.allowed, settings.guarded
            ),
            read_source=lambda path: read_source(
                path, SOURCE_LIMIT, settings.volumes.allowed, settings.guarded
            ),
            known_labels=settings.known_labels,
        )
        found += errors(problems)
        if workload is not None:
            workloads[stem] = workload
    files = {stem: f"{stem}.toml" for stem in texts}
    together = check_together({**accepted, **workloads}, files, accepted=accepted, texts={**texts})
    for stem, problems in together.items():
        if stem in texts:
            found += errors(problems)
    return workloads, [problem.text() for problem in found]
