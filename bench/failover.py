"""Power-off of a host → what it ran answers from another one; and what being in a fleet costs.

Real hosts of packaging/lab, three and five, on this machine. In the same trials: when Serf alone
says that the host failed, which is what a tool that only listens to Serf could act on at best.
"""

from __future__ import annotations

import contextlib
import signal
import statistics
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from bench.process import calm, cpu_share, memory
from bench.table import Row, compared, spread
from tests.hosts.fleet import Fleet
from tests.hosts.watch import Watch, serving

TRIALS, TRIALS_SERF = 12, 6
PORT = 18080
SETTLE = 20.0
"""Seconds after which an idle fleet is looked at."""
IDLE = 60.0
"""Seconds for which its processor time is measured."""
RETURNS = '[failover]\nmode = "available"\nfailback = "now"\n'
MEDIAN, GREATEST, GREATEST_SERF = 4.0, 6.0, 8.0
MORE_MIB, MORE_PERCENT = 5.0, 0.5

SERF_SAYS = (
    "key=$(cat /etc/nodeorch/cluster/rpc.key); "
    'until serf members -rpc-auth="$key" -status failed -name h1 | grep -q failed; '
    "do sleep 0.05; done"
)


def measure() -> list[Row]:
    with _fleet(3) as fleet:
        fleet.write_spec("h1", "web", serving("web", PORT, RETURNS))
        ours, serf = _trials(fleet, TRIALS)
        _witness(fleet, "links = false")
        alone, _ = _trials(fleet, TRIALS_SERF)
    what = "power-off → it answers from another host"
    return [
        compared(f"{what}, median of {TRIALS}", *_medians(ours, serf), "Serf says failed", "s"),
        _bar(f"{what}, median", statistics.median(ours), MEDIAN),
        _bar(f"{what}, greatest", max(ours), GREATEST),
        _bar(
            f"{what}, Serf the only witness, greatest of {TRIALS_SERF}", max(alone), GREATEST_SERF
        ),
        *_cost(),
    ]


def _medians(ours: list[float], serf: list[float]) -> tuple[float, float]:
    return statistics.median(ours), statistics.median(serf)


def _bar(what: str, seconds: float, most: float) -> Row:
    return Row(what, f"{seconds:.2f} s", bar=f"≤ {most:g} s", met=seconds <= most)


@contextmanager
def _fleet(count: int) -> Iterator[Fleet]:
    fleet = Fleet(count)
    try:
        yield fleet.up()
    finally:
        fleet.close()


def _trials(fleet: Fleet, count: int) -> tuple[list[float], list[float]]:
    """Seconds until it answers elsewhere, and until Serf says that the host failed."""
    ours, serf = [], []
    for _ in range(count):
        fleet.wait_for(fleet.whole, 60, "all hosts see each other")
        fleet.wait_for(lambda: _home_alone(fleet), 60, "it runs at home")
        calm(20)
        taken, said = _trial(fleet)
        ours.append(taken)
        serf.append(said)
        print(
            f"power-off: answers after {taken:.2f} s, Serf says failed after {said:.2f} s",
            flush=True,
        )
        fleet.start("h1")
    print(spread("it answers from another host", ours))
    print(spread("Serf says failed", serf))
    return ours, serf


def _home_alone(fleet: Fleet) -> bool:
    return [host for host in fleet.hosts if fleet.firsts(host)] == ["h1"]


def _trial(fleet: Fleet) -> tuple[float, float]:
    said: list[float] = []
    asking = threading.Thread(target=_when_serf_says, args=(fleet, said), daemon=True)
    asking.start()
    with Watch(fleet, PORT, ("h2", "h3")) as watch:
        begun = time.monotonic()
        fleet.kill("h1")
        fleet.wait_for(watch.answers, 60, "it answers from another host")
        answered = watch.answers()[0].at
    asking.join(60)
    return answered - begun, said[0] - begun


def _when_serf_says(fleet: Fleet, said: list[float]) -> None:
    fleet.shell("h2", "sh", "-c", SERF_SAYS, timeout=60)
    said.append(time.monotonic())


def _witness(fleet: Fleet, line: str) -> None:
    for host in fleet.hosts:
        file = fleet.disk(host) / "etc/nodeorch/nodeorch.d/60-bench.toml"
        file.write_text(f"[cluster]\n{line}\n")
        _restart(fleet, host)


def _restart(fleet: Fleet, host: str) -> None:
    former = fleet.pid(host, "nodeorchd")
    fleet.signal(host, "nodeorchd", signal.SIGTERM)

    def again() -> bool:
        with contextlib.suppress(AssertionError):
            return fleet.pid(host, "nodeorchd") != former
        return False

    fleet.wait_for(again, 20, f"another daemon runs on {host}")


def _cost() -> list[Row]:
    """The daemon of a host that is alone, and of one of five; nothing is declared on either."""
    with _fleet(5) as fleet:
        in_fleet, cpu = _idle(fleet, lambda: fleet.wait_for(fleet.whole, 60, "whole"))
        serf, serf_cpu = _idle(fleet, lambda: None, "serf")
        for host in fleet.hosts:
            (fleet.disk(host) / "etc/nodeorch/nodeorch.d/50-cluster.toml").unlink()
            _restart(fleet, host)
        alone, alone_cpu = _idle(fleet, lambda: time.sleep(3))
    more, more_cpu = in_fleet - alone, cpu - alone_cpu
    what = "the daemon in a fleet of 5, idle, beside one that is alone"
    return [
        Row(
            f"{what}: memory",
            f"+{more:.1f} MiB PSS",
            f"{serf:.1f} MiB (Serf's agent)",
            bar=f"≤ +{MORE_MIB:g} MiB",
            met=more <= MORE_MIB,
        ),
        Row(
            f"{what}: CPU",
            f"+{more_cpu:.2f} % of a core",
            f"{serf_cpu:.2f} % (Serf's agent)",
            bar=f"≤ +{MORE_PERCENT:g} %",
            met=more_cpu <= MORE_PERCENT,
        ),
    ]


def _idle(
    fleet: Fleet, ready: Callable[[], None], service: str = "nodeorchd"
) -> tuple[float, float]:
    """(MiB, percent of a core) of a service, the mean over all hosts."""
    ready()
    time.sleep(SETTLE)
    pids = [fleet.pid(host, service) for host in fleet.hosts]
    sizes = [memory(pid)[0] for pid in pids]
    shares = cpu_share(pids, IDLE)
    return statistics.mean(sizes), statistics.mean(shares) * 100
