"""GET members, homes; and where a workload is, by GET status."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from nodeorch.client.unix import ApiError, Client
from nodeorch.model.fleet import Grave, Hearing, Standing
from nodeorch.model.world import Code, Why
from tests.api import fleets
from tests.api.harness import WEB, Harness


def status(client: Client, name: str) -> dict[str, Any]:
    [view] = client.get("/v1/status", {"name": name})
    found: dict[str, Any] = view
    return found


def home(client: Client, name: str) -> dict[str, Any]:
    [view] = [view for view in client.get("/v1/homes") if view["name"] == name]
    found: dict[str, Any] = view
    return found


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


def test_what_was_taken_from_us_runs_at_its_new_home(harness: Harness, client: Client) -> None:
    fleets.furnish(harness)
    was = fleets.fleet()
    record = replace(was.record, graves={"h1/web": Grave(1, "h2")})
    hosts = {**was.hosts, "h2": fleets.h2(web=fleets.running("h2"))}
    fleets.change(harness, record=record, hosts=hosts)
    view = status(client, "web")
    assert (view["state"], view["hosts"], view["ready"]) == ("elsewhere", ["h2"], 1)
    assert view["reason"].startswith("runs on h2 since")


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


def test_the_home_of_a_host_that_left_and_came_back_is_its_home(
    harness: Harness, client: Client
) -> None:
    fleets.furnish(harness)
    record = replace(fleets.fleet().record, departed={"h3": Grave(1, "h2")})
    fleets.change(harness, record=record)
    assert [v["name"] for v in client.get("/v1/homes") if v["orphaned"]] == ["lost"]


def test_what_was_buried_or_taken_is_not_listed_as_it_was(harness: Harness, client: Client) -> None:
    fleets.furnish(harness)
    was = fleets.fleet()
    graves = {"h3/afar": Grave(1, "h2"), "h1/web": Grave(1, "h2")}
    claims = {**was.claims, "web": replace(was.claims["web"], home="h2")}
    del claims["afar"]
    record = replace(was.record, graves=graves)
    fleets.change(harness, record=record, claims=claims, view=None)
    views = {view["name"]: view for view in client.get("/v1/homes")}
    assert "afar" not in views
    assert views["web"]["home"] == "h2"


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
