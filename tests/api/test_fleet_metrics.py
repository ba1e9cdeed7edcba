"""What the metrics say of several hosts."""

from __future__ import annotations

from nodeorch.model.fleet import Standing
from nodeorch.model.world import Code, Why
from tests.api import fleets
from tests.api.harness import WEB, Harness
from tests.api.test_metrics import scrape, value


def test_a_host_that_is_alone_tells_nothing_of_a_fleet(harness: Harness) -> None:
    harness.declare(WEB)
    assert not [name for name, _ in scrape(harness) if name.startswith("nodeorch_fleet_")]


def test_a_fleet_is_told_as_this_host_sees_it(harness: Harness) -> None:
    fleets.furnish(harness)
    found = scrape(harness)
    hosts = {state.value: value(found, "nodeorch_fleet_hosts", state=state) for state in Standing}
    assert hosts == {
        "up": 2, "down": 1, "unsupervised": 0, "suspected": 0, "left": 0, "unknown": 0,
    }  # fmt: skip
    told = {
        name.removeprefix("nodeorch_fleet_"): count
        for (name, labels), count in found.items()
        if name.startswith("nodeorch_fleet_") and not labels
    }
    assert told == {
        "cut_off": 0, "serf_up": 1, "name_taken": 0, "suspicions_wrong_total": 2,
        "takeovers_total": 5, "views": 2, "copies": 1, "elsewhere": 1,
    }  # fmt: skip
    brake = Why(Code.CUT_OFF, "most hosts vanished at once")
    fleets.change(harness, brake=brake, serf_trouble="no answer", name_taken="10.0.0.9")
    found = scrape(harness)
    assert value(found, "nodeorch_fleet_cut_off") == 1
    assert value(found, "nodeorch_fleet_serf_up") == 0
    assert value(found, "nodeorch_fleet_name_taken") == 1
