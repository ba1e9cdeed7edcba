"""Jobs through the real loop and executor, on a scripted engine."""

from __future__ import annotations

import asyncio
from pathlib import Path

from nodeorch.model.facts import Command
from nodeorch.model.job import Outcome
from nodeorch.model.workload import Kind
from tests.daemon.rig import rigged, spec


async def test_a_run_that_ends_before_its_stop_has_looked_has_succeeded(tmp_path: Path) -> None:
    async with rigged(tmp_path) as rig:
        await rig.declare(spec(kind=Kind.JOB))
        await rig.until(lambda: (i := rig.instance("web.1.g1")) and i.running)
        await rig.until(lambda: not rig.loop.world.busy)
        instance = rig.instance("web.1.g1")
        assert instance is not None
        gate = rig.engine.faults.hang("inspect")
        asked = rig.loop.submit(Command(verb="shutdown", workload="", by="uid 0"))
        stopping = asyncio.ensure_future(asked)
        await rig.until(lambda: rig.loop.world.busy.get("web.1.g1") == "stop")
        rig.engine.die(instance.record.container_id, 0)
        gate.set()
        await stopping

        def outcome() -> Outcome | None:
            job = rig.loop.world.workloads["web"].record.job
            return job.runs[0].outcome if job else None

        await rig.until(lambda: not rig.loop.world.busy and rig.loop.world.shutdown)
        assert outcome() is Outcome.SUCCEEDED
