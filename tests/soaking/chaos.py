"""What happens to the host: faults and edits, drawn from a seeded die."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

from nodeorch.client.unix import ClientError
from tests.soaking.cast import Part, declare, edited
from tests.system.host import Host

PAUSE = (0.05, 0.5)
"""Seconds between two happenings."""


class Chaos:
    """``harsh``: also what ends the daemon; its memory cannot be followed then."""

    def __init__(self, host: Host, parts: dict[str, Part], dice: random.Random) -> None:
        self.host = host
        self.parts = parts
        self.dice = dice
        self.counts: Counter[str] = Counter()
        self.program: list[tuple[int, Callable[[], None], bool]] = [
            (40, self.kill, False),
            (14, self.edit, False),
            (4, self.remove_by_hand, False),
            (4, self.stop_by_hand, False),
            (3, self.pause_by_hand, False),
            (4, self.delete_and_declare, False),
            (3, self.spoil, False),
            (3, self.operate, False),
            (2, self.freeze_engine, False),
            (2, self.kill_engine, False),
            (4, self.kill_daemon, True),
            (2, self.restart_daemon, True),
            (2, self.freeze_daemon, True),
        ]

    def run(self, seconds: float, *, harsh: bool) -> None:
        end = time.monotonic() + seconds
        acts = [(weight, act) for weight, act, ends in self.program if harsh or not ends]
        weights = [weight for weight, _ in acts]
        while time.monotonic() < end:
            _, act = self.dice.choices(acts, weights)[0]
            self.counts[act.__name__] += 1
            act()
            time.sleep(self.dice.uniform(*PAUSE))

    # -- to containers -----------------------------------------------------------------

    def _instances(self) -> list[dict[str, Any]]:
        """Those that run; none while the daemon is busy starting."""
        try:
            found = self.host.status()
        except (ClientError, OSError):
            return []
        return [i for view in found for i in view["instances"] if i["pid"]]

    def _instance(self) -> dict[str, Any] | None:
        held = self._instances()
        return self.dice.choice(held) if held else None

    def kill(self) -> None:
        held = self._instances()
        for instance in self.dice.sample(held, min(len(held), self.dice.choice((1, 1, 1, 5)))):
            with contextlib.suppress(ProcessLookupError):
                os.kill(instance["pid"], signal.SIGKILL)

    def remove_by_hand(self) -> None:
        self._by_hand("rm", "-f", "-t0")

    def stop_by_hand(self) -> None:
        self._by_hand("stop", "-t0")

    def pause_by_hand(self) -> None:
        self._by_hand("pause")

    def _by_hand(self, *words: str) -> None:
        if (instance := self._instance()) is not None:
            self.host.lab.podman(*words, instance["container_id"], check=False)

    # -- to what is declared -----------------------------------------------------------

    def _put(self, part: Part) -> None:
        self.parts[part.name] = part
        declare(self.host, part)

    def _part(self) -> Part:
        return self.parts[self.dice.choice(sorted(self.parts))]

    def edit(self) -> None:
        self._put(edited(self._part(), self.dice))

    def delete_and_declare(self) -> None:
        part = self._part()
        (self.host.specs / f"{part.name}.toml").unlink()
        time.sleep(self.dice.uniform(0.0, 1.0))
        self._put(part)

    def spoil(self) -> None:
        """A file that does not parse: the last good version stays. Mended a little later."""
        part = self._part()
        self.host.declare(part.name, part.text()[: self.dice.randrange(10, 200)] + '\n"')
        time.sleep(self.dice.uniform(0.0, 0.5))
        self._put(part)

    def operate(self) -> None:
        verb = self.dice.choice(("restart", "stop", "start"))
        name = self._part().name
        with contextlib.suppress(ClientError, OSError):
            self.host.client.post(f"/v1/workloads/{name}/{verb}")

    # -- to the engine and the daemon --------------------------------------------------

    def freeze_engine(self) -> None:
        self.host.lab.freeze()
        time.sleep(self.dice.uniform(0.5, 3.0))
        self.host.lab.thaw()

    def kill_engine(self) -> None:
        self.host.lab.kill_service()
        time.sleep(self.dice.uniform(0.0, 1.0))
        self.host.lab.start_service()

    def kill_daemon(self) -> None:
        self.host.kill()
        self.host.start()

    def restart_daemon(self) -> None:
        self.host.stop()
        self.host.start()

    def freeze_daemon(self) -> None:
        os.kill(self.host.pid, signal.SIGSTOP)
        time.sleep(self.dice.uniform(0.5, 3.0))
        os.kill(self.host.pid, signal.SIGCONT)
