"""The loop: facts in; world, plan, actions out. And what the API may ask of it.

There is no ``await`` between taking a fact and handing over the actions that follow from
it, and what they will do is on its way to disk before they start.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

from msgspec.structs import replace

from nodeorch.daemon.executor import NEEDS_RECORD, Executor
from nodeorch.daemon.persist import Persister
from nodeorch.daemon.watches import Watches
from nodeorch.decide.absorb import absorb
from nodeorch.decide.commands import refusal
from nodeorch.decide.happened import happened
from nodeorch.decide.plan import plan
from nodeorch.decide.results import begin
from nodeorch.decide.waits import waits_told
from nodeorch.meters import LoopMeter, WorkloadMeters
from nodeorch.model.actions import Action, Plan
from nodeorch.model.facts import ClockSeen, Command, Fact, Failed, Hint, Loaded, StoreSeen, Tick
from nodeorch.model.world import Note, World
from nodeorch.ports import Clock, CommandRefused, Entry, Store, StoreError

log = logging.getLogger("nodeorch")

BATCH = 256
"""Facts taken in one step; more wait for the next, after the actions are handed over."""
HINTS = 4096
HEARTBEAT = 2.0
"""Seconds at most between two steps: the watchdog is fed by steps, not by a timer."""
SLOW_DISK = 1.0
"""Seconds that a restart, a stop and the like wait for the disk."""
CLOCK_GRAIN = 0.05
"""Seconds by which two readings of two clocks may differ without one having been set."""
BACKLOG = 1000
"""Journal entries a subscriber may lag behind before it is cut off."""


class Supervisor:
    def __init__(self, world: World, store: Store, clock: Clock, watches: Watches) -> None:
        self.world = world
        self.plan = Plan()
        self.store = store
        self.clock = clock
        self.steps = 0
        self.meter = LoopMeter(stepped_at=clock.now())
        self.befell = WorkloadMeters()
        self.on_step: Callable[[], None] = lambda: None
        self.on_silence: Callable[[], None] = lambda: None
        """The engine has just stopped answering, as far as the world knows."""
        self._watches = watches
        self._executor: Executor | None = None
        self._inbox: asyncio.Queue[tuple[Fact, asyncio.Future[None] | None]] = asyncio.Queue()
        self._persister = Persister(store, clock, self._publish, self._store_works)
        self._tasks: set[asyncio.Task[None]] = set()
        self._subscribers: set[asyncio.Queue[Entry | None]] = set()
        self._waiters: dict[asyncio.Future[bool], Callable[[World], bool]] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._last_change = 0

    async def load(self) -> bool:
        """Take up what the store remembers; whether some of it has to be rebuilt."""
        remembered = await self.store.load()
        rebuilt = remembered.rebuilt or bool(remembered.unreadable)
        fact = Loaded(
            desired=remembered.desired,
            instances=remembered.instances,
            serial=remembered.serial,
            rebuilt=rebuilt,
            changes=remembered.asked,
            wall=self.clock.wall(),
            fleet=remembered.fleet,
            views=remembered.views,
            lineage=secrets.token_hex(8),
        )
        world = absorb(self.world, fact, self.clock.now())
        self._persister.loaded(world)
        self.world = world
        # Numbers are not given twice, also when those that were are lost.
        self._last_change = max([int(self.clock.wall()) if rebuilt else 0, *world.changes])
        return rebuilt

    async def run(self, executor: Executor) -> None:
        """Until cancelled. Actions under way are then left to end or not: a new daemon looks."""
        self._executor = executor
        self.put(Tick())
        try:
            while True:
                batch = [await self._inbox.get()]
                while len(batch) < BATCH and not self._inbox.empty():
                    batch.append(self._inbox.get_nowait())
                self._step(batch)
                if not self._inbox.empty():
                    await asyncio.sleep(0)  # let results and the API in
        finally:
            for task in list(self._tasks):
                task.cancel()

    @property
    def waiting(self) -> int:
        """Facts in the queue."""
        return self._inbox.qsize()

    def put(self, fact: Fact) -> None:
        """Never blocks. Hints are the one kind that others can cause without end: beyond HINTS
        waiting facts they are dropped, and the next listing tells what they would have."""
        if isinstance(fact, Hint) and self._inbox.qsize() >= HINTS:
            return
        self._inbox.put_nowait((fact, None))

    async def submit(self, fact: Fact) -> None:
        """Absorbed and durably saved when it returns; raises CommandRefused, StoreError."""
        if isinstance(fact, Command):
            words = refusal(self.world, fact)
            if words is not None:
                raise CommandRefused(words)
            if self._persister.trouble:  # it could not be remembered
                raise StoreError(self._persister.trouble)
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._inbox.put_nowait((fact, done))
        await done

    def plan_for(self, world: World) -> Plan:
        return plan(world, self.clock.now())

    def absorb(self, world: World, fact: Fact) -> World:
        return replace(absorb(world, fact, self.clock.now()), notes=())

    def refusal(self, world: World, command: Command) -> str | None:
        return refusal(world, command)

    def next_change(self) -> int:
        self._last_change += 1
        return self._last_change

    @asynccontextmanager
    async def subscribe(self) -> AsyncIterator[asyncio.Queue[Entry | None]]:
        """New journal entries as they are stored; None: the reader was too slow and is cut off."""
        queue: asyncio.Queue[Entry | None] = asyncio.Queue(BACKLOG + 1)
        self._subscribers.add(queue)
        try:
            yield queue
        finally:
            self._subscribers.discard(queue)

    async def until(self, predicate: Callable[[World], bool], timeout: float) -> bool:
        """Wait for a world that satisfies the predicate; False after ``timeout`` seconds."""
        if predicate(self.world):
            return True
        reached: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._waiters[reached] = predicate
        try:
            return await asyncio.wait_for(reached, timeout)
        except TimeoutError:
            return False
        finally:
            del self._waiters[reached]

    def _step(self, batch: list[tuple[Fact, asyncio.Future[None] | None]]) -> None:
        before, now = self.world, self.clock.now()
        world = self._clocked(before, now)
        for fact, _ in batch:
            world = absorb(world, fact, now)
            self.meter.facts[type(fact)] += 1
        self.plan = plan(world, now)
        world = waits_told(world, self.plan, now)
        for action in self.plan.actions:
            world = begin(world, action, now)
        saved = self._persister.save(world)
        for note in world.notes:
            log.info("%s", _line(note))
        self.world = world = replace(world, notes=()) if world.notes else world
        for action in self.plan.actions:
            self._spawn(self._act(action, saved))
        for _, done in batch:
            if done is not None:
                self._spawn(_settle(done, saved))
        if before.engine.answering and not world.engine.answering:
            self.on_silence()
        self._watches.sync(world)
        self._wake(now)
        self._tell_waiters()
        self.steps += 1
        self._measure(before, now)
        self.on_step()

    def _clocked(self, world: World, now: float) -> World:
        """With the wall clock's offset, should it have been set."""
        first, wall = self.clock.now(), self.clock.wall()
        if self.clock.now() - first > CLOCK_GRAIN:  # we were held up between the two
            return world
        ahead, known = wall - first, world.wall_ahead
        if known is not None and abs(ahead - known) < CLOCK_GRAIN:
            return world
        return absorb(world, ClockSeen(ahead), now)

    async def _act(self, action: Action, saved: asyncio.Future[None] | None) -> None:
        if saved is not None:
            needed = isinstance(action, NEEDS_RECORD)
            try:
                async with asyncio.timeout(None if needed else SLOW_DISK):
                    await asyncio.shield(saved)
            except TimeoutError:
                pass
            except StoreError as error:
                if needed:
                    self._count(action, "store")
                    self.put(Failed(action=action, kind="store", words=str(error)))
                    return
        assert self._executor is not None
        outcome = await self._executor.run(action)
        self._count(action, outcome.kind if isinstance(outcome, Failed) else "ok")
        self.put(outcome)

    def _count(self, action: Action, result: str) -> None:
        self.meter.actions[type(action), result] += 1

    def _measure(self, before: World, began: float) -> None:
        """Last in a step: what it decided is on its way already."""
        for event in happened(before, self.world):
            self.befell.add(event)
        if len(self.world.workloads) < len(before.workloads):
            self.befell.keep(self.world.workloads)
        self.meter.stepped_at = self.clock.now()
        self.meter.steps.add(self.meter.stepped_at - began)

    def _wake(self, now: float) -> None:
        """One timer: the earliest moment at which something changes without a fact."""
        wait = HEARTBEAT
        if self.plan.wake_at is not None:
            wait = min(wait, max(0.0, self.plan.wake_at - now))
        if self._timer is not None:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_later(wait + 0.001, self.put, Tick())

    def _tell_waiters(self) -> None:
        for reached, predicate in self._waiters.items():
            if not reached.done() and predicate(self.world):
                reached.set_result(True)

    def _publish(self, entries: tuple[Entry, ...]) -> None:
        for entry in entries:
            self.meter.entries[entry.why.code] += 1
        for queue in list(self._subscribers):
            for entry in entries:
                if queue.qsize() >= BACKLOG:
                    queue.put_nowait(None)
                    self._subscribers.discard(queue)
                    break
                queue.put_nowait(entry)

    def _store_works(self, working: bool, words: str) -> None:
        self.put(StoreSeen(working=working, words=words))

    def _spawn(self, coroutine: Coroutine[Any, Any, None]) -> None:
        task = asyncio.ensure_future(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _line(note: Note) -> str:
    """For the log; with the trace of the request that caused it."""
    trace = note.details.get("trace")
    tail = f" [traceparent {trace}]" if trace else ""
    return f"{note.instance or note.workload or note.why.code}: {note.why.words}{tail}"


async def _settle(done: asyncio.Future[None], saved: asyncio.Future[None] | None) -> None:
    """Tell the one who waits for a fact that it is on disk, or why it is not."""
    try:
        if saved is not None:
            await asyncio.shield(saved)
    except StoreError as error:
        if not done.done():
            done.set_exception(error)
        return
    with contextlib.suppress(asyncio.InvalidStateError):
        done.set_result(None)
