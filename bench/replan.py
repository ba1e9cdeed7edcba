"""Re-planning a node of N workloads: one death among settled ones, and everything unsettled.

Prints medians in milliseconds and how they grow with N.
"""

from __future__ import annotations

import statistics
import time

from msgspec.structs import replace

from nodeorch.decide.absorb import absorb
from nodeorch.decide.plan import plan
from nodeorch.model.facts import Died
from nodeorch.model.world import World
from tests.decide.story import Story, workload

SIZES = (100, 300, 1000, 3000)


def node(count: int) -> Story:
    return Story(*(workload(f"w{i}") for i in range(count))).up()


def median_ms(act, times: int = 30) -> float:  # type: ignore[no-untyped-def]
    figures = []
    for _ in range(times):
        begun = time.perf_counter()
        act()
        figures.append(time.perf_counter() - begun)
    return statistics.median(figures) * 1000


def main() -> None:
    print("| workloads | absorb a death and re-plan, ms | plan with nothing settled, ms |")
    print("|---|---|---|")
    for count in SIZES:
        story = node(count)
        one = next(c for c in story.containers.values() if c.name == "w7.0.g1")
        died = Died(instance=one.name, container_id=one.id, pid=one.pid)
        restless: World = replace(
            story.world,
            workloads={n: replace(s, settled=False) for n, s in story.world.workloads.items()},
        )

        def death(story: Story = story, died: Died = died) -> None:
            plan(absorb(story.world, died, story.now), story.now)

        quick = median_ms(death)
        full = median_ms(lambda w=restless, now=story.now: plan(w, now))
        print(f"| {count} | {quick:.3f} | {full:.3f} |")


if __name__ == "__main__":
    main()
