"""Re-planning a node of N workloads: absorbing one fact and planning anew.

No engine is involved: these are the pure functions. For 1000 workloads; the ratio is that
of a workload's share at 3000 to that at 1000: 1 is linear growth. A change of everything
at once, which no single fact can bring, is shown for completeness.

    python -m bench.replan
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

from msgspec.structs import replace

from bench.process import calm
from bench.table import Row, markdown
from nodeorch.decide.absorb import absorb
from nodeorch.decide.plan import plan
from nodeorch.model.facts import Died, Fact, Listed, SpecsSeen
from nodeorch.model.world import World
from tests.decide.story import Story, workload

SIZES = (100, 300, 1000, 3000)
TIMES = 30
MOST_MS = 3.0
LINEAR = 1.5
"""Growth of a workload's share that still counts as linear: larger worlds miss caches."""
UNSETTLED = "a change of everything"


def node(count: int) -> Story:
    return Story(*(workload(f"w{i}") for i in range(count))).up()


def ms(act: Callable[[], object]) -> float:
    begun = time.perf_counter()
    act()
    return (time.perf_counter() - begun) * 1000


def situations(count: int) -> dict[str, Callable[[], object]]:
    """What a node of so many workloads has to think through, by name."""
    story = node(count)
    world, now = story.world, story.now
    one = next(c for c in story.containers.values() if c.name == "w7.0.g1")
    # Listings tell no addresses.
    listing = tuple(replace(c, address=None) for c in story.containers.values())
    facts: dict[str, Fact] = {
        "a death": Died(instance=one.name, container_id=one.id, pid=one.pid),
        "a full listing": Listed(containers=listing, begun=now),
        "all specs read again": SpecsSeen(
            workloads={n: s.workload for n, s in world.workloads.items()}, rejected={}
        ),
    }
    acts: dict[str, Callable[[], object]] = {
        name: lambda fact=fact: plan(absorb(world, fact, now), now)  # type: ignore[misc]
        for name, fact in facts.items()
    }
    states = {n: replace(s, settled=False) for n, s in world.workloads.items()}
    restless: World = replace(world, workloads=states)
    acts[UNSETTLED] = lambda: plan(restless, now)
    return acts


def measure() -> list[Row]:
    acts = {count: situations(count) for count in SIZES}
    calm()
    taken: dict[str, dict[int, list[float]]] = {}
    for _ in range(TIMES):  # the sizes take turns: what disturbs one disturbs all
        for count, kinds in acts.items():
            for what, act in kinds.items():
                taken.setdefault(what, {}).setdefault(count, []).append(ms(act))
    return [
        _row(what, {count: statistics.median(figures) for count, figures in sizes.items()})
        for what, sizes in taken.items()
    ]


def _row(what: str, figures: dict[int, float]) -> Row:
    print(
        f"re-plan, {what}:", *(f"{n}: {value:.3f} ms" for n, value in figures.items()), flush=True
    )
    at, more = figures[1000], figures[3000]
    growth = more / at / 3
    row = Row(
        f"re-plan of 1000 workloads after {what}",
        f"{at:.2f} ms",
        f"{more:.2f} ms (at 3000; ratio per workload)",
        growth,
    )
    if what == UNSETTLED:
        return row
    met = at <= MOST_MS and growth <= LINEAR
    return row._replace(bar=f"≤ {MOST_MS:g} ms, linear", met=met)


if __name__ == "__main__":
    print(markdown(measure()))
