"""Why and plan in a fleet; what is refused there; POST take, leave, keys."""

from __future__ import annotations

import os
from typing import Any

import pytest
from msgspec.structs import replace

from nodeorch.client.unix import ApiError, Client
from nodeorch.fleetports import MembersError, PeerError
from nodeorch.model.fleet import Grave, Standing, View
from nodeorch.model.world import Code, Why
from nodeorch.ports import CommandRefused
from tests.api import fleets
from tests.api.harness import WEB, Harness, spec


def refused(client: Client, path: str, body: Any = None) -> tuple[int, str]:
    with pytest.raises(ApiError) as raised:
        client.post(path, body)
    return raised.value.status, str(raised.value)


def test_why_tells_the_placement(harness: Harness, client: Client) -> None:
    fleets.furnish(harness)
    now = client.get("/v1/workloads/web/why")["now"]
    assert now[:2] == [
        "belongs on h2: h1 was down",
        "cannot run on h3: down: h1 and h2 hear nothing of it",
    ]
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
        "cannot run on h1: label zone is not set, not a or b",
        "cannot run on h3: down: h1 and h2 hear nothing of it",
    ]
    assert [event["words"] for event in view["events"]] == ["given back to h3"]
    now = client.get("/v1/workloads/pinned/why")["now"]
    assert now[-1] == "it stays on its home: its [failover] mode is none"


def test_why_of_what_is_not_here_tells_that_nothing_is_taken_over(
    harness: Harness, client: Client
) -> None:
    fleets.furnish(harness)
    fleets.change(harness, brake=Why(Code.CUT_OFF, "2 of 2 hosts vanished at once"))
    words = "nothing is taken over: 2 of 2 hosts vanished at once"
    assert words in client.get("/v1/workloads/afar/why")["now"]
    assert words not in client.get("/v1/workloads/pinned/why")["now"], "it never moves"


def test_plan_tells_where_what_changes_belongs(harness: Harness, client: Client) -> None:
    fleets.furnish(harness)
    body = {"replicas": 2}
    view = client.post("/v1/workloads/web/scale", body, {"dry_run": True})
    [plan] = [plan for plan in view["workloads"] if plan["workload"] == "web"]
    assert plan["changes"]
    assert plan["placement"][0].startswith("belongs on ")
    plans = {p["workload"]: p for p in client.get("/v1/plan")["workloads"]}
    assert (plans["db"]["verb"], plans["db"]["placement"]) == ("none", [])


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
        ("web", "cannot take web: this host is its home already"),
        ("pinned", "cannot take pinned: its home h2 is up; change it there"),
        ("nosuch", "cannot take nosuch: no other host declares it; see `nodeorch home list`"),
    ],
)
@pytest.mark.parametrize("force", [False, True])
def test_what_cannot_be_taken(
    harness: Harness, client: Client, name: str, words: str, force: bool
) -> None:
    fleets.furnish(harness)
    assert refused(client, f"/v1/homes/{name}/take", {"force": force}) == (409, words)
    assert harness.standin.wished == []


def test_what_was_taken_from_us_has_its_home_there(harness: Harness, client: Client) -> None:
    fleets.furnish(harness)
    record = replace(fleets.fleet().record, graves={"h1/web": Grave(1, "h2")})
    views = {
        **fleets.fleet().views,
        "h2": View("h2", "l2", orphans={"web": fleets.declared("web")}),
    }
    fleets.change(harness, record=record, views=views)
    dry = client.post("/v1/homes/web/take", {}, {"dry_run": True})
    assert dry["words"] == "web: its home would be this host, no more h2"


def test_an_orphan_is_taken_though_its_home_is_up(harness: Harness, client: Client) -> None:
    fleets.furnish(harness)
    client.post("/v1/homes/lost/take")
    assert [wish[:2] for wish in harness.standin.wished] == [("take", "lost")]


@pytest.mark.parametrize("standing", [Standing.SUSPECTED, Standing.UNKNOWN])
def test_an_uncertain_home_is_taken_by_force_alone(
    harness: Harness, client: Client, standing: Standing
) -> None:
    fleets.furnish(harness)
    hosts = fleets.fleet().hosts
    uncertain = replace(fleets.H3, standing=standing, lost_at=None, words="")
    fleets.change(harness, hosts={**hosts, "h3": uncertain})
    status, words = refused(client, "/v1/homes/afar/take")
    assert status == 409
    assert f"whether its home h3 is gone ({standing.value}); wait, or say --force" in words
    client.post("/v1/homes/afar/take", {"force": True})
    assert len(harness.standin.wished) == 1


def test_leave(harness: Harness, client: Client) -> None:
    fleets.furnish(harness)
    words = refused(client, "/v1/cluster/leave", {"host": "h3"})[1]
    assert "it is the home of afar, cache, which would end with it" in words
    fleets.change(harness, claims={})
    assert client.post("/v1/cluster/leave", {"host": "h3"})["words"] == "h3 has left"
    assert client.post("/v1/cluster/leave", {})["words"] == "h1 has left"
    dry = client.post("/v1/cluster/leave", {"host": "h3"}, {"dry_run": True})
    assert dry == {"words": "h3 would leave the fleet for good", "dry_run": True}
    assert [wish[:2] for wish in harness.standin.wished] == [("leave", "h3"), ("leave", "h1")]
    words = "cannot remove h2: it is up; run `nodeorch cluster leave` there"
    assert refused(client, "/v1/cluster/leave", {"host": "h2"}) == (409, words)
    status, said = refused(client, "/v1/cluster/leave", {"host": "h9"})
    assert (status, "nodeorch members" in said) == (409, True)


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
    assert words.endswith("this host is in no fleet; see `nodeorch members`")


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
