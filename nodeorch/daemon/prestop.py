"""The hook before a stop: it has its time, and then the stop goes on whatever came of it."""

from __future__ import annotations

import asyncio
import logging

from nodeorch.model.facts import HookEnd
from nodeorch.model.workload import PreStop
from nodeorch.model.world import Container
from nodeorch.ports import Deaths, EngineError, HookRunner

log = logging.getLogger(__name__)

SLACK = 6.0
"""Seconds beyond the hook's timeout for the engine to tell of it; more than any runner takes."""


async def before_stop(
    runner: HookRunner, deaths: Deaths, container: Container, hook: PreStop
) -> HookEnd:
    """Ends with the hook, with its time, or with the first process. Never raises."""
    most = hook.timeout + SLACK
    running = asyncio.ensure_future(
        runner.run(hook, container.id, container.address or ""),
    )
    dying = asyncio.ensure_future(deaths.wait(container.pid, most))
    try:
        await asyncio.wait({running, dying}, timeout=most, return_when=asyncio.FIRST_COMPLETED)
        if running.done():
            return running.result()
    except EngineError as error:
        return HookEnd(False, f"cannot run it: {error.words}")
    except Exception:  # of ours: no reason to keep a workload from being stopped
        log.exception("cannot run the pre-stop hook of %s", container.name)
        return HookEnd(False, "cannot run it: an error inside nodeorchd; see its log")
    finally:
        running.cancel()
        dying.cancel()
    ended = dying.done() and not dying.cancelled() and dying.result()
    words = "its container ended meanwhile" if ended else "the engine does not answer"
    return HookEnd(False, words)
