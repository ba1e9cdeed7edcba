"""What all mutations share: the preview, the dry run, the edit of files, the answer."""

from __future__ import annotations

import asyncio
import contextlib
import errno
from collections.abc import Callable
from pathlib import Path

from aiohttp.web import StreamResponse

from nodeorch.api.call import Call, Problem, answer
from nodeorch.api.files import Edit
from nodeorch.model.change import Asked
from nodeorch.model.view import MutationView, WorkloadPlan
from nodeorch.model.workload import Workload
from nodeorch.ports import CommandRefused, StoreError

NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS})


async def result(
    call: Call, plans: list[WorkloadPlan], asked: Asked | None, run: int = 0
) -> StreamResponse:
    """The answer to a mutation: what it changes, its number, and the journal's last one."""
    last = await call.supervisor.store.entries(last=1)
    seq = last[-1].seq if last else 0
    number = asked.id if asked else None
    dry = call.dry_run
    return answer(MutationView(workloads=plans, dry_run=dry, seq=seq, change=number, run=run))


async def edit(
    call: Call,
    change: Callable[[Edit], object],
    *,
    deleted: tuple[str, ...] = (),
    forced: tuple[str, ...] = (),
    changed: tuple[str, ...] = (),
) -> Asked:
    """Change the files and have the daemon read them; all of it or none of it.

    ``changed``: the workloads whose files must be accepted. Raises Problem, StoreError.
    """
    work = Edit(directory(call))
    asked = await call.asked("delete" if deleted else "apply")
    try:
        await asyncio.to_thread(change, work)
    except OSError as error:
        raise file_problem(call, error) from error
    try:
        await call.supervisor.reload(
            deleted=deleted, forced=forced, applied=changed, by=asked.by, change=asked
        )
        rejected = call.supervisor.world.rejected
        problems = [rejected[name] for name in changed if name in rejected]
        if problems:
            words = f"cannot {call.does}: the daemon rejected it; nothing was changed"
            raise Problem(422, words, "Invalid", problems)
    except (Problem, StoreError, CommandRefused):
        await asyncio.to_thread(work.undo)
        with contextlib.suppress(StoreError):
            await call.supervisor.reload()
        raise
    await asyncio.to_thread(work.keep)
    return asked


def file_problem(call: Call, error: OSError) -> Problem:
    where = error.filename or directory(call)
    words = f"cannot {call.does}: {where}: {error.strerror}; nothing was changed"
    return Problem(507 if error.errno in NO_ROOM else 500, words, "FileFailed")


def directory(call: Call) -> Path:
    return Path(call.supervisor.settings.paths.workloads)


async def declared(call: Call) -> dict[str, Workload]:
    """What the files declare, as accepted: differs from the target after a rollback."""
    found: dict[str, Workload] = {}
    for name, state in call.supervisor.world.workloads.items():
        record = state.record
        if record.deleting or record.home:  # a copy has its file elsewhere
            continue
        found[name] = record.target.workload
        if record.declared != record.target.digest:
            for _, version in await call.supervisor.store.versions(name):
                if version.digest == record.declared:
                    found[name] = version.workload
                    break
    return found
