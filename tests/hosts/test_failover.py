"""Hosts that lose power, links that are cut: what fails over does, and nothing else is touched."""

from __future__ import annotations

import os
import subprocess
import time

from tests.hosts.fleet import Fleet
from tests.hosts.scene import BACK, SEAMLESS, TAKEN, Part, Scene, braked, pinned, thorough, together

PORT = 18310
LOSS = float(os.environ.get("NODEORCH_TEST_LOSS", "60"))
"""Seconds."""


def test_power_off_of_one_of_three_and_back(three: Fleet) -> None:
    """Nine workloads: each kind on the host that dies, and some on the others."""
    scene = Scene(
        three,
        Part("never", "h1", PORT),
        Part("now", "h1", PORT + 1, failback="now"),
        pinned("stays", "h1"),
        Part("spread", "h1", scope="fleet", replicas=3),
        Part("every", "h1", scope="every-host"),
        Part("other", "h2", PORT + 2),
        pinned("still", "h3"),
    )
    with scene:
        assert sorted(scene.where("spread")) == ["h1", "h2", "h3"], "one replica each"
        began = time.monotonic()
        three.kill("h1")
        took = scene.until({"never": 1, "now": 1, "spread": 3, "stays": 0, "every": ["h2", "h3"]})
        three.wait_for(lambda: scene.watches["never"].serves(), TAKEN, "never answers")
        three.wait_for(lambda: scene.watches["now"].serves(), TAKEN, "now answers")
        gaps = {name: scene.gap(name) for name in ("never", "now")}
        print(f"power-off of 1 of 3: nobody served for {gaps}; all replicas after {took:.2f} s")
        assert max(gaps.values()) < TAKEN
        scene.kept(("h2", "h3"))
        for name in ("never", "now"):
            (taker,) = scene.where(name)
            for host in ("h2", "h3"):
                scene.told(host, name, "h1", "down", f"belongs on {taker}")
            scene.told(taker, name, "TakenOver", "h1 is down (nothing is heard of it by h2, h3)")
        scene.told("h2", "stays", "its home is h1, which is down", "mode is none")
        (never,), (now,) = scene.where("never"), scene.where("now")
        scene.remember()
        three.start("h1")
        wanted = {
            "never": [never],
            "now": ["h1"],
            "stays": ["h1"],
            "other": ["h2"],
            "still": ["h3"],
        }
        took = scene.back({**wanted, "spread": 3, "every": three.hosts})
        gaps = {name: scene.gap(name) for name in scene.watches}
        twice = scene.watches["now"].doubled(scene.since)
        print(f"and back: {took:.2f} s; nobody served for {gaps}; now ran twice for {twice:.2f} s")
        assert max(gaps.values()) < SEAMLESS
        scene.kept(("h2", "h3"), but=("now",))
        scene.told(now, "now", "h1, its home, runs it again")
        scene.told("h1", "never", f"runs on {never}", "failback = never")
        scene.told("h1", "now", "runs on its home", "the host was restarted under it")
        assert time.monotonic() - began < TAKEN + 2 * BACK


@thorough
def test_a_new_version_reaches_a_copy_that_is_elsewhere(three: Fleet) -> None:
    with Scene(three, Part("web", "h1", PORT), pinned("still", "h2")) as scene:
        three.kill("h1")
        scene.until({"web": 1})
        (taker,) = scene.where("web")
        three.start("h1")
        scene.back({"web": [taker]})
        scene.remember()
        began = time.monotonic()
        three.write_spec("h1", "web", Part("web", "h1", PORT, colour=1).text())
        three.wait_for(
            lambda: len(scene.watches["web"].pages(began).get(taker, [])) > 1, BACK, "the new one"
        )
        print(f"an update reached its copy elsewhere after {time.monotonic() - began:.2f} s")
        scene.stays({"web": [taker]})
        scene.told("h1", "web", f"runs on {taker}", "generation 2")
        scene.told(taker, "web", "h1 declares generation 2")
        scene.kept(three.hosts, but=("web",))


@thorough
def test_a_host_whose_link_is_cut(three: Fleet) -> None:
    """It keeps what it runs and takes over nothing; afterwards the home's copy is the one."""
    parts = Part("one", "h1", PORT), Part("two", "h2", PORT + 1), pinned("still", "h1")
    with Scene(three, *parts) as scene:
        three.cut("h1")
        took = scene.until({"one": 2})
        scene.stays({"two": ["h2"], "still": ["h1"]}, 4.0)
        assert braked(three, "h1")
        assert not braked(three, "h2")
        assert not braked(three, "h3")
        (taker,) = set(scene.where("one")) - {"h1"}
        scene.told(taker, "one", "TakenOver", "h1 is down")
        scene.told("h1", "two", "its home is h2", "nothing is taken over", "vanished at once")
        three.heal()
        back = scene.back({"one": ["h1"], "two": ["h2"], "still": ["h1"]})
        gaps = {name: scene.gap(name) for name in scene.watches}
        print(
            f"link cut: second copy after {took:.2f} s, one again {back:.2f} s after; gaps {gaps}"
        )
        assert max(gaps.values()) < SEAMLESS
        scene.kept(three.hosts)
        scene.told(taker, "one", "its home, runs it again")
        scene.events("h1", "CutOffOver")


@thorough
def test_who_is_heard_by_one_is_not_gone(three: Fleet) -> None:
    """h1 hears h2, h2 does not hear h1: one way is cut, and so no connection between them works."""
    parts = Part("one", "h1", PORT), Part("two", "h2", PORT + 1)
    with Scene(three, *parts) as scene:
        three.one_way("h1", "h2")
        three.wait_for(
            lambda: three.members("h2")["h1"]["state"] == "suspected", TAKEN, "h2 suspects h1"
        )
        scene.stays({"one": ["h1"], "two": ["h2"]}, 4.0)
        assert three.members("h3")["h1"]["state"] == "up"
        assert "still heard by h3" in three.members("h2")["h1"]["reason"]
        three.heal()
        took = scene.back({"one": ["h1"], "two": ["h2"]})
        gaps = {name: scene.gap(name) for name in scene.watches}
        print(f"one way cut: nothing moved; whole again after {took:.2f} s; gaps {gaps}")
        assert max(gaps.values()) < SEAMLESS
        scene.kept(three.hosts)


@thorough
def test_a_flapping_link(three: Fleet) -> None:
    """Five times a second without and a second with: as long as it is too short for a verdict
    nothing moves; cuts of three seconds may make a second copy, never none."""
    parts = Part("one", "h1", PORT), Part("two", "h2", PORT + 1)
    with Scene(three, *parts) as scene:
        three.flap("h1", 5, 1.0)
        scene.stays({"one": ["h1"], "two": ["h2"]})
        scene.kept(three.hosts)
        three.flap("h1", 4, 3.0)
        took = scene.back({"one": ["h1"], "two": ["h2"]})
        gaps = {name: scene.gap(name) for name in scene.watches}
        twice = scene.watches["one"].doubled()
        print(f"flapping: back after {took:.2f} s, twice for {twice:.2f} s, gaps {gaps}")
        assert max(gaps.values()) < SEAMLESS
        scene.kept(three.hosts)


@thorough
def test_one_packet_of_twenty_is_lost_on_busy_machines(three: Fleet) -> None:
    """For a minute, or NODEORCH_TEST_LOSS seconds: nobody is taken for lost, nothing moves."""
    parts = Part("one", "h1", PORT), Part("two", "h2", PORT + 1), Part("three", "h3", PORT + 2)
    busy = [subprocess.Popen(["sh", "-c", "while :; do :; done"]) for _ in range(2)]
    try:
        with Scene(three, *parts) as scene:
            three.loss(5)
            time.sleep(LOSS)
            three.heal()
            scene.kept(three.hosts)
            gaps = {name: scene.gap(name) for name in scene.watches}
            twice = {name: watch.doubled() for name, watch in scene.watches.items()}
            print(f"5 % loss for {LOSS:g} s: gaps {gaps}, twice {twice}")
            assert not any(twice.values())
            assert {name: scene.where(name) for name in scene.parts} == {
                "one": ["h1"], "two": ["h2"], "three": ["h3"],
            }  # fmt: skip
    finally:
        for process in busy:
            process.kill()
            process.wait()


@thorough
def test_a_third_of_all_packets_is_lost(three: Fleet) -> None:
    """Half a minute. A wrong suspicion may make a second copy; nothing that is healthy ends."""
    parts = Part("one", "h1", PORT), Part("two", "h2", PORT + 1), Part("three", "h3", PORT + 2)
    with Scene(three, *parts) as scene:
        three.loss(30)
        time.sleep(30.0)
        copies = {name: scene.where(name) for name in scene.parts}
        three.heal()
        took = scene.back({"one": ["h1"], "two": ["h2"], "three": ["h3"]}, 40.0)
        gaps = {name: scene.gap(name) for name in scene.watches}
        twice = {name: watch.doubled() for name, watch in scene.watches.items()}
        print(f"30 % loss: {copies}; back after {took:.2f} s; twice {twice}; gaps {gaps}")
        assert max(gaps.values()) < SEAMLESS
        scene.kept(three.hosts)


@thorough
def test_all_lose_power_and_are_back(three: Fleet) -> None:
    parts = Part("one", "h1", PORT), Part("two", "h2", PORT + 1), pinned("still", "h3")
    with Scene(three, *parts) as scene:
        together(*(lambda host=host: three.kill(host) for host in three.hosts))
        scene.until({"one": 0, "two": 0, "still": 0})
        together(*(lambda host=host: three.start(host) for host in three.hosts))
        began = time.monotonic()
        took = scene.back({"one": ["h1"], "two": ["h2"], "still": ["h3"]})
        gaps = {name: scene.gap(name) for name in scene.watches}
        print(f"all off and back: as declared {took:.2f} s after the last was on; gaps {gaps}")
        assert time.monotonic() - began < BACK
        scene.told("h1", "one", "HostRebooted")


@thorough
def test_a_copy_that_is_idle_for_a_minute_returns(three: Fleet) -> None:
    with Scene(three, Part("web", "h1", PORT, failback="idle")) as scene:
        three.kill("h1")
        scene.until({"web": 1})
        (taker,) = scene.where("web")
        three.start("h1")
        scene.back({"web": [taker]})
        scene.remember()
        scene.told("h1", "web", "it stays until it is idle there", "failback = idle")
        took = scene.until({"web": ["h1"]}, 100.0)
        print(f"failback = idle: at home {took:.1f} s later; gap {scene.gap('web'):.2f} s")
        assert scene.gap("web") < SEAMLESS
