"""Fleets that fall in two: five hosts, then two."""

from __future__ import annotations

import time

from tests.hosts.fleet import Fleet
from tests.hosts.scene import BACK, SEAMLESS, TAKEN, Part, Scene, braked, pinned, thorough, together

PORT = 18350
Copies = dict[str, int | list[str]]


def each(fleet: Fleet) -> tuple[Part, ...]:
    """On each host one that fails over, and one that does not."""
    moves = [Part(f"w{n}", host, PORT + n) for n, host in enumerate(fleet.hosts, 1)]
    return (*moves, *(pinned(f"p{n}", host) for n, host in enumerate(fleet.hosts, 1)))


def home(fleet: Fleet) -> Copies:
    return {part.name: [part.home] for part in each(fleet)}


def gaps(scene: Scene) -> dict[str, float]:
    return {name: round(scene.gap(name), 2) for name in scene.watches}


def test_five_hosts_two_lose_power_and_two_are_cut_off(five: Fleet) -> None:
    """The majority goes on for both, first for those that are dead, then for those that live."""
    large = ("h3", "h4", "h5")
    with Scene(five, *each(five)) as scene:
        five.cut("h1", "h2")
        took = scene.until({"w1": 2, "w2": 2})
        scene.stays({**home(five), "w1": 2, "w2": 2}, 3.0)
        for n in (1, 2):
            (taker,) = set(scene.where(f"w{n}")) - {f"h{n}"}
            assert taker in large, "the smaller part takes over nothing"
            scene.told(taker, f"w{n}", "TakenOver", f"h{n} is down")
        assert [host for host in five.hosts if braked(five, host)] == ["h1", "h2"]
        scene.told("h1", "w3", "its home is h3, which is down", "nothing is taken over")
        five.heal()
        back = scene.back(home(five))
        print(
            f"2|3: second copies after {took:.2f} s, one of each {back:.2f} s after; {gaps(scene)}"
        )
        assert max(gaps(scene).values()) < SEAMLESS
        scene.kept(five.hosts)
        scene.events("h2", "CutOffOver")

        scene.remember()
        together(lambda: five.kill("h1"), lambda: five.kill("h2"))
        scene.until({"w1": 1, "w2": 1})
        for name in ("w1", "w2"):
            five.wait_for(scene.watches[name].serves, TAKEN, f"{name} answers")
        gone = gaps(scene)
        assert max(gone.values()) < TAKEN
        assert max(gone[f"w{n}"] for n in (3, 4, 5)) < SEAMLESS
        scene.kept(large)
        places: Copies = {name: scene.where(name) for name in ("w1", "w2")}
        for host in large:
            scene.told(host, "w1", "h1, which is down", f"belongs on {places['w1'][0]}")  # type: ignore[index]
        scene.remember()
        together(lambda: five.start("h1"), lambda: five.start("h2"))
        back = scene.back({**home(five), **places})
        print(f"2 of 5 off: nobody served for {gone}; back {back:.2f} s after; {gaps(scene)}")
        assert max(gaps(scene).values()) < SEAMLESS
        scene.kept(large)


@thorough
def test_two_hosts_apart_both_run_it(two: Fleet) -> None:
    """Neither can know: both do, and the home's copy is the one that stays."""
    with Scene(two, *each(two)) as scene:
        two.cut("h1")
        took = scene.until({"w1": 2, "w2": 2, "p1": ["h1"], "p2": ["h2"]})
        scene.told("h2", "w1", "TakenOver", "h1 is down")
        scene.told("h1", "w2", "TakenOver", "h2 is down")
        two.heal()
        back = scene.back(home(two))
        print(f"1|1: two copies after {took:.2f} s, one of each {back:.2f} s after; {gaps(scene)}")
        assert max(gaps(scene).values()) < SEAMLESS
        scene.kept(two.hosts)
        scene.told("h2", "w1", "h1, its home, runs it again")


@thorough
def test_two_hosts_one_loses_power_and_then_both(two: Fleet) -> None:
    with Scene(two, *each(two)) as scene:
        two.kill("h1")
        scene.until({"w1": ["h2"]})
        two.wait_for(scene.watches["w1"].serves, TAKEN, "w1 answers")
        gone = scene.gap("w1")
        assert gone < TAKEN
        scene.kept(["h2"])
        began = time.monotonic()
        two.kill("h2")
        two.start("h2")
        back = scene.until({"w1": ["h2"], "w2": ["h2"]})
        two.start("h1")
        scene.back({"w1": ["h2"], "w2": ["h2"], "p1": ["h1"], "p2": ["h2"]})
        print(f"1 of 2 off: nobody served for {gone:.2f} s; alone after a boot: {back:.2f} s")
        assert time.monotonic() - began < 2 * BACK
