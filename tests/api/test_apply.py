"""POST apply and DELETE: files first, all or nothing."""

from __future__ import annotations

import asyncio
import errno
import os
import threading
from pathlib import Path

import pytest
from msgspec.structs import replace

from nodeorch.api import files
from nodeorch.client.unix import ApiError, Client
from nodeorch.spec.settings import ClusterSettings
from tests.api.harness import WEB, Harness, spec
from tests.api.standin import Sample
from tests.lab.wait import wait_for


def names(directory: Path) -> list[str]:
    return sorted(os.listdir(directory))


def test_apply_writes_the_file_and_the_daemon_takes_it(harness: Harness, client: Client) -> None:
    view = client.post("/v1/apply", {"files": {"web.toml": WEB}})
    assert [(p["workload"], p["verb"]) for p in view["workloads"]] == [("web", "create")]
    assert view["dry_run"] is False
    assert view["seq"] > 0
    path = harness.directory / "web.toml"
    assert path.read_text() == WEB
    assert path.stat().st_mode & 0o777 == 0o644
    assert names(harness.directory) == ["web.toml"]
    assert "web" in harness.standin.world.workloads
    said = [e.why.words for e in harness.standin.store.journal]
    assert f"apply, by uid 0 (root), pid {os.getpid()}" in said


def test_apply_tells_field_by_field(harness: Harness, client: Client) -> None:
    harness.declare(WEB)
    changed = WEB.replace("64MiB", "128MiB").replace("web:1", "web:2")
    [plan] = client.post("/v1/apply", {"files": {"web.toml": changed}})["workloads"]
    assert plan["verb"] == "update"
    effects = {c["field"]: c["effect"] for c in plan["changes"]}
    assert effects == {"resources.memory": "live", "workload.image": "recreate"}


def test_apply_of_the_same_changes_nothing(harness: Harness, client: Client) -> None:
    harness.declare(WEB)
    view = client.post("/v1/apply", {"files": {"web.toml": WEB}})
    assert [p["verb"] for p in view["workloads"]] == ["none"]
    assert harness.standin.world.workloads["web"].record.latest == 1


def test_a_dry_run_leaves_everything(harness: Harness, client: Client) -> None:
    harness.declare(WEB)
    before = harness.standin.world
    files_ = {"web.toml": WEB.replace("web:1", "web:2"), "db.toml": spec("db")}
    view = client.post("/v1/apply", {"files": files_}, {"dry_run": True})
    assert {p["workload"]: p["verb"] for p in view["workloads"]} == {
        "web": "update",
        "db": "create",
    }
    assert view["dry_run"] is True
    assert harness.standin.world is before
    assert names(harness.directory) == ["web.toml"]
    assert (harness.directory / "web.toml").read_text() == WEB


def test_all_problems_of_all_files_and_nothing_done(harness: Harness, client: Client) -> None:
    bad = {
        "web.toml": WEB,
        "db.toml": spec("db", "replicaz = 2\nworking_dir = 5"),
        "other.toml": spec("name-of-another"),
    }
    with pytest.raises(ApiError) as raised:
        client.post("/v1/apply", {"files": bad})
    error = raised.value
    assert (error.status, error.code) == (422, "Invalid")
    assert len(error.problems) == 3
    assert any(p.startswith("db.toml:4:1: error[") and "replicaz" in p for p in error.problems)
    assert any(p.startswith("other.toml:2:") for p in error.problems)
    assert names(harness.directory) == []
    assert not harness.standin.world.workloads


def test_what_does_not_go_together_is_refused(harness: Harness, client: Client) -> None:
    port = "[[ports]]\ncontainer = 80\nhost = 18080\n"
    harness.declare(WEB + port)
    with pytest.raises(ApiError) as raised:
        client.post("/v1/apply", {"files": {"db.toml": spec("db") + port}})
    assert "belongs to web" in raised.value.problems[0]
    assert names(harness.directory) == ["web.toml"]


def test_an_unknown_dependency_is_no_obstacle(harness: Harness, client: Client) -> None:
    client.post("/v1/apply", {"files": {"web.toml": spec("web", 'after = ["db"]')}})
    assert "web" in harness.standin.world.workloads


@pytest.mark.parametrize("name", ["../x.toml", "web", ".web.toml", "Web.toml", "a/b.toml", ".toml"])
def test_file_names_are_checked(harness: Harness, client: Client, name: str) -> None:
    with pytest.raises(ApiError) as raised:
        client.post("/v1/apply", {"files": {name: WEB}})
    assert raised.value.status == 400
    assert names(harness.directory) == []


def test_text_that_is_no_text_is_refused(harness: Harness, client: Client) -> None:
    with pytest.raises(ApiError):
        client.post("/v1/apply", {"files": {"web.toml": WEB + "# \ud800"}})
    assert names(harness.directory) == []


def test_no_files_is_a_mistake(client: Client) -> None:
    with pytest.raises(ApiError) as raised:
        client.post("/v1/apply", {"files": {}})
    assert raised.value.status == 400


def test_a_full_disk_leaves_the_old_file(
    harness: Harness, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    harness.declare(WEB)
    syncs = 0
    real = os.fsync

    def full(fd: int) -> None:
        nonlocal syncs
        syncs += 1
        if syncs == 2:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        real(fd)

    monkeypatch.setattr(files.os, "fsync", full)
    changed = {"web.toml": WEB.replace("web:1", "web:2"), "db.toml": spec("db")}
    with pytest.raises(ApiError) as raised:
        client.post("/v1/apply", {"files": changed})
    assert (raised.value.status, raised.value.code) == (507, "FileFailed")
    assert "No space left" in str(raised.value)
    assert names(harness.directory) == ["web.toml"]
    assert (harness.directory / "web.toml").read_text() == WEB


def test_a_missing_directory_is_not_made(harness: Harness, client: Client) -> None:
    harness.directory.rmdir()
    with pytest.raises(ApiError) as raised:
        client.post("/v1/apply", {"files": {"web.toml": WEB}})
    assert raised.value.status == 500
    assert "No such file or directory" in str(raised.value)
    assert not harness.directory.exists()


def test_what_the_daemon_rejects_is_put_back(harness: Harness, client: Client) -> None:
    harness.declare(WEB)
    harness.standin.reject = {"web": "web.toml:1:1: its env file is gone"}
    with pytest.raises(ApiError) as raised:
        client.post("/v1/apply", {"files": {"web.toml": WEB.replace("web:1", "web:2")}})
    assert raised.value.problems == ["web.toml:1:1: its env file is gone"]
    assert (harness.directory / "web.toml").read_text() == WEB
    assert names(harness.directory) == ["web.toml"]


def test_what_cannot_be_saved_is_put_back(harness: Harness, client: Client) -> None:
    harness.standin.store.broken = "disk full"
    with pytest.raises(ApiError) as raised:
        client.post("/v1/apply", {"files": {"web.toml": WEB}})
    assert (raised.value.status, raised.value.code) == (503, "StoreFailed")
    assert "disk full" in str(raised.value)
    assert names(harness.directory) == []


def test_force_is_passed_on(harness: Harness, client: Client) -> None:
    harness.declare(WEB)
    harness.standin.samples = {"web.0.g1": Sample(memory=60 << 20)}
    lowered = WEB.replace("64MiB", "32MiB")
    client.post("/v1/apply", {"files": {"web.toml": lowered}, "force": True})
    assert harness.standin.world.workloads["web"].record.forced


def test_a_mutation_ends_though_its_peer_hangs_up(harness: Harness) -> None:
    stall = harness.do(asyncio.Event)
    harness.standin.stall = stall
    client = harness.client
    caller = threading.Thread(target=_swallow, args=(client,))
    caller.start()
    wait_for(lambda: (harness.directory / "web.toml").exists())
    assert client._connection is not None and client._connection.sock is not None
    client._connection.sock.shutdown(2)
    caller.join(10.0)
    harness.do(stall.set)
    wait_for(lambda: "web" in harness.standin.world.workloads)
    wait_for(lambda: names(harness.directory) == ["web.toml"])


def _swallow(client: Client) -> None:
    with pytest.raises(Exception, match="cannot reach"):
        client.post("/v1/apply", {"files": {"web.toml": WEB}})


def test_delete_removes_the_file_and_the_workload(harness: Harness, client: Client) -> None:
    harness.declare(WEB, spec("db"))
    [plan] = client.delete("/v1/workloads/web", {"dry_run": True})["workloads"]
    assert plan["verb"] == "delete"
    assert names(harness.directory) == ["db.toml", "web.toml"]
    client.delete("/v1/workloads/web")
    assert names(harness.directory) == ["db.toml"]
    assert harness.standin.world.workloads["web"].record.deleting
    said = [e.why.words for e in harness.standin.store.journal]
    assert f"its file was deleted by uid 0 (root), pid {os.getpid()}" in said
    harness.obey()
    assert list(harness.standin.world.workloads) == ["db"]


def test_the_last_one_can_be_deleted_by_name(harness: Harness, client: Client) -> None:
    harness.declare(WEB)
    client.delete("/v1/workloads/web")
    assert harness.standin.world.brake is None
    assert harness.standin.world.workloads["web"].record.deleting


def test_delete_also_of_a_file_that_was_never_accepted(harness: Harness, client: Client) -> None:
    (harness.directory / "bad.toml").write_text("nonsense")
    client.delete("/v1/workloads/bad")
    assert names(harness.directory) == []


def test_delete_of_the_unknown(client: Client) -> None:
    with pytest.raises(ApiError) as raised:
        client.delete("/v1/workloads/nosuch")
    assert raised.value.status == 404


def test_a_failed_delete_puts_the_file_back(harness: Harness, client: Client) -> None:
    harness.declare(WEB)
    harness.standin.store.broken = "read-only"
    with pytest.raises(ApiError):
        client.delete("/v1/workloads/web")
    assert names(harness.directory) == ["web.toml"]


def test_after_a_rollback_other_files_do_not_move_it(harness: Harness, client: Client) -> None:
    """The file declares generation 2, generation 1 runs: applying another file is no change."""
    harness.declare(WEB)
    harness.declare(WEB.replace("web:1", "web:2"))
    client.post("/v1/workloads/web/rollback")
    harness.obey()
    view = client.post("/v1/apply", {"files": {"db.toml": spec("db")}}, {"dry_run": True})
    assert [p["workload"] for p in view["workloads"]] == ["db"]


def test_a_label_that_no_node_of_the_fleet_has_is_refused(harness: Harness, client: Client) -> None:
    cluster = ClusterSettings(name="lab", address="10.0.0.1", labels={"zone": ("a", "b")})
    harness.standin.settings = replace(harness.standin.settings, cluster=cluster)
    moves = f'{WEB}[failover]\nmode = "available"\n[placement.constraints]\nzone = ["c"]\n'
    with pytest.raises(ApiError) as error:
        client.post("/v1/apply", {"files": {"web.toml": moves}})
    assert 'no node of this fleet has zone = "c"' in str(error.value.problems)
    assert names(harness.directory) == []
