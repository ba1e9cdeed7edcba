"""A fleet of hand: what the deciders make of three hosts, of which h3 is down.

web      ours, may fail over, runs on h2
db       ours, stays
spread   ours, three replicas: one here, one on h2, one without a place
cache    h3's, runs here
afar     h3's, runs on h2, in a zone that is not here
pinned   h2's, stays there
lost     h2's, of a former database of it
"""

from __future__ import annotations

from msgspec.structs import replace

from nodeorch.model.fleet import (
    Claim,
    Declared,
    Fleet,
    FleetRecord,
    Hearing,
    Host,
    HostRecord,
    MemberStatus,
    Report,
    Running,
    Seat,
    Standing,
    View,
)
from nodeorch.model.placing import Failover, FailoverMode, Placement, Scope
from nodeorch.model.workload import Main, Resources, Workload
from nodeorch.model.world import Code, Why, World
from tests.api.harness import Harness, spec
from tests.api.nought import WALL

BEGAN = WALL + 940.0
"""When h2 began to run web: a minute before the stand-in's clock."""

GIB = 1 << 30


AFAR = Placement(constraints={"zone": ("a", "b")})


def workload(
    name: str,
    mode: FailoverMode = FailoverMode.AVAILABLE,
    scope: Scope = Scope.HOST,
    replicas: int = 1,
) -> Workload:
    return Workload(
        main=Main(name=name, image="localhost/web:1", scope=scope, replicas=replicas),
        resources=Resources(memory=64 << 20),
        failover=Failover(mode=mode),
        placement=AFAR if name == "afar" else Placement(),
    )


def declared(name: str, term: int = 1, mode: FailoverMode = FailoverMode.AVAILABLE) -> Declared:
    return Declared(workload=workload(name, mode), digest="d", generation=1, term=term)


def running(home: str, ready: tuple[int, ...] = (0,), **more: object) -> Running:
    given: dict[str, object] = {"slots": (0,), "wall": BEGAN, **more}
    return Running(home=home, term=1, digest="d", ready=ready, **given)  # type: ignore[arg-type]


def h2(**runs: Running) -> Host:
    report = Report(
        host="h2",
        version="0.9",
        labels={"zone": "a"},
        memory=4 * GIB,
        requested=1 * GIB,
        workloads=3,
        running=runs,
    )
    return Host(
        name="h2",
        address="10.0.0.2",
        serf=MemberStatus.ALIVE,
        hearing=Hearing.HEARD,
        told=True,
        report=report,
        standing=Standing.UP,
        since=700.0,
    )


H3 = Host(
    name="h3",
    address="10.0.0.3",
    serf=MemberStatus.FAILED,
    hearing=Hearing.SILENT,
    report=Report(host="h3", version="0.8", memory=2 * GIB, workloads=2, running={
        "cache": running("h3"), "afar": running("h3"),
    }),
    standing=Standing.DOWN,
    since=938.0,
    lost_at=939.0,
    words="h1 and h2 hear nothing of it",
)  # fmt: skip

WAS_DOWN = Why(Code.PLACED, "h1 was down")
SPREAD = Why(Code.PLACED, "one on each host")
LOST = Why(Code.PLACED, "h3 is down")


def fleet() -> Fleet:
    """As h1 sees it."""
    spread = Declared(
        workload("spread", FailoverMode.NONE, Scope.FLEET, 3), digest="d", generation=1
    )
    return Fleet(
        me="h1",
        address="10.0.0.1",
        version="1.2.3",
        started=500.0,
        record=FleetRecord(hosts={"h3": HostRecord("10.0.0.3", 7444, heard_wall=WALL + 936.0)}),
        hosts={
            "h2": h2(
                web=running("h1"),
                afar=running("h3"),
                spread=running("h1", (1,), slots=(1,)),
            ),
            "h3": H3,
        },
        views={
            "h2": View(
                "h2",
                "l2",
                declared={"pinned": declared("pinned", mode=FailoverMode.NONE)},
                orphans={"lost": declared("lost")},
            ),
            "h3": View("h3", "l3", declared={"cache": declared("cache"), "afar": declared("afar")}),
        },
        view=View("h1", "l1", declared={"web": declared("web"), "spread": spread}),
        claims={
            "web": Claim("h1", declared("web")),
            "spread": Claim("h1", spread),
            "cache": Claim("h3", declared("cache")),
            "afar": Claim("h3", declared("afar", term=2)),
        },
        seats={
            "web": Seat((), WAS_DOWN, ("h2",)),
            "spread": Seat((0,), SPREAD, ("h1", "h2", "")),
            "cache": Seat((0,), LOST, ("h1",)),
            "afar": Seat((), LOST, ("h2",)),
        },
        wrong_suspicions=2,
        takeovers=5,
    )  # fmt: skip


def in_fleet(world: World) -> World:
    """A world in which web, db, spread and cache are declared, as one of the fleet."""
    workloads = dict(world.workloads)
    for name, changes in {
        "web": {"slots": ()},
        "spread": {"slots": (0,)},
        "cache": {"slots": (0,), "home": "h3", "held_wall": WALL + 950.0},
    }.items():
        state = workloads[name]
        target = replace(state.record.target, workload=_moved(state.workload))
        record = replace(state.record, target=target, **changes)
        kept = {k: i for k, i in state.instances.items() if i.record.slot in record.slots}
        workloads[name] = replace(state, record=record, instances=kept)
    return replace(world, workloads=workloads, fleet=fleet())


def _moved(workload: Workload) -> Workload:
    if workload.name == "spread":
        return replace(workload, main=replace(workload.main, scope=Scope.FLEET))
    return replace(workload, failover=Failover(mode=FailoverMode.AVAILABLE))


def furnish(harness: Harness) -> None:
    harness.declare(spec("web"), spec("db"), spec("cache"), spec("spread", "replicas = 3"))
    (harness.directory / "cache.toml").unlink()
    standin = harness.standin
    harness.do(lambda: standin.put(in_fleet(standin.world)))
    harness.do(lambda: standin.keys_of.update({"a2V5": 2}))


def change(harness: Harness, **parts: object) -> None:
    """Other parts of the fleet."""

    def put() -> None:
        world = harness.standin.world
        harness.standin.put(replace(world, fleet=replace(world.fleet, **parts)))

    harness.do(put)
