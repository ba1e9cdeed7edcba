"""Metrics of several hosts; none of them has a sample while this one is alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from nodeorch.api.reading import Reading, Samples, Section, counter, gauge
from nodeorch.model.fleet import Fleet, Standing


def _of(get: Callable[[Fleet], float]) -> Callable[[Reading], Samples]:
    def read(reading: Reading) -> Samples:
        fleet = reading.world.fleet
        return [((), get(fleet))] if fleet.on else []

    return read


def _hosts(reading: Reading) -> Samples:
    """All states, zero included: an alert on "down" is quiet, not without data."""
    fleet = reading.world.fleet
    if not fleet.on:
        return []
    counts = Counter(host.standing for host in fleet.hosts.values())
    counts[Standing.UP] += 1  # this one
    return [((standing.value,), counts[standing]) for standing in Standing]


def _copies(reading: Reading) -> Samples:
    if not reading.world.fleet.on:
        return []
    states = reading.world.workloads.values()
    return [((), sum(1 for state in states if state.record.home and state.slots))]


def _elsewhere(reading: Reading) -> Samples:
    if not reading.world.fleet.on:
        return []
    return [((), sum(1 for view in reading.views if view.state == "elsewhere"))]


FLEET = Section(
    "The fleet",
    (
        gauge(
            "fleet_hosts", ("state",),
            "Hosts of the fleet as this one sees them, itself included.", _hosts,
        ),
        gauge(
            "fleet_cut_off", (),
            "1 while most hosts vanished at once: this one takes nothing over.",
            _of(lambda fleet: int(fleet.brake is not None)),
        ),
        gauge(
            "fleet_serf_up", (), "1 while the Serf agent of this host answers.",
            _of(lambda fleet: int(not fleet.serf_trouble)),
        ),
        gauge(
            "fleet_name_taken", (), "1 while another host uses the name of this one.",
            _of(lambda fleet: int(bool(fleet.name_taken))),
        ),
        counter(
            "fleet_suspicions_wrong", (),
            "Hosts that counted as down and were heard again without having restarted.",
            _of(lambda fleet: fleet.wrong_suspicions),
        ),
        counter(
            "fleet_takeovers", (), "Workloads that this host took over.",
            _of(lambda fleet: fleet.takeovers),
        ),
        gauge(
            "fleet_views", (), "Other hosts of which it is known what they declare.",
            _of(lambda fleet: len(fleet.views)),
        ),
        gauge("fleet_copies", (), "Workloads that run here for another host.", _copies),
        gauge("fleet_elsewhere", (), "Workloads of this host that run on others.", _elsewhere),
    ),
)  # fmt: skip
