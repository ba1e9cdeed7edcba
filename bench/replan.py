"""Re-planning a node of N workloads: one death among settled ones, and everything unsettled.

No engine is involved: these are the pure functions. Medians in milliseconds.

    python -m bench.replan
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

from msgspec.structs import replace

from bench.table import Row, markdown
from nodeorch.decide.absorb import absorb
from nodeorch.decide.plan import plan
from nodeorch.model.facts import Died
from nodeorch.model.world import World
from tests.decide.story import Story, workload

SIZES = (100, 300, 1000, 3000)
TIMES = 30
MOST_MS = 3.0
LINEAR = 1.5
"""Growth from 1000 to 3000, over three times, that still counts as linear."""


def node(count: int) -> Story:
    return Story(*(workload(f"w{i}") for i in range(count))).up()


def median_ms(act: Callable[[], object]) -> float:
    figures = []
    for _ in range(TIMES):
        begun = time.perf_counter()
        act()
        figures.append(time.perf_counter() - begun)
    return statistics.median(figures) * 1000


def figures(count: int) -> tuple[float, float]:
    """(a death absorbed and re-planned, a plan in which nothing is settled), ms."""
    story = node(count)
    one = next(c for c in story.containers.values() if c.name == "w7.0.g1")
    died = Died(instance=one.name, container_id=one.id, pid=one.pid)
    restless: World = replace(
        story.world,
        workloads={n: replace(s, settled=False) for n, s in story.world.workloads.items()},
    )
    quick = median_ms(lambda: plan(absorb(story.world, died, story.now), story.now))
    return quick, median_ms(lambda: plan(restless, story.now))


def measure() -> list[Row]:
    found = {count: figures(count) for count in SIZES}
    rows = []
    for kind, what in enumerate(("after a death", "nothing settled")):
        print(f"re-plan, {what}:", *(f"{n}: {found[n][kind]:.3f} ms" for n in SIZES), flush=True)
        at, more = found[1000][kind], found[3000][kind]
        growth = more / at / 3
        rows.append(
            Row(
                f"re-plan of 1000 workloads, {what}",
                f"{at:.2f} ms",
                f"{more:.2f} ms (3000 workloads)",
                growth,
                f"≤ {MOST_MS:g} ms, linear",
                at <= MOST_MS and growth <= LINEAR,
            )
        )
    return rows


if __name__ == "__main__":
    print(markdown(measure()))
