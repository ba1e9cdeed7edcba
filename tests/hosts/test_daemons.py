"""nodeorchd and Serf killed and frozen, and a wrong clock: nothing that runs is touched."""

from __future__ import annotations

import contextlib
import os
import signal
import textwrap
import time

import pytest

from tests.hosts.fleet import Fleet
from tests.hosts.scene import BACK, SEAMLESS, TAKEN, Part, Scene, pinned, thorough

PORT = 18330
FROZEN = float(os.environ.get("NODEORCH_TEST_FROZEN", "5"))
"""Seconds; links tell that a daemon hangs after 1.5."""
DETECTED = 14.0
"""Seconds in which Serf calls a frozen agent failed: 5 to 9 of its own, and what the load adds."""

WALL = """\
    #!{python}
    import sys, time
    real = time.time
    time.time = lambda: real() + {ahead}
    from nodeorch.daemon.main import main
    main()
    """
"""nodeorchd under a wall clock that is wrong. The machine's is not ours to set; what OpenSSL thinks
of certificates is not part of this."""


def company() -> tuple[Part, ...]:
    return (
        Part("one", "h1", PORT),
        Part("two", "h2", PORT + 1),
        Part("three", "h3", PORT + 2),
        pinned("still", "h2"),
        Part("spread", "h1", scope="fleet", replicas=3),
    )


HOME: dict[str, int | list[str]] = {
    "one": ["h1"],
    "two": ["h2"],
    "three": ["h3"],
    "still": ["h2"],
    "spread": 3,
}


def untouched(scene: Scene) -> dict[str, float]:
    """Nothing moved and nothing restarted; the longest gaps."""
    gaps = {name: scene.gap(name) for name in scene.watches}
    assert max(gaps.values()) < SEAMLESS
    scene.kept(scene.fleet.hosts)
    return gaps


def another(fleet: Fleet, host: str, service: str) -> None:
    """Killed, and started anew by what keeps it."""
    old = fleet.pid(host, service)
    fleet.signal(host, service, signal.SIGKILL)

    def anew() -> bool:
        with contextlib.suppress(AssertionError):
            return fleet.pid(host, service) != old
        return False

    fleet.wait_for(anew, BACK, f"another {service} on {host}")


def test_daemons_and_agents_are_killed_and_frozen(three: Fleet) -> None:
    with Scene(three, *company()) as scene:
        for service in ("nodeorchd", "serf"):
            another(three, "h2", service)
            took = scene.back(HOME)
            print(f"{service} killed: whole again after {took:.2f} s; gaps {untouched(scene)}")
        _frozen_daemon(three, scene, FROZEN)
        _frozen_serf(three, scene)


def _frozen_daemon(three: Fleet, scene: Scene, seconds: float) -> None:
    began = time.monotonic()
    three.signal("h2", "nodeorchd", signal.SIGSTOP)
    three.wait_for(
        lambda: three.members("h1")["h2"]["state"] == "unsupervised", TAKEN, "h1 sees that it hangs"
    )
    seen = time.monotonic() - began
    scene.told("h1", "two", "h2, which is unsupervised", "runs on h2")
    scene.stays(HOME, began + seconds - time.monotonic())
    three.signal("h2", "nodeorchd", signal.SIGCONT)
    took = scene.back(HOME)
    print(
        f"nodeorchd frozen for {seconds:g} s: unsupervised after {seen:.2f} s, "
        f"whole {took:.2f} s after it goes on; gaps {untouched(scene)}"
    )


def _frozen_serf(three: Fleet, scene: Scene) -> None:
    """Its own daemon tells that it does not answer; what the links hear counts for the others."""
    began = time.monotonic()
    three.signal("h2", "serf", signal.SIGSTOP)
    three.wait_for(
        lambda: "Serf does not answer" in three.shell("h2", "nodeorch", "members"), TAKEN, "told"
    )
    told = time.monotonic() - began
    three.wait_for(
        lambda: "failed" in three.shell("h1", *AGENT, "members", "-name", "h2"),
        DETECTED,
        "Serf of h1 calls the one of h2 failed",
    )
    failed = time.monotonic() - began
    scene.stays(HOME, 2.0)
    assert three.members("h1")["h2"]["state"] == "up"
    three.signal("h2", "serf", signal.SIGCONT)
    took = scene.back(HOME)
    three.wait_for(
        lambda: "Serf does not answer" not in three.shell("h2", "nodeorch", "members"), BACK, "over"
    )
    scene.events("h2", "SerfUp")
    print(
        f"Serf frozen: told after {told:.2f} s, failed by Serf after {failed:.2f} s, "
        f"whole {took:.2f} s after it goes on; gaps {untouched(scene)}"
    )


AGENT = (
    "sh",
    "-c",
    'exec serf "$@" -rpc-auth="$(cat /etc/nodeorch/cluster/rpc.key)"',
    "serf",
)


@thorough
def test_a_daemon_is_frozen_for_a_minute(three: Fleet) -> None:
    with Scene(three, *company()) as scene:
        _frozen_daemon(three, scene, 60.0)


@thorough
@pytest.mark.parametrize("ahead", [3600.0, -3600.0])
def test_a_clock_that_is_an_hour_wrong(three: Fleet, ahead: float) -> None:
    """Nothing moves because of it, and what has to move still does, in the same time."""
    with Scene(three, *company()) as scene:
        _wrong_clock(three, "h2", ahead)
        took = scene.back(HOME)
        gaps = untouched(scene)
        began = time.monotonic()
        three.kill("h1")
        scene.until({"one": 1})
        three.wait_for(scene.watches["one"].serves, TAKEN, "one answers")
        gone = scene.gap("one", began)
        three.start("h1")
        scene.remember()
        scene.back({**HOME, "one": 1})
        scene.kept(("h2", "h3"))
        print(f"clock {ahead:+g} s: whole {took:.2f} s, gaps {gaps}; a failover took {gone:.2f} s")
        assert gone < TAKEN
        # Wins who was told last, not who has the later clock.
        three.write_spec("h2", "two", Part("two", "h2", PORT + 1, colour=1).text())
        three.wait_for(
            lambda: len(scene.watches["two"].pages(began).get("h2", [])) > 1, BACK, "a new version"
        )
        three.signal("h2", "nodeorchd", signal.SIGKILL)
        three.shell("h2", "umount", "/usr/local/bin/nodeorchd")


def _wrong_clock(fleet: Fleet, host: str, ahead: float) -> None:
    """In force when its daemon is started anew, which this does."""
    python = fleet.shell(host, "head", "-1", "/usr/local/bin/nodeorchd").strip().removeprefix("#!")
    script = textwrap.dedent(WALL).format(python=python, ahead=ahead)
    fleet.shell(
        host, "sh", "-c", "cat > /run/wrong-clock; chmod 0755 /run/wrong-clock", stdin=script
    )
    fleet.shell(host, "mount", "--bind", "/run/wrong-clock", "/usr/local/bin/nodeorchd")
    another(fleet, host, "nodeorchd")
    fleet.wait_for(lambda: fleet.client(host).get("/v1/node"), BACK, "the new daemon answers")
    real = time.time()
    said = fleet.shell(host, "nodeorch", "events", "--json")
    print(f"{host} says at {real:.0f}: {said.splitlines()[-1][:120]}")
