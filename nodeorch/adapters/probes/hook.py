"""Hooks: one exec or one http request, with the same means as the probes."""

from __future__ import annotations

import asyncio
import time

from nodeorch.adapters.probes.exec import TIMED_OUT, Exec
from nodeorch.adapters.probes.net import NetTry
from nodeorch.adapters.probes.outcome import Outcome, excerpt, seconds
from nodeorch.adapters.probes.talk import Read, Talk, talker
from nodeorch.model.facts import HookEnd
from nodeorch.model.workload import Http, PostStart, PreStop, Probe
from nodeorch.ports import EngineError

PATIENCE = 5.0
"""Seconds beyond the timeout for the engine's own work."""
KNOCK = 0.05
"""Seconds between two tries of an http hook while nobody listens yet."""
LEAST = 0.01


class HookCaller:
    """ports.HookRunner. ``exec`` is ports.Engine.exec, ``read`` is files.read_regular."""

    def __init__(self, exec: Exec, read: Read) -> None:
        self._exec = exec
        self._read = read

    async def run(self, hook: PostStart | PreStop, container_id: str, address: str) -> HookEnd:
        begun = time.monotonic()
        if hook.exec is not None:
            end = await self._run_exec(hook.exec, container_id, hook.timeout)
        elif hook.http is None or not address:
            return HookEnd(False, "the container has no address; use an exec hook")
        else:
            end = await _ask(hook.http, address, hook.timeout, self._read)
        took = seconds(round(time.monotonic() - begun, 3))
        return HookEnd(end.passed, f"{end.words}, after {took}")

    async def _run_exec(
        self, command: tuple[str, ...], container_id: str, timeout: float
    ) -> HookEnd:
        name = f"exec {excerpt(' '.join(command))}"
        try:
            async with asyncio.timeout(timeout + PATIENCE):
                code, output = await self._exec(container_id, command, timeout)
        except TimeoutError:
            raise EngineError("timeout", "the engine does not answer") from None
        if code == 0:
            return HookEnd(True, name)
        if code == TIMED_OUT:
            return HookEnd(False, f"{name}: no end within {seconds(timeout)}")
        heard = excerpt(output)
        said = f', output "{heard}"' if heard else ""
        return HookEnd(False, f"{name}: exit code {code}{said}")


async def _ask(http: Http, address: str, timeout: float, read: Read) -> HookEnd:
    """Knock until somebody listens: right after a start mostly nobody does. A request that was
    taken is not sent twice."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + timeout
    begin = talker(Probe(http=http), address, read)
    while True:
        try:
            talk = begin()
        except (OSError, ValueError) as error:  # of our own files
            raise EngineError("refused", excerpt(str(error))) from None
        left = max(deadline - loop.time(), LEAST)
        outcome = await _try(http, address, talk, left, timeout)
        if outcome.passed is None:
            raise EngineError("refused", outcome.words)
        if not outcome.refused or loop.time() + KNOCK >= deadline:
            return HookEnd(bool(outcome.passed), f"{http.method.value} {_said(http, outcome)}")
        await asyncio.sleep(KNOCK)


def _said(http: Http, outcome: Outcome) -> str:
    """Failures name the request already, successes only the status."""
    words = outcome.words.removeprefix(f"{http.method.value} ")
    return f"{http.path}: {words}" if outcome.passed else words


async def _try(http: Http, address: str, talk: Talk | None, left: float, timeout: float) -> Outcome:
    told: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
    attempt = NetTry(address, http.port, talk, left, told.set_result, lambda: None, timeout)
    attempt.start()
    try:
        return await told
    finally:
        if told.cancelled():
            attempt.cancel()
