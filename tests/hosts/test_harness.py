"""What the system tests of several hosts stand on sees what happens, and tells it rightly."""

from __future__ import annotations

import time

from tests.hosts.fleet import Fleet
from tests.hosts.watch import Watch, serving
from tests.lab.wait import wait_for

PORT = 18200


def test_a_watch_tells_gaps_restarts_and_copies(three: Fleet) -> None:
    three.write_spec("h1", "pinned", serving("pinned", PORT))
    with Watch(three, PORT) as watch:
        wait_for(watch.answers, 20, "it answers")
        begun = time.monotonic()
        time.sleep(0.5)
        assert set(watch.serves()) == {"h1"}
        assert watch.gap(begun) < 0.4
        three.cut("h1")
        assert set(watch.serves()) == {"h1"}, "no cut comes between a watch and a host"
        three.heal()
        three.freeze("h1")
        time.sleep(1.0)
        assert watch.serves() == {}
        three.start("h1")
        wait_for(watch.serves, 10, "it answers again")
        assert watch.gap(begun) > 0.9
        assert len(watch.pages()["h1"]) == 1, "it went on"
        before = three.firsts("h1")
        first = next(iter(before.values()))
        three.shell("h1", "podman", "kill", first.container)
        wait_for(lambda: len(watch.pages()["h1"]) == 2, 20, "it was started anew")
        assert three.firsts("h1") != before
        assert watch.doubled() == 0.0
        three.write_spec("h2", "other", serving("other", PORT))
        wait_for(lambda: set(watch.serves()) == {"h1", "h2"}, 20, "two hosts answer")
        time.sleep(0.5)
        assert watch.doubled() > 0.3


def test_what_a_host_loses_runs_elsewhere(three: Fleet) -> None:
    more = '[failover]\nmode = "available"\n'
    three.write_spec("h1", "moves", serving("moves", PORT, more))
    with Watch(three, PORT) as watch:
        wait_for(watch.answers, 20, "it answers")
        three.wait_for(lambda: all("moves" in three.homes(h) for h in ("h2", "h3")), 20, "mirrored")
        began = time.monotonic()
        three.kill("h1")
        wait_for(lambda: set(watch.serves()) & {"h2", "h3"}, 20, "another host took over")
        print(f"no copy for {watch.gap(began):.2f} s after a power-off")
