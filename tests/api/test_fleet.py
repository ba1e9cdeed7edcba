"""GET members, homes; POST take, leave, keys; and what the rest of the API says of a fleet."""

from __future__ import annotations

import os
from typing import Any

import pytest
from msgspec.structs import replace

from nodeorch.client.unix import ApiError, Client
from nodeorch.fleetports import MembersError, PeerError
from nodeorch.model.fleet import Grave, Hearing, Standing
from nodeorch.model.world import Code, Why
from nodeorch.ports import CommandRefused
from tests.api import fleets
from tests.api.harness import WEB, Harness, spec


def status(client: Client, name: str) -> dict[str, Any]:
    [view] = client.get("/v1/status", {"name": name})
    found: dict[str, Any] = view
    return found


def home(client: Client, name: str) -> dict[str, Any]:
    [view] = [view for view in client.get("/v1/homes") if view["name"] == name]
    found: dict[str, Any] = view
    return found


def refused(client: Client, path: str, body: Any = None) -> tuple[int, str]:
    with pytest.raises(ApiError) as raised:
        client.post(path, body)
    return raised.value.status, str(raised.value)


# members ----------------------------------------------------------------------------------


def test_a_host_that_is_alone_has_no_members_and_no_homes(harness: Harness, client: Client) -> None:
    harness.declare(WEB)
    assert client.get("/v1/members") == []
    assert client.get("/v1/homes") == []
    node = client.get("/v1/node")
    assert (node["fleet"], node["fleet_warnings"]) == ("", [])
    assert (status(client, "web")["hosts"], status(client, "web")["home"]) == ([], "")


def test_members_are_all_hosts_as_this_one_sees_them(harness: Harness, client: Client) -> None:
    fleets.furnish(harness)
    me, up, down = client.get("/v1/members")
    assert [(v["name"], v["me"], v["state"]) for v in (me, up, down)] == [
        ("h1", True, "up"), ("h2", False, "up"), ("h3", False, "down"),
    ]  # fmt: skip
    assert (me["version"], me["address"], me["workloads"]) == ("1.2.3", "10.0.0.1", 4)
    assert me["memory_total"] == 8 << 30
    assert me["memory_free"] == (8 << 30) - (3 * 64 << 20)
    assert (up["memory_total"], up["memory_free"]) == (4 << 30, 3 << 30)
    assert (up["version"], up["workloads"], up["labels"]) == ("0.9", 3, {"zone": "a"})
    assert (up["heard"], up["lost"], up["role"]) == (True, False, "member")
    assert up["since"] == "2023-11-14T22:25:00.000Z"
    assert (down["heard"], down["lost"]) == (False, True)
    assert (down["memory_total"], down["memory_free"]) == (2 << 30, None)
    assert down["seen_at"] == "2023-11-14T22:28:56.000Z"
    assert down["reason"] == "h1 and h2 hear nothing of it"


def test_a_host_that_never_told_anything_is_listed_too(harness: Harness, client: Client) -> None:
    fleets.furnish(harness)
    stranger = replace(
        fleets.H3, report=None, hearing=Hearing.NEVER, standing=Standing.UNKNOWN, since=0.0,
        tags={"version": "0.7"}, lost_at=None,
    )  # fmt: skip
    fleets.change(harness, hosts={"h9": replace(stranger, name="h9")})
    _, view = client.get("/v1/members")
    assert (view["name"], view["state"], view["version"]) == ("h9", "unknown", "0.7")
    assert (view["seen_at"], view["since"], view["memory_total"]) == (None, None, None)
    assert view["workloads"] is None


def test_the_troubles_of_the_fleet_are_told(harness: Harness, client: Client) -> None:
    fleets.furnish(harness)
    brake = Why(Code.CUT_OFF, "3 of 4 hosts vanished at once")
    fleets.change(harness, brake=brake, serf_trouble="connection refused", name_taken="10.0.0.9")
    taken, cut_off, serf = client.get("/v1/node")["fleet_warnings"]
    assert "10.0.0.9" in taken and "h1" in taken
    assert cut_off == "nothing is taken over: 3 of 4 hosts vanished at once"
    assert serf == "Serf does not answer: connection refused"


# where workloads are ----------------------------------------------------------------------


def test_what_is_ours_and_runs_elsewhere(harness: Harness, client: Client) -> None:
    fleets.furnish(harness)
    view = status(client, "web")
    assert (view["state"], view["home"], view["hosts"]) == ("elsewhere", "", ["h2"])
    assert (view["ready"], view["desired"], view["instances"]) == (1, 1, [])
    assert view["reason"] == "runs on h2 since 2023-11-14 22:29:00 UTC: h1 was down"
    waited = client.get("/v1/workloads/web/wait", {"timeout": 0})
    assert waited == [view]


def test_what_runs_elsewhere_badly_says_so(harness: Harness, client: Client) -> None:
    fleets.furnish(harness)
    held = fleets.running("h1", (), trouble="cannot get image web:1")
    hosts = {**fleets.fleet().hosts, "h2": fleets.h2(web=held)}
    fleets.change(harness, hosts=hosts)
    view = status(client, "web")
    assert (view["state"], view["ready"], view["desired"]) == ("elsewhere", 0, 1)
    assert view["reason"].endswith("; on h2: cannot get image web:1")
    with pytest.raises(ApiError, match="is not ready"):
        client.get("/v1/workloads/web/wait", {"timeout": 0})


def test_what_a_lost_host_said_last_does_not_run(harness: Harness, client: Client) -> None:
    fleets.furnish(harness)
    hosts = fleets.fleet().hosts
    fleets.change(harness, hosts={**hosts, "h2": replace(hosts["h2"], lost_at=990.0)})
    view = status(client, "web")
    assert (view["state"], view["hosts"], view["ready"]) == ("elsewhere", [], 0)
    assert view["reason"] == "belongs on h2: h1 was down"


def test_what_finds_no_place_waits(harness: Harness, client: Client) -> None:
    fleets.furnish(harness)
    seats = fleets.fleet().seats
    nowhere = replace(seats["web"], hosts=("",), why=Why(Code.NO_PLACE, "no host has zone c"))
    fleets.change(harness, seats={**seats, "web": nowhere}, hosts={"h3": fleets.H3})
    view = status(client, "web")
    assert (view["state"], view["reason"]) == ("pending", "finds no place: no host has zone c")


def test_what_is_not_decided_yet_waits(harness: Harness, client: Client) -> None:
    fleets.furnish(harness)
    seats = fleets.fleet().seats
    undecided = replace(seats["web"], wait=True, why=Why(Code.PLACED, "not all have been heard"))
    fleets.change(harness, seats={**seats, "web": undecided}, hosts={"h3": fleets.H3})
    view = status(client, "web")
    words = "its place is not decided yet: not all have been heard"
    assert (view["state"], view["reason"]) == ("pending", words)


def test_a_stopped_one_stays_stopped_wherever_it_belongs(harness: Harness, client: Client) -> None:
    fleets.furnish(harness)

    def stop() -> None:
        world = harness.standin.world
        web = world.workloads["web"]
        web = replace(web, record=replace(web.record, stopped=True))
        harness.standin.put(replace(world, workloads={**world.workloads, "web": web}))

    harness.do(stop)
    assert (status(client, "web")["state"], status(client, "web")["desired"]) == ("stopped", 0)


def test_a_copy_says_for_whom_it_runs(harness: Harness, client: Client) -> None:
    fleets.furnish(harness)
    view = status(client, "cache")
    assert (view["state"], view["home"], view["hosts"]) == ("running", "h3", ["h1"])
    assert view["reason"] == "runs here for h3, which is down since 2023-11-14 22:28:58 UTC"
    hosts = fleets.fleet().hosts
    fleets.change(harness, hosts={**hosts, "h3": replace(hosts["h2"], name="h3")})
    assert status(client, "cache")["reason"] == "runs here for h3: h3 is down"


def test_replicas_on_several_hosts_are_counted_together(harness: Harness, client: Client) -> None:
    fleets.furnish(harness)
    view = status(client, "spread")
    assert (view["ready"], view["desired"], view["hosts"]) == (2, 3, ["h1", "h2"])
    assert (view["state"], view["reason"]) == ("degraded", "1 of 3 replicas find no place")
    hosts = fleets.fleet().hosts
    more = fleets.h2(spread=fleets.running("h1", (1, 2), slots=(1, 2)))
    fleets.change(harness, hosts={**hosts, "h2": more})
    assert (status(client, "spread")["state"], status(client, "spread")["ready"]) == ("running", 3)
    fewer = fleets.h2(spread=fleets.running("h1", (1,), slots=(1, 2), trouble="it crashes"))
    fleets.change(harness, hosts={**hosts, "h2": fewer})
    reason = "not all that runs on h2 is ready; on h2: it crashes"
    assert status(client, "spread")["reason"] == reason


def test_homes_are_what_may_move_and_what_others_declare(harness: Harness, client: Client) -> None:
    fleets.furnish(harness)
    views = client.get("/v1/homes")
    assert [(v["name"], v["home"], v["hosts"], v["ready"]) for v in views] == [
        ("afar", "h3", ["h2"], 1),
        ("cache", "h3", ["h1"], 1),
        ("lost", "h2", [], 0),
        ("pinned", "h2", ["h2"], None),
        ("spread", "h1", ["h1", "h2"], 2),
        ("web", "h1", ["h2"], 1),
    ]
    afar = views[0]
    assert (afar["home_state"], afar["term"], afar["failover"]) == ("down", 2, "available")
    assert (afar["reason"], afar["orphaned"], afar["conflicts"]) == ("h3 is down", False, [])
    assert [v["name"] for v in views if v["orphaned"]] == ["lost"]
    assert [v["name"] for v in views if not v["movable"]] == ["pinned"]


def test_homes_of_a_host_that_has_left_are_orphaned(harness: Harness, client: Client) -> None:
    fleets.furnish(harness)
    record = replace(fleets.fleet().record, departed={"h3": Grave(1, "h1")})
    fleets.change(harness, record=record, hosts={"h2": fleets.h2()})
    view = home(client, "afar")
    assert (view["home_state"], view["orphaned"], view["hosts"]) == ("left", True, [])
    assert status(client, "cache")["reason"] == (
        "runs here for h3, which is no host of the fleet any more"
    )


def test_what_two_hosts_run_or_declare_is_told(harness: Harness, client: Client) -> None:
    fleets.furnish(harness)
    hosts, claims = fleets.fleet().hosts, fleets.fleet().claims
    twice = fleets.h2(cache=fleets.running("h3"))
    fleets.change(
        harness,
        hosts={**hosts, "h2": twice},
        claims={**claims, "afar": replace(claims["afar"], home="h2")},
    )
    assert home(client, "cache")["conflicts"] == ["h1 and h2 both run replica 0"]
    counts, former = (v for v in client.get("/v1/homes") if v["name"] == "afar")
    assert (counts["home"], counts["conflicts"]) == ("h2", [])
    assert former["home"] == "h3"
    assert former["conflicts"] == ["h2 declares afar, too, with term 2: that one counts"]


# why and plan -----------------------------------------------------------------------------


def test_why_tells_the_placement(harness: Harness, client: Client) -> None:
    fleets.furnish(harness)
    now = client.get("/v1/workloads/web/why")["now"]
    assert now[:2] == ["belongs on h2: h1 was down", "cannot run on h3: it is down"]
    now = client.get("/v1/workloads/spread/why")["now"]
    assert now[:2] == [
        "belongs on h1 and h2: one on each host", "1 of 3 replicas find no place",
    ]  # fmt: skip


def test_why_of_what_is_not_here(harness: Harness, client: Client) -> None:
    fleets.furnish(harness)
    harness.do(lambda: harness.standin.say("given back to h3", "afar"))
    view = client.get("/v1/workloads/afar/why")
    assert (view["workload"], view["home"]) == (None, "h3")
    assert view["now"] == [
        "its home is h3, which is down since 2023-11-14 22:28:58 UTC",
        "runs on h2 since 2023-11-14 22:29:00 UTC: h3 is down",
        "belongs on h2: h3 is down",
        "cannot run on h1: label zone is b, not a",
    ]
    assert [event["words"] for event in view["events"]] == ["given back to h3"]
    now = client.get("/v1/workloads/pinned/why")["now"]
    assert now[-1] == "it stays on its home: its [failover] mode is none"


def test_plan_tells_where_what_changes_belongs(harness: Harness, client: Client) -> None:
    fleets.furnish(harness)
    plans = {p["workload"]: p for p in client.get("/v1/plan")["workloads"]}
    assert plans["web"]["placement"][0] == "belongs on h2: h1 was down"
    assert plans["db"]["placement"] == []


def test_the_deletion_of_what_runs_elsewhere_names_the_host(
    harness: Harness, client: Client
) -> None:
    fleets.furnish(harness)
    view = client.delete("/v1/workloads/web", {"dry_run": True})
    [plan] = [p for p in view["workloads"] if p["workload"] == "web"]
    assert plan["words"].endswith("; on h2, too")


def test_files_of_copies_are_not_looked_for_here(harness: Harness, client: Client) -> None:
    """An apply says what this host declares, and a copy is not among it."""
    from nodeorch.api.change import declared

    fleets.furnish(harness)

    class Asked:
        supervisor = harness.standin

    found = harness.run(lambda: declared(Asked()))  # type: ignore[arg-type]
    assert sorted(found) == ["db", "spread", "web"]


def test_apply_is_possible_beside_copies(harness: Harness, client: Client) -> None:
    fleets.furnish(harness)
    body = {"files": {"new.toml": spec("new")}}
    view = client.post("/v1/apply", body, {"dry_run": True})
    assert "new" in [p["workload"] for p in view["workloads"]]


# commands ---------------------------------------------------------------------------------


@pytest.mark.parametrize("verb", ["stop", "start", "restart"])
def test_what_is_not_here_is_commanded_at_its_home(
    harness: Harness, client: Client, verb: str
) -> None:
    fleets.furnish(harness)
    words = f"cannot {verb} afar: its home is h3; do it there, or `nodeorch home take afar`"
    assert refused(client, f"/v1/workloads/afar/{verb}") == (409, words)
    assert refused(client, f"/v1/workloads/nosuch/{verb}")[0] == 404


def test_a_copy_is_deleted_at_its_home(
    harness: Harness, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    fleets.furnish(harness)
    words = "cannot delete cache: its home is h3"
    monkeypatch.setattr(harness.standin, "refusal", lambda world, command: words)
    for name in ("cache", "afar"):
        with pytest.raises(ApiError, match="its home is h3") as raised:
            client.delete(f"/v1/workloads/{name}")
        assert raised.value.status == 409
    assert "cache" in harness.standin.world.workloads


def test_take_makes_this_host_the_home(harness: Harness, client: Client) -> None:
    fleets.furnish(harness)
    dry = client.post("/v1/homes/afar/take", {}, {"dry_run": True})
    assert dry == {"words": "afar: its home would be this host, no more h3", "dry_run": True}
    assert harness.standin.wished == []
    view = client.post("/v1/homes/afar/take", {"force": True})
    assert view == {"words": "afar: its home is h1", "dry_run": False}
    [(verb, name, by, force)] = harness.standin.wished
    assert (verb, name, force) == ("take", "afar", True)
    assert str(by).endswith(f"pid {os.getpid()}")


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("web", "cannot take web: its home is this host"),
        ("pinned", "cannot take pinned: its home h2 is up; change it there"),
        ("nosuch", "cannot take nosuch: no host declares it; see `nodeorch home list`"),
    ],
)
@pytest.mark.parametrize("force", [False, True])
def test_what_cannot_be_taken(
    harness: Harness, client: Client, name: str, words: str, force: bool
) -> None:
    fleets.furnish(harness)
    assert refused(client, f"/v1/homes/{name}/take", {"force": force}) == (409, words)
    assert harness.standin.wished == []


def test_an_orphan_is_taken_though_its_home_is_up(harness: Harness, client: Client) -> None:
    fleets.furnish(harness)
    client.post("/v1/homes/lost/take")
    assert [wish[:2] for wish in harness.standin.wished] == [("take", "lost")]


@pytest.mark.parametrize("standing", [Standing.SUSPECTED, Standing.UNSUPERVISED])
def test_an_uncertain_home_is_taken_by_force_alone(
    harness: Harness, client: Client, standing: Standing
) -> None:
    fleets.furnish(harness)
    hosts = fleets.fleet().hosts
    fleets.change(harness, hosts={**hosts, "h3": replace(fleets.H3, standing=standing)})
    words = f"cannot take afar: its home h3 may be there ({standing.value}); else use --force"
    assert refused(client, "/v1/homes/afar/take") == (409, words)
    client.post("/v1/homes/afar/take", {"force": True})
    assert len(harness.standin.wished) == 1


def test_a_host_that_is_cut_off_takes_by_force_alone(harness: Harness, client: Client) -> None:
    fleets.furnish(harness)
    fleets.change(harness, brake=Why(Code.CUT_OFF, "most hosts vanished at once"))
    status, words = refused(client, "/v1/homes/afar/take")
    assert status == 409
    assert "most hosts vanished at once; if h3 is gone all the same, use --force" in words
    client.post("/v1/homes/afar/take", {"force": True})


def test_leave(harness: Harness, client: Client) -> None:
    fleets.furnish(harness)
    assert client.post("/v1/cluster/leave", {"host": "h3"})["words"] == "h3 has left"
    assert client.post("/v1/cluster/leave", {})["words"] == "h1 has left"
    dry = client.post("/v1/cluster/leave", {"host": "h3"}, {"dry_run": True})
    assert (dry["dry_run"], "would leave" in dry["words"]) == (True, True)
    assert [wish[:2] for wish in harness.standin.wished] == [("leave", "h3"), ("leave", "h1")]
    words = "cannot remove h2: it is up; run `nodeorch cluster leave` there"
    assert refused(client, "/v1/cluster/leave", {"host": "h2"}) == (409, words)
    status, said = refused(client, "/v1/cluster/leave", {"host": "h9"})
    assert (status, "nodeorch members" in said) == (404, True)


def test_keys(harness: Harness, client: Client) -> None:
    fleets.furnish(harness)
    listed = client.post("/v1/cluster/keys", {"verb": "list"})
    assert listed == {"keys": {"a2V5": 2}, "dry_run": False}
    client.post("/v1/cluster/keys", {"verb": "install", "key": "bmV3"})
    client.post("/v1/cluster/keys", {"verb": "remove", "key": "a2V5"}, {"dry_run": True})
    assert harness.standin.wished == [("list", ""), ("install", "bmV3")]
    for body in ({"verb": "use"}, {"verb": "list", "key": "x"}, {"verb": "eat"}, {}):
        assert refused(client, "/v1/cluster/keys", body)[0] == 400


ASKED = [
    ("/v1/homes/web/take", {}), ("/v1/cluster/leave", {}), ("/v1/cluster/keys", {"verb": "list"}),
]  # fmt: skip


@pytest.mark.parametrize(("path", "body"), ASKED)
def test_a_host_that_is_alone_says_so(
    harness: Harness, client: Client, path: str, body: dict[str, str]
) -> None:
    harness.declare(WEB)
    status, words = refused(client, path, body)
    assert status == 409
    assert words.endswith("this host is alone; `nodeorch cluster init` begins a fleet")


@pytest.mark.parametrize(
    ("error", "status", "words"),
    [
        (MembersError("no answer"), 502, "cannot change the keys: Serf: no answer"),
        (PeerError("h2: no answer"), 502, "cannot change the keys: h2: no answer"),
        (CommandRefused("cannot do it: so"), 409, "cannot do it: so"),
    ],
)
def test_what_serf_and_other_hosts_refuse_is_told(
    harness: Harness, client: Client, error: Exception, status: int, words: str
) -> None:
    fleets.furnish(harness)
    harness.standin.fails = error
    assert refused(client, "/v1/cluster/keys", {"verb": "list"}) == (status, words)
