"""One try of an exec probe: a command inside the container, run by the engine."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from nodeorch.adapters.probes.outcome import Outcome, excerpt, seconds

Exec = Callable[[str, Sequence[str], float], Awaitable[tuple[int, str]]]
"""ports.Engine.exec: (container id, command, timeout) → (exit code, output)."""

TIMED_OUT = 124
_PATIENCE = 5.0
"""Seconds beyond the timeout for the engine's own work, before the slot is taken back."""


class ExecTry:
    """Calls ``done`` once and then ``closed``."""

    def __init__(
        self,
        exec: Exec,
        container_id: str,
        command: Sequence[str],
        timeout: float,
        done: Callable[[Outcome], None],
        closed: Callable[[], None],
    ) -> None:
        self._call = (container_id, command, timeout)
        self._exec = exec
        self._done, self._closed = done, closed
        self.task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self.task = asyncio.get_running_loop().create_task(self._run())

    def cancel(self) -> None:
        """No callbacks from here on."""
        self._done, self._closed = lambda _: None, lambda: None
        if self.task is not None:
            self.task.cancel()

    async def _run(self) -> None:
        try:
            self._done(await self._outcome())
        finally:
            self._closed()

    async def _outcome(self) -> Outcome:
        container_id, command, timeout = self._call
        name = excerpt(" ".join(command))
        try:
            async with asyncio.timeout(timeout + _PATIENCE):
                code, output = await self._exec(container_id, command, timeout)
        except TimeoutError:
            return Outcome(None, "cannot probe: the engine does not answer", timed_out=True)
        except Exception as error:  # EngineError, above all: it says nothing about the command
            return Outcome(None, f"cannot probe: {excerpt(str(error))}")
        if code == 0:
            return Outcome(True, "exit code 0")
        if code == TIMED_OUT:
            return Outcome(False, f"exec {name}: no end within {seconds(timeout)}", timed_out=True)
        heard = excerpt(output)
        said = f', output "{heard}"' if heard else ""
        return Outcome(False, f"exec {name}: exit code {code}{said}")
